//! Manifests: what goes into Kubernetes objects so that Leno works.
//!
//! [`mod@inject`] turns a pod into its meshed form. It is pure and knows nothing of who asks: the local runtime and the
//! Kubernetes webhook share it, so a pod gets the same sidecar in both places.

pub mod inject;

pub use inject::{InjectOutcome, InjectSettings, NamespaceMeta, inject};
