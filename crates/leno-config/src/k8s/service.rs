//! Services and their endpoints.

use std::net::IpAddr;

use leno_core::model::Labels;
use serde::{Deserialize, Serialize};

use super::meta::{IntOrString, ObjectMeta};

/// `v1 Service`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Service {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: ServiceSpec,
}

/// `spec` of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ClusterIP` (the default), `ExternalName`, `NodePort` or `LoadBalancer` (the last two as `ClusterIP`).
    #[serde(rename = "type")]
    pub kind: String,
    /// Address, `None` for headless, empty = one is assigned.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    /// Addresses; the first is `clusterIP`.
    #[serde(rename = "clusterIPs", skip_serializing_if = "Vec::is_empty")]
    pub cluster_ips: Vec<String>,
    /// The outside host of `ExternalName`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_name: String,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Pods behind it.
    pub selector: Labels,
    /// Pods that are not ready are published too.
    pub publish_not_ready_addresses: bool,
    /// `None` (the default); `ClientIP` is not honoured.
    pub session_affinity: String,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            kind: "ClusterIP".to_owned(),
            cluster_ip: String::new(),
            cluster_ips: Vec::new(),
            external_name: String::new(),
            ports: Vec::new(),
            selector: Labels::new(),
            publish_not_ready_addresses: false,
            session_affinity: "None".to_owned(),
        }
    }
}

impl ServiceSpec {
    /// Whether DNS gives the pods' own addresses.
    #[must_use]
    pub fn is_headless(&self) -> bool {
        self.cluster_ip == "None" && self.kind != "ExternalName"
    }

    /// Its addresses, as far as they are addresses.
    #[must_use]
    pub fn vips(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = Vec::new();
        for ip in std::iter::once(&self.cluster_ip).chain(&self.cluster_ips).filter_map(|ip| ip.parse().ok()) {
            if !all.contains(&ip) {
                all.push(ip);
            }
        }
        all
    }
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name; may be empty where there is one port.
    pub name: String,
    /// Port that clients dial.
    pub port: u16,
    /// Port of the pod, by number or name; `None` = `port`.
    pub target_port: Option<IntOrString>,
    /// `TCP` (also when empty), `UDP` or `SCTP`.
    pub protocol: String,
    /// What it speaks.
    pub app_protocol: Option<String>,
}

impl ServicePort {
    /// Whether it is not TCP, so that the mesh leaves it alone.
    #[must_use]
    pub fn is_udp(&self) -> bool {
        !self.protocol.is_empty() && self.protocol != "TCP"
    }
}

/// `discovery.k8s.io/v1 EndpointSlice`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointSlice {
    /// `metadata`; the label `kubernetes.io/service-name` names the service.
    pub metadata: ObjectMeta,
    /// `IPv4`, `IPv6` or `FQDN`.
    pub address_type: String,
    /// Ports, for all endpoints of the slice.
    pub ports: Vec<EndpointPort>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// A port of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointPort {
    /// Name of the service port.
    pub name: String,
    /// Port on the pod.
    pub port: Option<u16>,
    /// `TCP` (also when empty), `UDP` or `SCTP`.
    pub protocol: String,
    /// What it speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// An endpoint of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Endpoint {
    /// Addresses of this one endpoint.
    pub addresses: Vec<String>,
    /// Its state.
    pub conditions: EndpointConditions,
    /// Host name in DNS, for pods with `hostname` and `subdomain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
    /// Node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
}

/// State of an endpoint. `None` reads as Kubernetes says: ready, serving as ready, not terminating.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointConditions {
    /// Takes new connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Would be ready if it were not terminating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// Going away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

/// The object behind an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetRef {
    /// `Pod`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub uid: String,
}
