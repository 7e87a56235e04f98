//! Endpoints: the pods behind a service.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::Labels;
use crate::id::{ServiceId, SpiffeId};

/// All endpoints of one service: one wire resource, with a fast path of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoints {
    /// The service.
    pub service: ServiceId,
    /// Its endpoints, ready ones and those that are going away ([`Endpoint::ready`]).
    pub endpoints: Vec<Endpoint>,
}

/// One pod behind a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoint {
    /// Pod IP.
    pub ip: IpAddr,
    /// `(service port, target port on the pod)`.
    pub ports: Vec<(u16, u16)>,
    /// Takes new requests; false while terminating or failing readiness.
    pub ready: bool,
    /// The pod.
    pub workload: Arc<Workload>,
}

impl Endpoint {
    /// The pod's port behind the service's `port`.
    #[must_use]
    pub fn target_port(&self, port: u16) -> Option<u16> {
        self.ports.iter().find(|(p, _)| *p == port).map(|(_, t)| *t)
    }
}

/// What is known of a pod: the source of metric labels, of identity checks and of label selection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Workload {
    /// Namespace.
    pub namespace: String,
    /// Pod name.
    pub pod: String,
    /// Owner's name (Deployment, `StatefulSet`, Job …), else the pod's.
    pub name: String,
    /// Owner's kind, lower case: `deployment`, `statefulset`, `job`, `pod`.
    pub kind: String,
    /// `ServiceAccount`.
    pub account: String,
    /// Pod labels.
    pub labels: Labels,
    /// Its SPIFFE identity; `None` when it is not meshed.
    pub identity: Option<SpiffeId>,
    /// Ports of the pod where its policy is DISABLE: clients dial them in plaintext although it is meshed.
    pub plaintext_ports: Vec<u16>,
    /// Node it runs on.
    pub node: String,
}

impl Workload {
    /// Istio's canonical service name: label, else `app.kubernetes.io/name`, else `app`, else the owner's name.
    #[must_use]
    pub fn canonical_name(&self) -> &str {
        self.label(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]).unwrap_or(&self.name)
    }

    /// Istio's canonical revision: label, else `app.kubernetes.io/version`, else `version`, else `latest`.
    #[must_use]
    pub fn canonical_revision(&self) -> &str {
        self.label(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]).unwrap_or("latest")
    }

    /// The `app` metric label, `unknown` when the pod has none.
    #[must_use]
    pub fn app(&self) -> &str {
        self.label(&["app"]).unwrap_or("unknown")
    }

    /// The `version` metric label, `unknown` when the pod has none.
    #[must_use]
    pub fn version(&self) -> &str {
        self.label(&["version"]).unwrap_or("unknown")
    }

    /// Whether a client that is meshed uses mutual TLS to this pod's `port`.
    #[must_use]
    pub fn accepts_mtls(&self, port: u16) -> bool {
        self.identity.is_some() && !self.plaintext_ports.contains(&port)
    }

    fn label(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|k| self.labels.get(*k)).map(String::as_str).filter(|v| !v.is_empty())
    }
}
