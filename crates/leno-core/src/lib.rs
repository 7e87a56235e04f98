//! Leno's vocabulary and its pure decisions.
//!
//! Nothing here does I/O, is async, or knows a dialect (Istio, Linkerd) or a wire form. The proxy, the control plane,
//! the command line and the tests all share these types and these functions.
//!
//! Read [`model`] for the words, [`merge`] for what applies to one proxy, [`decide`] for the judgements about one
//! request, [`cel`], [`log_format`] and [`trace`] for what is reported of it, [`reason`] for every way a request can end, and [`names`] for the names that other tools rely on.

pub mod addr;
pub mod cel;
pub mod decide;
pub mod id;
pub mod log_format;
pub mod merge;
pub mod model;
pub mod names;
pub mod reason;
pub mod samples;
pub mod sketch;
pub mod tap;
pub mod trace;
pub mod why;

pub use reason::Reason;
