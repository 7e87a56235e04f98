//! Requests as a sidecar saw them end: `GET /leno/v1/tap?from=N`, on the pod's loopback (15000) for whoever may
//! port-forward to it, and over mutual TLS (15020) for leno-viz alone. With `&headers=1` also their headers, of which
//! [`masked`] leaves out what may be secret.

mod headers;

pub use headers::{MOST_HEADERS, masked, path};

use serde::{Deserialize, Serialize};

/// An answer. The first question names no number; each further one the `next` of the answer before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Taps {
    /// Number to ask for next.
    pub next: u64,
    /// Requests that ended since the number asked for, and were not kept.
    pub missed: u64,
    /// In the order in which they ended.
    pub requests: Vec<Tapped>,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tapped {
    /// When its head arrived, milliseconds since 1970.
    pub at_ms: u64,
    /// Whether it was asked of the sidecar's pod; else its pod asked.
    pub inbound: bool,
    /// `x-request-id`.
    pub request_id: String,
    /// The caller.
    pub source: Peer,
    /// The pod that answered, or would have.
    pub destination: Peer,
    /// `NAME.NAMESPACE` of the service that was dialled; may be empty.
    pub service: String,
    /// Method.
    pub method: String,
    /// `Host` or `:authority`.
    pub authority: String,
    /// Path; of a query only the keys.
    pub path: String,
    /// Status that the client got; 0 when it got none.
    pub status: u16,
    /// gRPC status, for gRPC.
    pub grpc: Option<u32>,
    /// Envoy's response code details.
    pub reason: String,
    /// How it failed, in words; empty where it did not.
    pub words: String,
    /// Istio's response flag; `-` for none.
    pub flags: String,
    /// From the first byte of the request to the last of the response.
    pub latency_ms: f64,
    /// The route rule's name; may be empty.
    pub route: String,
    /// Whether it was mutual TLS between the sidecars.
    pub secured: bool,
    /// Tries, the first one included.
    pub attempts: u32,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
    /// Headers of the request as the client sent them, by [`masked`]; empty unless asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers: Vec<(String, String)>,
    /// Headers of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<(String, String)>,
}

/// One end; empty where not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Kind of its owner.
    pub kind: String,
    /// Its owner's name, else the pod's.
    pub workload: String,
    /// Address and port.
    pub address: String,
}

/// What a sidecar remembers of requests and connections that failed: `GET :15000/leno/v1/failures` on the pod's loopback.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failures {
    /// The oldest first.
    pub failures: Vec<Remembered>,
    /// Older ones that had to make room.
    pub forgotten: u64,
}

/// One request that failed, or one connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// What is known of it. A connection has no method.
    #[serde(flatten)]
    pub request: Tapped,
    /// More words: the policy's name, the error's text. May be empty.
    pub detail: String,
    /// Address and port that the client dialled; may be empty.
    pub dialled: String,
    /// Istio's name of the cluster that was chosen; may be empty.
    pub cluster: String,
}
