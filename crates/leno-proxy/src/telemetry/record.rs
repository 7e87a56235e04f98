//! What the data path says about one request or one connection: everything that metrics, the access log and the live
//! window need, and nothing that they work out themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderName;
use leno_core::Reason;
use leno_core::cel::Message;
use leno_core::id::{Direction, Origin, ServiceId, SpiffeId};
use leno_core::model::{Policies, Workload};
use leno_core::trace::{SpanId, TraceId};
use leno_http::Fields;

use super::text::Text;

/// One request that ended, in whatever way.
///
/// The `Arc`s are what makes it cheap: telemetry finds a request's series by their addresses, so share them between
/// requests (one per workload, per service, per connection) instead of building them anew. Text that is not known is
/// left empty.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// Which way it crossed this proxy.
    pub direction: Direction,
    /// When its head arrived.
    pub start: SystemTime,
    /// From the first byte of the request to the last of the response.
    pub duration: Duration,
    /// What the upstream took until its response head (the last attempt); `None` when it never answered.
    pub upstream_time: Option<Duration>,
    /// HTTP or gRPC.
    pub protocol: ReqProtocol,
    /// Method.
    pub method: Text,
    /// Path with query, as the client sent it.
    pub path: Text,
    /// `Host` or `:authority`.
    pub authority: Text,
    /// `User-Agent`.
    pub user_agent: Text,
    /// `x-request-id`.
    pub request_id: Text,
    /// `x-forwarded-for`.
    pub forwarded_for: Text,
    /// Version that the client spoke.
    pub http_version: HttpVersion,
    /// Status that the client got; 0 when it got none.
    pub status: u16,
    /// gRPC status, for gRPC.
    pub grpc_status: Option<u32>,
    /// How it ended.
    pub reason: Reason,
    /// More words for the log: the error's text, the policy's name. May be empty.
    pub detail: String,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
    /// gRPC messages from the client.
    pub request_messages: u64,
    /// gRPC messages to the client.
    pub response_messages: u64,
    /// Tries, the first one included; 0 when it never left this proxy.
    pub attempts: u32,
    /// Whether the connection between the proxies was mutual TLS.
    pub mtls: bool,
    /// The caller.
    pub source: PeerInfo,
    /// The pod that answered, or would have.
    pub destination: PeerInfo,
    /// The service that was dialled; `None` = the destination is no service of the mesh.
    pub service: Option<Arc<ServiceRef>>,
    /// The endpoint.
    pub upstream_addr: Option<SocketAddr>,
    /// This proxy's own address towards the endpoint.
    pub upstream_local: Option<SocketAddr>,
    /// Istio's cluster name: `outbound|PORT|SUBSET|HOST`, `inbound|PORT||`. May be empty.
    pub upstream_cluster: Arc<str>,
    /// Where the client connected to (the original destination).
    pub downstream_local: Option<SocketAddr>,
    /// The client.
    pub downstream_remote: Option<SocketAddr>,
    /// Server name that the client asked for by TLS. May be empty.
    pub sni: Arc<str>,
    /// Name of the route rule. May be empty.
    pub route_name: Arc<str>,
    /// The authorization policy that let it pass or denied it; `None` where none did alone.
    pub policy: Option<PolicyRef>,
    /// Headers, only while somebody watches them.
    pub watched: Option<Box<Headers>>,
    /// Headers that a log format, a filter, a label or a span asks for; `None` where none does.
    pub headers: Option<Box<Captured>>,
    /// Its place in a trace; `None` where traces are off.
    pub span: Option<Box<SpanRef>>,
}

/// One authorization policy, by the resource that holds it: nothing is copied for a request.
#[derive(Clone, Debug)]
pub struct PolicyRef {
    /// All of its namespace.
    pub among: Arc<Policies>,
    /// Its place in `among.authorization`.
    pub index: usize,
}

impl PolicyRef {
    /// The policy of that origin, which lies in one of `all`.
    #[must_use]
    pub fn find(all: [&Arc<Policies>; 2], origin: &Origin) -> Option<Self> {
        all.into_iter().find_map(|among| {
            let index = among.authorization.iter().position(|policy| std::ptr::eq(&policy.origin, origin))?;
            Some(Self { among: Arc::clone(among), index })
        })
    }

    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.among.authorization.get(self.index).map(|policy| &policy.origin)
    }
}

/// Headers of a request and its answer, as they may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// As the client sent them.
    pub request: Vec<(String, String)>,
    /// As the client got them.
    pub response: Vec<(String, String)>,
}

impl RequestRecord {
    /// A record with everything unknown, to be filled in.
    #[must_use]
    pub fn new(direction: Direction) -> Self {
        Self::begun(direction, SystemTime::now())
    }

