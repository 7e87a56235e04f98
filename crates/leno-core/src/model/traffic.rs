//! Traffic policy: what a `DestinationRule` says, and what is retried.

use std::time::Duration;

use serde::Serialize;

use super::Labels;
use super::route::ExportTo;
use crate::id::Origin;

/// One `DestinationRule` for one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DestinationRule {
    /// The object; its namespace takes part in the selection.
    pub origin: Origin,
    /// Who sees it.
    pub export_to: ExportTo,
    /// Calling pods it holds for; empty = all.
    pub workload_selector: Labels,
    /// Policy for all ports.
    pub policy: TrafficPolicy,
    /// `(service port, policy)`: replaces `policy` for the port, block by block.
    pub ports: Vec<(u16, TrafficPolicy)>,
    /// Named sets of endpoints.
    pub subsets: Vec<Subset>,
}

/// A named set of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Subset {
    /// Its name.
    pub name: String,
    /// Labels of its pods.
    pub labels: Labels,
    /// Overrides of the rule's policy, block by block.
    pub policy: TrafficPolicy,
    /// Overrides by port.
    pub ports: Vec<(u16, TrafficPolicy)>,
}

/// Istio's `TrafficPolicy`. `None` = inherit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrafficPolicy {
    /// Load balancer.
    pub balancer: Option<Balancer>,
    /// Limits.
    pub pool: Option<ConnectionPool>,
    /// Ejection of failing endpoints.
    pub outlier: Option<OutlierDetection>,
    /// TLS towards the endpoints.
    pub tls: Option<ClientTls>,
}

impl TrafficPolicy {
    /// `self` where it says something, else `wider`, block by block.
    #[must_use]
    pub fn or(&self, wider: &Self) -> Self {
        Self {
            balancer: self.balancer.clone().or_else(|| wider.balancer.clone()),
            pool: self.pool.clone().or_else(|| wider.pool.clone()),
            outlier: self.outlier.clone().or_else(|| wider.outlier.clone()),
            tls: self.tls.clone().or_else(|| wider.tls.clone()),
        }
    }
}

/// How one endpoint is chosen among many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Balancer {
    /// Two at random, the one with the lower latency x outstanding requests (peak EWMA). The default.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// At random.
    Random,
    /// The original destination (`PASSTHROUGH`).
    Passthrough,
    /// By a hash, on a ring.
    ConsistentHash {
        /// What is hashed.
        key: HashKey,
        /// Points on the ring at least; 1024.
        minimum_ring_size: u32,
    },
}

/// What a consistent hash is taken of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HashKey {
    /// A header.
    Header(String),
    /// A query parameter.
    Query(String),
    /// The client's address.
    SourceIp,
    /// A cookie, set by the proxy where the client has none and a TTL is given.
    Cookie {
        /// Name.
        name: String,
        /// Path.
        path: String,
        /// Life; 0 = session cookie.
        ttl: Option<Duration>,
    },
}

/// `ConnectionPoolSettings`: `None` = no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionPool {
    /// Connections to the service (TCP and HTTP/1).
    pub max_connections: Option<u32>,
    /// Connect timeout; 10 s.
    pub connect_timeout: Option<Duration>,
    /// Idle time after which a TCP connection is closed; 1 h.
    pub tcp_idle_timeout: Option<Duration>,
    /// Requests waiting for a connection.
    pub http1_max_pending: Option<u32>,
    /// Requests in flight to the service.
    pub http2_max_requests: Option<u32>,
    /// Requests on one connection.
    pub max_requests_per_connection: Option<u32>,
    /// Retries in flight.
    pub max_retries: Option<u32>,
    /// Idle time after which an HTTP connection is closed; 1 h.
    pub http_idle_timeout: Option<Duration>,
}

/// `OutlierDetection`, with Istio's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutlierDetection {
    /// 5xx (and connection failures) in a row; 5. 0 = off.
    pub consecutive_5xx: u32,
    /// 502, 503, 504 (and connection failures) in a row; 0 = off.
    pub consecutive_gateway: u32,
    /// Failures to connect in a row; 5, counted apart only when `split_local_origin`.
    pub consecutive_local_origin: u32,
    /// Count local-origin failures apart.
    pub split_local_origin: bool,
    /// Time between sweeps; 10 s.
    pub interval: Duration,
    /// First ejection's length; multiplied by the number of ejections; 30 s.
    pub base_ejection: Duration,
    /// Share of endpoints that may be ejected, in percent; 10. At least one may be.
    pub max_ejection_percent: u32,
    /// Below this share of healthy endpoints all are used (panic); 0 = never.
    pub min_health_percent: u32,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway: 0,
            consecutive_local_origin: 5,
            split_local_origin: false,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection_percent: 10,
            min_health_percent: 0,
        }
    }
}

/// TLS towards endpoints (`ClientTLSSettings`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientTls {
    /// Mode.
    pub mode: ClientTlsMode,
    /// Identities accepted instead of the endpoint's own (SPIFFE URIs or DNS names).
    pub subject_alt_names: Vec<String>,
    /// SNI to send.
    pub sni: Option<String>,
}

/// `ClientTLSSettings.mode`; SIMPLE and MUTUAL (own files) are refused by name where they are lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientTlsMode {
    /// Plaintext.
    Disable,
    /// The mesh's own mutual TLS.
    IstioMutual,
}

/// What is retried (Envoy's `retry_on` and `retry_grpc_on` words). `Default` = nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetryOn {
    /// `5xx`: any 5xx, and no answer at all (connect failure, reset, refused stream, per-try timeout).
    pub five_xx: bool,
    /// `gateway-error`: 502, 503, 504.
    pub gateway_error: bool,
    /// `reset`: the connection ended, was reset or timed out before an answer.
    pub reset: bool,
    /// `reset-before-request`: the same, before the request's head was sent whole.
    pub reset_before_request: bool,
    /// `connect-failure`.
    pub connect_failure: bool,
    /// `refused-stream`: HTTP/2 `REFUSED_STREAM`.
    pub refused_stream: bool,
    /// `retriable-4xx`: 409.
    pub retriable_4xx: bool,
    /// Status codes (`retriable-status-codes` with numbers).
    pub statuses: Vec<u16>,
    /// gRPC status codes (`cancelled` 1, `deadline-exceeded` 4, `internal` 13, `resource-exhausted` 8, `unavailable` 14).
    pub grpc: Vec<u32>,
}
