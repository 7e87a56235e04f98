//! What an IP address stands for: the first thing a proxy asks about an original destination.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::endpoint::Workload;
use super::protocol::Protocol;
use crate::id::ServiceId;

/// An IP address of the mesh.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// What it stands for.
    pub target: AddressTarget,
}

/// What an address stands for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum AddressTarget {
    /// A service's virtual IP.
    Service(ServiceId),
    /// A pod. Its own proxy reads its inbound ports here too.
    Workload {
        /// The pod.
        workload: Arc<Workload>,
        /// Ports of the pod that services name.
        ports: Vec<WorkloadPort>,
        /// Its object is being deleted (`metadata.deletionTimestamp`): clients have been told elsewhere, or will be.
        terminating: bool,
    },
}

/// A pod's port as some service knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkloadPort {
    /// Port on the pod.
    pub port: u16,
    /// Declared protocol of the service port.
    pub protocol: Protocol,
    /// The service (the oldest one, where several name the port).
    pub service: ServiceId,
    /// The service's port.
    pub service_port: u16,
    /// Whether that service is headless, so that clients dial the pod directly.
    pub headless: bool,
}
