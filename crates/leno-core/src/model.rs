//! The mesh model: what every dialect is lowered into and what travels on the wire.
//!
//! Nothing in it depends on who asks: a proxy selects by its own namespace and labels (see [`crate::merge`]).

pub mod address;
pub mod authn;
pub mod authz;
pub mod endpoint;
pub mod matching;
pub mod mesh;
pub mod protocol;
pub mod route;
pub mod service;
pub mod telemetry;
pub mod traffic;

use std::collections::BTreeMap;

pub use address::{Address, AddressTarget, WorkloadPort};
pub use authn::{MtlsMode, PeerAuthentication};
pub use authz::{AuthorizationPolicy, AuthzAction};
pub use endpoint::{Endpoint, Endpoints, Workload};
pub use matching::{Pattern, StringMatch};
pub use mesh::MeshConfig;
pub use protocol::Protocol;
pub use route::{HttpRoute, RouteTable, Routes};
pub use service::{Service, ServiceKind, ServicePort};
pub use telemetry::Telemetry;
pub use traffic::{DestinationRule, TrafficPolicy};

/// Labels of a pod, service or subset, in order.
pub type Labels = BTreeMap<String, String>;

/// Whether every label of `selector` is among `labels`. An empty selector selects all.
#[must_use]
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(k, v)| labels.get(k) == Some(v))
}

/// All policies of one namespace: one wire resource, which proxies there (and, for the root namespace, everywhere) hold.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Policies {
    /// The namespace.
    pub namespace: String,
    /// `PeerAuthentication` objects, oldest first.
    pub peer_authentications: Vec<PeerAuthentication>,
    /// `AuthorizationPolicy` objects.
    pub authorization: Vec<AuthorizationPolicy>,
    /// `Telemetry` objects, oldest first.
    pub telemetry: Vec<Telemetry>,
}
