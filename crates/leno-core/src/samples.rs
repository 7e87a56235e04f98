//! What a proxy tells the live window about its traffic: `GET :15020/leno/v1/samples`.
//!
//! Everything is counted since the proxy started. A series that was idle for ten minutes is left out from then on, and
//! starts again at zero; [`Samples::started_ms`] tells a restart.

use serde::{Deserialize, Serialize};

use crate::id::{Direction, ServiceId};
use crate::sketch::Sketch;

/// All of one proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Samples {
    /// Namespace of the proxy's pod.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// The pod's owner, else the pod.
    pub workload: String,
    /// Kind of the owner: `deployment`, `statefulset`, `job`, `pod`.
    pub kind: String,
    /// The proxy's version.
    pub version: String,
    /// When the proxy started, milliseconds since 1970: another value means that every count began anew.
    pub started_ms: u64,
    /// Requests.
    pub requests: Vec<RequestSample>,
    /// Opaque connections.
    pub tcp: Vec<TcpSample>,
}

/// Requests of one kind between two pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestSample {
    /// What they have in common.
    #[serde(flatten)]
    pub labels: RequestLabels,
    /// Response flag, `-` for none.
    pub flags: String,
    /// How many.
    pub count: u64,
    /// How often they were sent to an endpoint, retries included.
    #[serde(default)]
    pub tries: u64,
    /// Of these, how often anew.
    #[serde(default)]
    pub retries: u64,
    /// Their durations.
    pub sketch: Sketch,
}

/// What tells requests apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestLabels {
    /// Which way they crossed the proxy.
    pub direction: Direction,
    /// The caller.
    pub source: PeerLabels,
    /// The pod that answered.
    pub destination: PeerLabels,
    /// The service that was dialled.
    pub service: Option<ServiceId>,
    /// The route rule's name, may be empty.
    pub route: String,
    /// Whether they were mutual TLS between the proxies.
    pub mtls: bool,
    /// HTTP status; 0 when the client got none.
    pub status: u16,
    /// gRPC status.
    pub grpc: Option<u32>,
    /// [`crate::Reason`] in snake case.
    pub reason: String,
    /// `NAMESPACE/NAME` of the authorization policy that let it pass or denied it, on the callee's side; empty where none
    /// did alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy: String,
}

/// Opaque connections between two pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpSample {
    /// What they have in common.
    #[serde(flatten)]
    pub labels: TcpLabels,
    /// Opened.
    pub opened: u64,
    /// Closed.
    pub closed: u64,
    /// Bytes to the client.
    pub sent: u64,
    /// Bytes from the client.
    pub received: u64,
}

/// What tells opaque connections apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TcpLabels {
    /// Which way they crossed the proxy.
    pub direction: Direction,
    /// The caller.
    pub source: PeerLabels,
    /// The pod behind.
    pub destination: PeerLabels,
    /// The service that was dialled.
    pub service: Option<ServiceId>,
    /// Whether they were mutual TLS between the proxies.
    pub mtls: bool,
}

/// One end; empty texts where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PeerLabels {
    /// Namespace.
    pub namespace: String,
    /// Owner's name, else the pod's.
    pub workload: String,
    /// Owner's kind.
    pub kind: String,
    /// Pod.
    pub pod: String,
    /// SPIFFE ID that its certificate proved; empty for plaintext.
    pub principal: String,
}
