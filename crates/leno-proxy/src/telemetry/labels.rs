//! Istio's metric labels, written once per series.
//!
//! Rules of Istio's `istio_stats` filter that tools rely on: nothing known is `unknown`, no revision is `latest`, no
//! label but `grpc_response_status` is empty; the source side always says `connection_security_policy="unknown"`; the
//! destination's service namespace is its pod's where that is known; unmatched traffic is named after Envoy's
//! pass-through clusters. One deviation, on purpose: the `Host` header never becomes `destination_service`, because any
//! client could then make any number of series.

use std::fmt::Write as _;

use leno_core::Reason;
use leno_core::id::Direction;

use super::record::{PeerInfo, ReqProtocol, RequestRecord, ServiceRef, TcpLabels};

/// Labels of a request's series, ready to stand between braces.
pub(super) fn of_request(record: &RequestRecord) -> String {
    let common = Common {
        direction: record.direction,
        source: &record.source,
        destination: &record.destination,
        service: record.service.as_deref(),
        reason: record.reason,
        mtls: record.mtls,
    };
    let grpc = match record.protocol {
        ReqProtocol::Http => None,
        ReqProtocol::Grpc => record.grpc_status,
    };
    let grpc = grpc.map(|s| s.to_string()).unwrap_or_default();
    let mut out = common.start(record.protocol.as_str());
    let _ = write!(out, ",response_code=\"{}\",grpc_response_status=\"{grpc}\"", record.status);
    common.finish(&mut out);
    out
}

/// Labels of an opaque connection's series; `reason` is [`Reason::Closed`] until it ends.
pub(super) fn of_tcp(labels: &TcpLabels, reason: Reason) -> String {
    let common = Common {
        direction: labels.direction,
        source: &labels.source,
        destination: &labels.destination,
        service: labels.service.as_deref(),
        reason,
        mtls: labels.mtls,
    };
    let mut out = common.start("tcp");
    common.finish(&mut out);
    out
}

/// Labels of the series that takes what a full family cannot: peers and services are given up, the outcome's class is
/// kept, so that success rates stay right.
pub(super) fn overflow(direction: Direction, protocol: &str, status: Option<u16>) -> String {
    let mut out = format!("reporter=\"{}\"", reporter(direction));
    for side in ["source", "destination"] {
        for label in PEER {
            let _ = write!(out, ",{side}_{label}=\"overflow\"");
        }
    }
    for label in ["", "_name", "_namespace"] {
        let _ = write!(out, ",destination_service{label}=\"overflow\"");
    }
    let _ = write!(out, ",request_protocol=\"{protocol}\"");
    if let Some(status) = status {
        let _ = write!(out, ",response_code=\"{}xx\",grpc_response_status=\"\"", status / 100);
    }
    out.push_str(",response_flags=\"-\",connection_security_policy=\"unknown\"");
    out
}

struct Common<'a> {
    direction: Direction,
    source: &'a PeerInfo,
    destination: &'a PeerInfo,
    service: Option<&'a ServiceRef>,
    reason: Reason,
    mtls: bool,
}

impl Common<'_> {
    fn start(&self, protocol: &str) -> String {
        // About what a series takes; growing it step by step would cost more than the rest.
        let mut out = String::with_capacity(1024);
        let _ = write!(out, "reporter=\"{}\"", reporter(self.direction));
        peer(&mut out, "source", self.source);
        peer(&mut out, "destination", self.destination);
        let (host, name, namespace) = self.service_labels();
        label(&mut out, "destination_service", "", host);
        label(&mut out, "destination_service", "_name", name);
        label(&mut out, "destination_service", "_namespace", namespace);
        label(&mut out, "request_protocol", "", protocol);
        out
    }

    fn finish(&self, out: &mut String) {
        let policy = match (self.direction, self.mtls) {
            (Direction::Outbound, _) => "unknown",
            (Direction::Inbound, true) => "mutual_tls",
            (Direction::Inbound, false) => "none",
        };
        label(out, "response_flags", "", self.reason.flag());
        label(out, "connection_security_policy", "", policy);
    }

    fn service_labels(&self) -> (&str, &str, &str) {
        let pod_namespace = self.destination.workload.as_deref().map(|w| w.namespace.as_str());
        match self.service {
            Some(service) => (&service.host, &service.name, pod_namespace.unwrap_or(&service.namespace)),
            None => (UNKNOWN, pass_through(self.direction, self.reason), pod_namespace.unwrap_or(UNKNOWN)),
        }
    }
}

/// What Istio calls traffic that no service matched.
const fn pass_through(direction: Direction, reason: Reason) -> &'static str {
    match (direction, reason) {
        (Direction::Inbound, _) => "InboundPassthroughCluster",
        (Direction::Outbound, Reason::UnknownDestination) => "BlackHoleCluster",
        (Direction::Outbound, _) => "PassthroughCluster",
    }
}

const fn reporter(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "destination",
        Direction::Outbound => "source",
    }
}

fn peer(out: &mut String, side: &str, peer: &PeerInfo) {
    let pod = peer.workload.as_deref();
    let principal = peer.principal.as_deref().map(ToString::to_string);
    let values = [
        pod.map(|w| w.name.as_str()),
        pod.map(|w| w.namespace.as_str()),
        principal.as_deref(),
        pod.map(|w| w.app()),
        pod.map(|w| w.version()),
        pod.map(|_| CLUSTER),
        pod.map(|w| w.canonical_name()),
        Some(pod.map_or("latest", |w| w.canonical_revision())),
    ];
    for (name, value) in PEER.iter().zip(values) {
        let _ = write!(out, ",{side}_");
        push(out, name, "", value.unwrap_or_default());
    }
}

fn label(out: &mut String, name: &str, suffix: &str, value: &str) {
    out.push(',');
    push(out, name, suffix, value);
}

/// `name="value"`, escaped as the exposition format demands; an empty value is `unknown`.
fn push(out: &mut String, name: &str, suffix: &str, value: &str) {
    let _ = write!(out, "{name}{suffix}=\"");
    for c in if value.is_empty() { UNKNOWN } else { value }.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
}

const UNKNOWN: &str = "unknown";
/// Istio's default cluster name.
const CLUSTER: &str = "Kubernetes";
/// Labels of either end, after `source_` and `destination_`.
const PEER: [&str; 8] = [
    "workload",
    "workload_namespace",
    "principal",
    "app",
    "version",
    "cluster",
    "canonical_service",
    "canonical_revision",
];
