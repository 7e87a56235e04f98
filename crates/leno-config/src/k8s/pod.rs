//! Pods.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::container::Container;
use super::meta::ObjectMeta;
use super::volume::Volume;

/// `v1 Pod`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Pod {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: PodSpec,
    /// `status`.
    pub status: PodStatus,
}

/// A pod to be, in a Deployment and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels and annotations.
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: PodSpec,
}

/// `spec` of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// Run one after the other before `containers`, but for those with `restartPolicy: Always`, which stay.
    pub init_containers: Vec<Container>,
    /// Run together.
    pub containers: Vec<Container>,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// `Always` (the default), `OnFailure` or `Never`.
    pub restart_policy: String,
    /// Time between asking containers to end and ending them, in seconds; 30.
    pub termination_grace_period_seconds: u64,
    /// Service account; empty = `default`.
    pub service_account_name: String,
    /// The old name of `serviceAccountName`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_account: String,
    /// Node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Host name; empty = the pod's name.
    pub hostname: String,
    /// The headless service under which the host name is in DNS.
    pub subdomain: String,
    /// Shares the node's network. Not honoured by `leno local` (a warning); the mesh leaves such pods alone.
    pub host_network: bool,
    /// User and group of all containers.
    pub security_context: Option<PodSecurityContext>,
}

impl Default for PodSpec {
    fn default() -> Self {
        Self {
            init_containers: Vec::new(),
            containers: Vec::new(),
            volumes: Vec::new(),
            restart_policy: "Always".to_owned(),
            termination_grace_period_seconds: 30,
            service_account_name: String::new(),
            service_account: String::new(),
            node_name: String::new(),
            hostname: String::new(),
            subdomain: String::new(),
            host_network: false,
            security_context: None,
        }
    }
}

impl PodSpec {
    /// The service account it runs as.
    #[must_use]
    pub fn account(&self) -> &str {
        [&self.service_account_name, &self.service_account]
            .into_iter()
            .find(|name| !name.is_empty())
            .map_or("default", String::as_str)
    }

    /// Every container, init containers first.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// The number of the container port `name`.
    #[must_use]
    pub fn port_named(&self, name: &str) -> Option<u16> {
        self.all_containers().flat_map(|c| &c.ports).find(|p| p.name == name).map(|p| p.container_port)
    }
}

/// User and group of all containers of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSecurityContext {
    /// User id.
    pub run_as_user: Option<u32>,
    /// Group id.
    pub run_as_group: Option<u32>,
    /// Group of the volumes' files.
    pub fs_group: Option<u32>,
}

/// `status` of a pod, as far as the mesh reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: String,
    /// Address.
    #[serde(rename = "podIP", skip_serializing_if = "Option::is_none")]
    pub pod_ip: Option<IpAddr>,
    /// Addresses.
    #[serde(rename = "podIPs", skip_serializing_if = "Vec::is_empty")]
    pub pod_ips: Vec<PodIp>,
    /// The node's address.
    #[serde(rename = "hostIP", skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
    /// Conditions, such as Ready.
    pub conditions: Vec<PodCondition>,
}

/// One address of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodIp {
    /// The address.
    pub ip: IpAddr,
}

/// A condition of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodCondition {
    /// `Ready`, `Initialized` …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

impl PodStatus {
    /// All its addresses.
    #[must_use]
    pub fn ips(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = self.pod_ip.into_iter().collect();
        all.extend(self.pod_ips.iter().map(|p| p.ip).filter(|ip| Some(*ip) != self.pod_ip));
        all
    }

    /// Whether the Ready condition holds.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True")
    }
}
