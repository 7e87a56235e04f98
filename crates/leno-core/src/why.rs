//! Why a request goes where it goes, and what becomes of it: the decisions of both sidecars, one after the other, as data.
//!
//! [`outbound()`] walks the caller's side and [`inbound()`] the callee's, by the functions of [`crate::decide`] that the proxy
//! judges real requests by, and in the order of its phases. Nothing is drawn: where chance decides, all alternatives are
//! told with their shares. [`conclude`] adds up what would come back.
//!
//! A sidecar answers from its own live state (its admin page `/leno/v1/why`), the command line from files.

mod branch;
mod dialled;
mod inbound;
mod outbound;
mod outcome;
mod plain;
mod rules;
#[cfg(test)]
mod tests;
mod wire;
pub mod words;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Reason;
use crate::id::{Origin, ServiceId, SpiffeId};
use crate::merge::Viewer;
use crate::model::{Address, DestinationRule, Endpoints, MeshConfig, RouteTable, Service, Workload};

pub use inbound::{Callee, inbound};
pub use outbound::{CONNECT_TRIES, outbound};
pub use outcome::conclude;
pub use wire::{MAX_QUESTION, from_hex, to_hex};

/// A request that is imagined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Method; empty for an opaque connection.
    pub method: String,
    /// `Host` or `:authority`.
    pub authority: String,
    /// Path with query.
    pub path: String,
    /// `(lower-case name, value)`.
    pub headers: Vec<(String, String)>,
    /// What the application speaks.
    pub spoken: Spoken,
    /// Address that the application dials.
    pub dialled: SocketAddr,
    /// Address of the calling pod.
    pub client: IpAddr,
    /// Why the connection passes by the caller's sidecar (an annotation that exempts its port); `None`: it does not.
    #[serde(default)]
    pub bypass: Option<String>,
}

/// What a client's first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spoken {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in plaintext, such as gRPC.
    Http2,
    /// TLS of the application's own.
    Tls,
    /// Anything else.
    Opaque,
}

impl Spoken {
    /// Whether it is HTTP that a proxy can read.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http1 | Self::Http2)
    }
}

/// What was decided, and what would come back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Decisions up to where the destinations part.
    pub steps: Vec<Step>,
    /// What happens to some of the requests before any is forwarded: injected failures.
    pub early: Vec<Share>,
    /// Destinations, by weight; none where it does not get so far.
    pub branches: Vec<Branch>,
    /// The last one, where it is stopped before it gets to any destination.
    pub stopped: Option<Failure>,
    /// Which failed tries are repeated; nothing where the caller has no sidecar.
    #[serde(default)]
    pub retry: Retrying,
    /// What would come back, by share; see [`conclude`].
    pub outcomes: Vec<Outcome>,
}

/// One decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What is decided: `interception`, `destination`, `protocol`, `route`, `rewrite`, `fault`, `timeout`, `retries`,
    /// `mirror`, `subset`, `limits`, `balancer`, `mtls`, `authorization`, `application`.
    pub what: String,
    /// The decision, in words.
    pub says: String,
    /// More of it, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<String>,
    /// The object that says so, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Line in the object's file; 0: not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub line: u32,
    /// The rule of the object that it is about, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// The request ends here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stops: bool,
}

/// How it ends where it does not get through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// Status that the client gets; 0: its connection is closed without an answer.
    pub status: u16,
    /// More words: the object, the address. May be empty.
    pub detail: String,
}

/// Some of the requests, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// `0.0..=1.0` of all.
    pub share: f64,
    /// What.
    pub failure: Failure,
}

/// Which failed tries the caller's sidecar repeats, on another pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retrying {
    /// Retries after the first try; 0 = none.
    pub attempts: u32,
    /// It carries requests, so that a failure becomes an answer; else bytes.
    pub requests: bool,
    /// Where no connection was made.
    pub connect: bool,
    /// Where the connection ended without an answer.
    pub reset: bool,
    /// Where an authorization policy denied it.
    pub denied: bool,
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// `0.0..=1.0` of the requests that are forwarded.
    pub share: f64,
    /// The rule's weight; `None`: no rule weighs it.
    pub weight: Option<u32>,
    /// The service; `None`: the address itself.
    pub service: Option<ServiceId>,
    /// Its port; 0 for an address.
    pub port: u16,
    /// The subset.
    pub subset: Option<String>,
    /// Decisions about it.
    pub steps: Vec<Step>,
    /// Pods behind it.
    pub candidates: Vec<Candidate>,
    /// It cannot get further.
    pub stopped: Option<Failure>,
}