    /// The same of a request that began at `start`.
    #[must_use]
    pub fn begun(direction: Direction, start: SystemTime) -> Self {
        let none: Arc<str> = Arc::default();
        Self {
            direction,
            start,
            duration: Duration::ZERO,
            upstream_time: None,
            protocol: ReqProtocol::Http,
            method: Text::default(),
            path: Text::default(),
            authority: Text::default(),
            user_agent: Text::default(),
            request_id: Text::default(),
            forwarded_for: Text::default(),
            http_version: HttpVersion::Http11,
            status: 0,
            grpc_status: None,
            reason: Reason::Answered,
            detail: String::new(),
            request_bytes: 0,
            response_bytes: 0,
            request_messages: 0,
            response_messages: 0,
            attempts: 0,
            mtls: false,
            source: PeerInfo::default(),
            destination: PeerInfo::default(),
            service: None,
            upstream_addr: None,
            upstream_local: None,
            upstream_cluster: Arc::clone(&none),
            downstream_local: None,
            downstream_remote: None,
            sni: Arc::clone(&none),
            route_name: none,
            policy: None,
            watched: None,
            headers: None,
            span: None,
        }
    }

    /// Whether the mesh made it fail or the application answered 5xx: what the access log's `Errors` mode keeps.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.reason.is_failure() || self.status >= 500
    }
}

/// Headers that were asked for, by their names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Of the request.
    pub request: Vec<(Arc<str>, String)>,
    /// Of the answer.
    pub response: Vec<(Arc<str>, String)>,
}

impl Captured {
    /// Keeps those of `headers` that are wanted, if there are any.
    pub(super) fn take(kept: &mut Option<Box<Self>>, of: Message, headers: &Fields, wanted: &[(HeaderName, Arc<str>)]) {
        for (name, text) in wanted {
            if let Some(value) = headers.get(name).and_then(|v| v.to_str().ok()) {
                let kept = kept.get_or_insert_default();
                let list = if of == Message::Request { &mut kept.request } else { &mut kept.response };
                list.push((Arc::clone(text), value.to_owned()));
            }
        }
    }

    /// A header's value.
    #[must_use]
    pub fn get(&self, of: Message, name: &str) -> Option<&str> {
        let list = if of == Message::Request { &self.request } else { &self.response };
        list.iter().find(|(n, _)| **n == *name).map(|(_, value)| value.as_str())
    }
}

/// A request's place in its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanRef {
    /// The trace.
    pub trace: TraceId,
    /// The span of this proxy.
    pub span: SpanId,
    /// The span that it is a child of.
    pub parent: Option<SpanId>,
    /// Whether it goes to the collector.
    pub sampled: bool,
    /// `tracestate`, as it came.
    pub state: String,
}

/// One opaque connection, known when it opens. What is learned later goes to [`super::TcpGuard`].
#[derive(Clone, Debug)]
pub struct TcpLabels {
    /// Which way it crosses this proxy.
    pub direction: Direction,
    /// Whether the connection between the proxies is mutual TLS.
    pub mtls: bool,
    /// The caller.
    pub source: PeerInfo,
    /// The pod behind it.
    pub destination: PeerInfo,
    /// The service that was dialled; `None` = the destination is no service of the mesh.
    pub service: Option<Arc<ServiceRef>>,
    /// The endpoint.
    pub upstream_addr: Option<SocketAddr>,
    /// This proxy's own address towards the endpoint.
    pub upstream_local: Option<SocketAddr>,
    /// Istio's cluster name. May be empty.
    pub upstream_cluster: Arc<str>,
    /// Where the client connected to (the original destination).
    pub downstream_local: Option<SocketAddr>,
    /// The client.
    pub downstream_remote: Option<SocketAddr>,
    /// Server name that the client asked for by TLS. May be empty.
    pub sni: Arc<str>,
}

impl TcpLabels {
    /// Labels with everything unknown, to be filled in.
    #[must_use]
    pub fn new(direction: Direction) -> Self {
        Self {
            direction,
            mtls: false,
            source: PeerInfo::default(),
            destination: PeerInfo::default(),
            service: None,
            upstream_addr: None,
            upstream_local: None,
            upstream_cluster: Arc::default(),
            downstream_local: None,
            downstream_remote: None,
            sni: Arc::default(),
        }
    }
}

/// One end of a request.
#[derive(Clone, Debug, Default)]
pub struct PeerInfo {
    /// The pod; `None` = not a pod of the mesh, or not known.
    pub workload: Option<Arc<Workload>>,
    /// Its identity as its certificate proved it; `None` for plaintext.
    pub principal: Option<Arc<SpiffeId>>,
}

/// A service as metrics name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceRef {
    /// `name.namespace.svc.cluster.local`.
    pub host: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

impl From<&ServiceId> for ServiceRef {
    fn from(id: &ServiceId) -> Self {
        Self { host: id.host(), name: id.name.clone(), namespace: id.namespace.clone() }
    }
}

/// `request_protocol` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReqProtocol {
    /// Plain HTTP.
    Http,
    /// gRPC.
    Grpc,
}

impl ReqProtocol {
    /// As the label says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// HTTP version, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl HttpVersion {
    /// As Envoy's `%PROTOCOL%` writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}
