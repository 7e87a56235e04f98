//! Istio, Linkerd and Kubernetes objects lowered into Leno's model.
//!
//! Text in, model out, no I/O: [`mod@read`] turns YAML or JSON into [`Object`]s that remember their lines, [`mod@typed`] gives
//! one of the [`k8s`] structs, [`mod@lower`] gives pieces of [`leno_core::model`], and [`check_set`] judges a whole set of
//! objects. Whatever is not honoured comes back as a [`Diagnostic`] with file and line; [`support`] holds the table.

pub mod check;
pub mod diagnostic;
pub mod gateway;
mod istio;
pub mod k8s;
pub mod lower;
mod mesh;
pub mod object;
pub mod quantity;
pub mod read;
mod smi;
pub mod support;
pub mod typed;

pub use check::{check_all, check_object, check_set};
pub use diagnostic::{Diagnostic, Position, Severity};
pub use lower::{LowerContext, Lowered, PodFacts, RuleHosts, ServiceSpec, Slice, SliceEndpoint, TargetPort, lower};
pub use object::Object;
pub use read::{Read, read};
pub use typed::typed;
