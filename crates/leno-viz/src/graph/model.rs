//! The graph as it is answered.

use serde::Serialize;

use crate::model::{Covered, Secured};
use crate::rules::RuleRef;

/// `GET /api/v1/topology`.
#[derive(Debug, Serialize)]
pub struct Graph {
    /// When it was made, milliseconds since 1970.
    pub at_ms: u64,
    /// Window asked for, in seconds.
    pub window_s: f64,
    /// By id.
    pub nodes: Vec<Node>,
    /// By ends.
    pub edges: Vec<Edge>,
}

/// Something that is asked or asks.
#[derive(Debug, Serialize)]
pub struct Node {
    /// `workload/NAMESPACE/KIND/NAME`, `service/NAMESPACE/NAME`, `outside/NAME`, `unknown`.
    pub id: String,
    /// `workload`, `service`, `outside`, `unknown`.
    pub kind: &'static str,
    /// Empty for what is in none.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Kind of a workload, lower case.
    pub owner: String,
    /// Pods with a sidecar that answers.
    pub pods: u64,
    /// The time that its figures cover; `None` where nobody told of any.
    pub covered: Option<Covered>,
    /// What it was asked: a workload by its own account, a service by its callers'.
    #[serde(flatten)]
    pub signals: Signals,
}

/// Traffic from one node to another.
#[derive(Debug, Serialize)]
pub struct Edge {
    /// Id of the caller.
    pub from: String,
    /// Id of the callee.
    pub to: String,
    /// Whether all, none or some of it is mutual TLS; `None` where no connection came about.
    pub secured: Option<Secured>,
    /// SPIFFE ID of the caller, where all agree on one.
    pub client_id: String,
    /// SPIFFE ID of the callee.
    pub server_id: String,
    /// Golden signals.
    #[serde(flatten)]
    pub signals: Signals,
    /// Opaque connections that are open now.
    pub tcp_conns: u64,
    /// Bytes a second of opaque connections, both ways.
    pub bytes_s: f64,
    /// Share of the service's traffic that a rule gives to this workload, 0 to 1.
    pub wanted: Option<f64>,
    /// Share that it got of the requests under that rule, else of all.
    pub seen: Option<f64>,
    /// How requests failed, the most frequent first.
    pub failures: Vec<Failure>,
}

/// Golden signals.
#[derive(Debug, Default, Serialize)]
pub struct Signals {
    /// Share that succeeded, 0 to 1; `None` = no requests.
    pub success: Option<f64>,
    /// Requests a second.
    pub rps: f64,
    /// Median latency, milliseconds.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Requests counted.
    pub requests: u64,
}

/// Requests that failed alike.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// Name of the route rule, may be empty.
    pub route: String,
    /// [`leno_core::Reason`] in snake case.
    pub reason: String,
    /// The reason in words; empty for one that this version does not know.
    pub words: &'static str,
    /// HTTP status, 0 for none.
    pub status: u16,
    /// gRPC status.
    pub grpc: Option<u32>,
    /// How many.
    pub count: u64,
    /// The rule that they went by; `None` where no rule has that name.
    pub rule: Option<RuleRef>,
}
