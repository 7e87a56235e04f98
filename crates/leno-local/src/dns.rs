//! DNS of the mesh, by Kubernetes' rules: `service.namespace.svc.cluster.local` and what hangs below it.
//!
//! [`zone`] holds the names, [`mod@answer`] answers one message (pure), [`server`] owns the sockets. Names outside of
//! `cluster.local` do not exist: pods have no way out of the mesh's private network, and a quick "no such name" is
//! kinder to them than a timeout.

pub mod answer;
pub mod server;
pub mod zone;

pub use answer::answer;
pub use zone::{Target, Zone};
