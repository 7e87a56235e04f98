//! What tells flows apart: the labels of the live window's samples.

use leno_core::Reason;
use leno_core::id::ServiceId;
use leno_core::samples::{PeerLabels, RequestLabels, TcpLabels as TcpFlowLabels};

use super::record::{PeerInfo, PolicyRef, RequestRecord, ServiceRef, TcpLabels};

pub(super) fn of_request(record: &RequestRecord) -> RequestLabels {
    RequestLabels {
        direction: record.direction,
        source: peer(&record.source),
        destination: peer(&record.destination),
        service: record.service.as_deref().map(service),
        route: record.route_name.to_string(),
        mtls: record.mtls,
        status: record.status,
        grpc: record.grpc_status,
        reason: reason(record.reason),
        policy: policy(record),
    }
}

pub(super) fn of_tcp(labels: &TcpLabels) -> TcpFlowLabels {
    TcpFlowLabels {
        direction: labels.direction,
        source: peer(&labels.source),
        destination: peer(&labels.destination),
        service: labels.service.as_deref().map(service),
        mtls: labels.mtls,
    }
}

/// Where a flow beyond the budget counts: the outcome is kept, who and where is given up.
pub(super) fn overflow_request(record: &RequestRecord) -> RequestLabels {
    RequestLabels {
        direction: record.direction,
        source: overflow(),
        destination: overflow(),
        service: None,
        route: String::new(),
        mtls: record.mtls,
        status: record.status,
        grpc: record.grpc_status,
        reason: reason(record.reason),
        policy: policy(record),
    }
}

/// The same for connections.
pub(super) fn overflow_tcp(labels: &TcpLabels) -> TcpFlowLabels {
    TcpFlowLabels {
        direction: labels.direction,
        source: overflow(),
        destination: overflow(),
        service: None,
        mtls: labels.mtls,
    }
}

fn policy(record: &RequestRecord) -> String {
    let origin = record.policy.as_ref().and_then(PolicyRef::origin);
    origin.map(|o| format!("{}/{}", o.namespace, o.name)).unwrap_or_default()
}

fn overflow() -> PeerLabels {
    let word = || "overflow".to_owned();
    PeerLabels { namespace: word(), workload: word(), ..PeerLabels::default() }
}

fn service(service: &ServiceRef) -> ServiceId {
    ServiceId::new(&service.namespace, &service.name)
}

fn peer(peer: &PeerInfo) -> PeerLabels {
    let principal = peer.principal.as_deref().map(ToString::to_string).unwrap_or_default();
    let Some(pod) = peer.workload.as_deref() else {
        return PeerLabels { principal, ..PeerLabels::default() };
    };
    PeerLabels {
        namespace: pod.namespace.clone(),
        workload: pod.name.clone(),
        kind: pod.kind.clone(),
        pod: pod.pod.clone(),
        principal,
    }
}

/// The reason's one name in JSON, wherever it appears.
pub(super) fn reason(reason: Reason) -> String {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(name)) => name,
        _ => reason.detail().to_owned(),
    }
}
