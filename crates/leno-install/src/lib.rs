//! Manifests: what goes into Kubernetes objects so that Leno works.
//!
//! [`mod@inject`] turns a pod into its meshed form. It is pure and knows nothing of who asks: the local runtime and the
//! Kubernetes webhook share it, so a pod gets the same sidecar in both places. [`values`] is what can be chosen at
//! installation, [`profiles`] are choices with a name, [`manifests`] and [`crds`] turn them into objects, [`chart`] into a Helm chart.

pub mod chart;
pub mod crds;
pub mod inject;
pub mod manifests;
pub mod profiles;
pub mod values;

pub use inject::{InjectOutcome, InjectSettings, NamespaceMeta, inject};
pub use values::Values;