/// A pod, or an address outside of the mesh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it is dialled.
    pub address: SocketAddr,
    /// Its namespace; empty for an address outside.
    pub namespace: String,
    /// Pod; empty for an address outside.
    pub pod: String,
    /// Its identity; `None`: it has no sidecar.
    pub identity: Option<String>,
    /// Whether it takes requests.
    pub state: State,
    /// Its share of the branch's requests, `0.0..=1.0`.
    pub share: f64,
    /// Whether the connection to it is mutual TLS.
    pub secured: bool,
    /// Decisions about it.
    pub steps: Vec<Step>,
    /// It cannot be connected to.
    pub stopped: Option<Failure>,
    /// What arrives at its sidecar; `None`: it has none, or nothing arrives.
    pub arriving: Option<Arriving>,
    /// What its sidecar decides.
    pub inbound: Option<Inbound>,
}

/// Whether an endpoint takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    Ready,
    /// It is not ready, or is being deleted.
    Unready,
    /// It failed too often in a row, and is left out for some time.
    Ejected,
}

/// What a callee's sidecar sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arriving {
    /// Identity that the client proves; `None`: plaintext.
    pub peer: Option<SpiffeId>,
    /// Server name of mutual TLS.
    pub sni: Option<String>,
    /// What is inside.
    pub spoken: Spoken,
    /// The client's address.
    pub client: IpAddr,
    /// The pod's address and port.
    pub dialled: SocketAddr,
    /// Method; empty for an opaque connection.
    pub method: String,
    /// `Host` or `:authority`.
    pub authority: String,
    /// Path with query.
    pub path: String,
    /// `(lower-case name, value)`.
    pub headers: Vec<(String, String)>,
}

/// What a callee's sidecar decides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inbound {
    /// Whether the sidecar itself said so; else it was worked out from objects.
    pub live: bool,
    /// Decisions.
    pub steps: Vec<Step>,
    /// It does not get to the application.
    pub stopped: Option<Failure>,
}

/// Something that would come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `0.0..=1.0` of all such requests.
    pub share: f64,
    /// Why.
    pub reason: Reason,
    /// Istio's response flag.
    pub flag: String,
    /// Status that the client gets; `None`: the application's; 0: its connection is closed without an answer.
    pub status: Option<u16>,
    /// The reason's sentence, and more words.
    pub words: String,
    /// Destination that it is about: `service:port subset`; empty where it is about none.
    pub to: String,
}

/// The caller.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its pod.
    pub workload: Arc<Workload>,
    /// For whom rules are selected.
    pub viewer: Arc<Viewer>,
    /// Settings of the mesh.
    pub mesh: Arc<MeshConfig>,
    /// Addresses of its pod.
    pub own: Vec<IpAddr>,
    /// Whether it has a sidecar.
    pub meshed: bool,
}

/// A service as one caller sees it.
#[derive(Clone, Debug)]
pub struct View {
    /// The service.
    pub service: Arc<Service>,
    /// Its endpoints.
    pub endpoints: Arc<Endpoints>,
    /// The route table that the caller sees, if any.
    pub routes: Option<Arc<RouteTable>>,
    /// The destination rule that holds for the caller, if any.
    pub rule: Option<Arc<DestinationRule>>,
}

/// The answer to a question about the mesh.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// It exists.
    Found(T),
    /// It does not.
    Absent,
    /// The control plane has not said.
    Unknown,
}

/// Which endpoints of a service are meant.
#[derive(Clone, Copy, Debug)]
pub struct Backend<'a> {
    /// The service.
    pub service: &'a ServiceId,
    /// The subset.
    pub subset: Option<&'a str>,
    /// The service's port.
    pub port: u16,
}

/// What a caller's sidecar knows of the mesh, or would know.
pub trait Known {
    /// The caller.
    fn caller(&self) -> Caller;

    /// What an address stands for.
    fn address(&self, ip: IpAddr) -> Found<Arc<Address>>;

    /// A service.
    fn service(&self, id: &ServiceId) -> Found<View>;

    /// Whether the caller leaves this endpoint out for failing too often.
    fn is_ejected(&self, of: Backend<'_>, endpoint: SocketAddr) -> bool;

    /// Whether a rewritten path (with query), and authority where that is rewritten, can be sent at all.
    fn is_target(&self, path: &str, authority: Option<&str>) -> bool;
}

impl Step {
    fn new(what: &str, says: impl Into<String>) -> Self {
        Self { what: what.to_owned(), says: says.into(), ..Self::default() }
    }

    fn by(mut self, origin: Option<&Origin>, line: u32) -> Self {
        self.origin = origin.cloned();
        self.line = line;
        self
    }

    fn with(mut self, more: Vec<String>) -> Self {
        self.more = more;
        self
    }

    const fn stopping(mut self) -> Self {
        self.stops = true;
        self
    }
}

impl Failure {
    /// With the status that `reason` stands for.
    fn of(reason: Reason, detail: impl Into<String>) -> Self {
        let status = if reason.status() == 0 { 503 } else { reason.status() };
        Self { reason, status, detail: detail.into() }
    }

    /// The client's connection is closed without an answer.
    fn closed(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, status: 0, detail: detail.into() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(line: &u32) -> bool {
    *line == 0
}
