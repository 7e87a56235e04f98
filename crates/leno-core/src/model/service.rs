//! Services as clients dial them.

use std::net::IpAddr;

use serde::Serialize;

use super::protocol::Protocol;
use super::traffic::DestinationRule;
use crate::id::ServiceId;

/// A Service with everything a client needs but its endpoints and its routes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Service {
    /// Who it is.
    pub id: ServiceId,
    /// How its address works.
    pub kind: ServiceKind,
    /// Cluster IPs; empty for headless and `ExternalName`.
    pub vips: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// `DestinationRule`s for its host from every namespace, in precedence order within one namespace (oldest first).
    /// [`crate::merge::destination_rule`] selects the one that applies to a proxy.
    pub destination_rules: Vec<DestinationRule>,
}

/// How a Service's address works (Kubernetes `spec.type` and `spec.clusterIP`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ServiceKind {
    /// A virtual IP in front of the endpoints.
    ClusterIp,
    /// `clusterIP: None`: DNS gives the pods' addresses.
    Headless,
    /// A DNS alias of an outside host.
    ExternalName(String),
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServicePort {
    /// Port that clients dial.
    pub port: u16,
    /// Its name, may be empty when there is one port.
    pub name: String,
    /// Declared protocol (`appProtocol`, then port name, then [`Protocol::Auto`]).
    pub protocol: Protocol,
}

impl Service {
    /// The port that clients dial as `port`.
    #[must_use]
    pub fn port(&self, port: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|p| p.port == port)
    }
}
