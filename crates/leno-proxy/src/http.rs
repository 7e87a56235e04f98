//! HTTP: from a client's request to the answer, through the phases of [`pipeline`].
//!
//! [`h1`] and [`h2`] are the codecs at both edges; between them a request is a head that can be read and edited and a
//! [`body::Body`] that streams under flow control. [`exchange`] accompanies it and reports its outcome once.

pub mod body;
pub mod client;
pub mod exchange;
pub mod h1;
pub mod h2;
pub mod heads;
mod output;
pub mod phase;
pub mod pipeline;
pub(crate) mod place;
pub mod replay;
pub mod reply;
pub mod serve;
pub mod tunnel;
pub mod upstream;

pub use body::{Body, Request, Response};
pub use exchange::Exchange;
