//! Routes of a service: where its requests go.

use std::time::Duration;

use serde::Serialize;

use super::Labels;
use super::matching::StringMatch;
use super::traffic::RetryOn;
use crate::id::{Origin, ServiceId};

/// All route tables for one service's host: one wire resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Routes {
    /// The service.
    pub service: ServiceId,
    /// Candidates, in precedence order. [`crate::merge::route_table`] selects the one that a proxy sees.
    pub tables: Vec<RouteTable>,
}

/// One `VirtualService` or `TrafficSplit` for one host, or all `HTTPRoute`s and `GRPCRoute`s that hold for the same callers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteTable {
    /// The object; of a table of several objects the oldest, and each rule names its own.
    pub origin: Origin,
    /// Who sees it.
    pub export_to: ExportTo,
    /// HTTP rules, the first match wins. No match: [`crate::Reason::RouteNotFound`], as in Istio. Empty: the table says
    /// nothing of HTTP and requests go to the service itself.
    pub http: Vec<HttpRoute>,
    /// Service ports that `http` speaks of, in order; requests to others go to the service itself. Empty = every port.
    pub http_ports: Vec<u16>,
    /// Rules for opaque connections, the first match wins.
    pub tcp: Vec<TcpRoute>,
    /// Rules for TLS passed through, the first match wins.
    pub tls: Vec<TlsRoute>,
}

/// Which namespaces see an object (`exportTo`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ExportTo {
    /// Every namespace (`*`).
    #[default]
    All,
    /// These (`.` is resolved when lowered); empty = none (`~`).
    Namespaces(Vec<String>),
}

impl ExportTo {
    /// Whether `namespace` sees the object.
    #[must_use]
    pub fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Namespaces(ns) => ns.iter().any(|n| n == namespace),
        }
    }
}

/// One HTTP rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HttpRoute {
    /// Its name, may be empty.
    pub name: String,
    /// Line of the rule in its file, 0 where unknown.
    pub line: u32,
    /// Where it stands, in a table of several objects; `None`: in the table's object, at the place that it has in the table.
    pub origin: Option<Box<RuleOrigin>>,
    /// Alternatives; empty = every request.
    pub matches: Vec<HttpMatch>,
    /// What happens.
    pub action: RouteAction,
    /// Path and authority changes before forwarding.
    pub rewrite: Option<Rewrite>,
    /// Whole time for the request, retries included. `None`: no limit (Istio's default).
    pub timeout: Option<Duration>,
    /// Time for each try where `retry` says none. `None`: no limit.
    pub try_timeout: Option<Duration>,
    /// Retries asked for. `None`: the safe default (see [`crate::decide::retry`]).
    pub retry: Option<RetryPolicy>,
    /// Injected faults.
    pub fault: Option<Fault>,
    /// Copies sent elsewhere, their answers ignored.
    pub mirrors: Vec<Mirror>,
    /// Header changes for the whole rule.
    pub headers: HeaderOps,
    /// Cross-origin policy.
    pub cors: Option<Cors>,
}

impl HttpRoute {
    /// The object that the rule stands in, which need not be the table's.
    #[must_use]
    pub fn origin_in<'a>(&'a self, table: &'a RouteTable) -> &'a Origin {
        self.origin.as_deref().map_or(&table.origin, |own| &own.object)
    }

    /// Time for each try: of the retry policy, else the rule's own. `None`: no limit.
    #[must_use]
    pub fn time_of_try(&self) -> Option<Duration> {
        self.retry.as_ref().and_then(|policy| policy.per_try_timeout).or(self.try_timeout)
    }
}

/// The place of a rule in its object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleOrigin {
    /// The object.
    pub object: Origin,
    /// The rule's place in the object's list of rules, from 0.
    pub index: u32,
}

/// Conditions that must all hold (`HTTPMatchRequest`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HttpMatch {
    /// Its name, may be empty.
    pub name: String,
    /// Path without query.
    pub uri: Option<StringMatch>,
    /// `uri` without regard to case (exact and prefix).
    pub ignore_uri_case: bool,
    /// A prefix in `uri` ends where an element of the path ends: `/a` is a prefix of `/a` and `/a/b`, not of `/ab`. Written
    /// without a `/` at its end, so that `` is the prefix of every path.
    pub uri_by_element: bool,
    /// `http` or `https`.
    pub scheme: Option<StringMatch>,
    /// Method.
    pub method: Option<StringMatch>,
    /// Authority as the client sent it, without a port where the port is the one dialled.
    pub authority: Option<StringMatch>,
    /// `(lower-case name, condition)`.
    pub headers: Vec<(String, StringMatch)>,
    /// The opposite: none of these may hold.
    pub without_headers: Vec<(String, StringMatch)>,
    /// Query parameters.
    pub query: Vec<(String, StringMatch)>,
    /// Service port dialled.
    pub port: Option<u16>,
    /// Labels of the calling pod.
    pub source_labels: Labels,
    /// Namespace of the calling pod.
    pub source_namespace: Option<String>,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteAction {
    /// Forward to one of these by weight.
    Forward(Vec<WeightedBackend>),
    /// Answer with a redirect.
    Redirect(Redirect),
    /// Answer directly.
    Respond {
        /// Status.
        status: u16,
        /// Body, may be empty.
        body: String,
    },
}

impl Default for RouteAction {
    fn default() -> Self {
        Self::Forward(Vec::new())
    }
}

/// One weighted destination. Weights are relative: they need not add up to 100.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightedBackend {
    /// The destination.
    pub backend: Backend,
    /// Relative weight; 0 = none.
    pub weight: u32,
    /// Header changes for this destination.
    pub headers: HeaderOps,
    /// What the rule names does not exist or cannot be used: its share is answered, [`crate::Reason::InvalidBackend`].
    pub invalid: bool,
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Backend {
    /// The service.
    pub service: ServiceId,
    /// Subset of a `DestinationRule`.
    pub subset: Option<String>,
    /// Service port; `None` = the one that was dialled, or the only one.
    pub port: Option<u16>,
}

/// Changes of a path and authority (`HTTPRewrite`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rewrite {
    /// New path, or new prefix where the match was by prefix.
    pub uri: Option<String>,
    /// New path, whole whatever the match was.
    pub path: Option<String>,
    /// Pattern and substitution.
    pub uri_regex: Option<(super::Pattern, String)>,
    /// New authority.
    pub authority: Option<String>,
}

/// `HTTPRedirect`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Redirect {
    /// New path (whole), else the request's.
    pub uri: Option<String>,
    /// New prefix where the match was by prefix, and `uri` says nothing.
    pub prefix: Option<String>,
    /// New authority.
    pub authority: Option<String>,
    /// New scheme.
    pub scheme: Option<String>,
    /// New port.
    pub port: Option<u16>,
    /// The port follows from the rest, as in the Gateway API: where `port` says nothing it is the new scheme's own, or
    /// without a new scheme the one that was dialled; and it is left out where it is the scheme's own.
    pub derive_port: bool,
    /// 301 by default; 302, 303, 307, 308.
    pub status: u16,
}

/// Retries of a rule (`HTTPRetry`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RetryPolicy {
    /// Retries after the first try; 0 = none.
    pub attempts: u32,
    /// Time for each try. `None` = what is left of the whole.
    pub per_try_timeout: Option<Duration>,
    /// What is retried. For explicit policies this holds for every method.
    pub retry_on: RetryOn,
    /// Base of the exponential back-off; 25 ms as in Envoy.
    pub backoff: Duration,
    /// No retry comes sooner than this; 0 = at once where another endpoint may do better.
    pub least_backoff: Duration,
}

/// `HTTPFaultInjection`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Fault {
    /// `(share 0..=100, how long)`.
    pub delay: Option<(f64, Duration)>,
    /// `(share 0..=100, what)`.
    pub abort: Option<(f64, Abort)>,
}

/// What an injected abort answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Abort {
    /// HTTP status.
    Http(u16),
    /// gRPC status code.
    Grpc(u32),
}

/// A copy of requests (`HTTPMirrorPolicy`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mirror {
    /// Where to.
    pub backend: Backend,
    /// Share, 0..=100.
    pub percent: f64,
}

/// Header changes (`Headers`). Names are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderOps {
    /// Of the request.
    pub request: HeaderEdit,
    /// Of the response.
    pub response: HeaderEdit,
}

/// Changes of one set of headers: remove, then set, then add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderEdit {
    /// Overwritten.
    pub set: Vec<(String, String)>,
    /// Appended.
    pub add: Vec<(String, String)>,
    /// Removed.
    pub remove: Vec<String>,
}

/// `CorsPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cors {
    /// Origins allowed.
    pub allow_origins: Vec<StringMatch>,
    /// Methods.
    pub allow_methods: Vec<String>,
    /// Headers.
    pub allow_headers: Vec<String>,
    /// Exposed headers.
    pub expose_headers: Vec<String>,
    /// Preflight cache.
    pub max_age: Option<Duration>,
    /// Credentials.
    pub allow_credentials: Option<bool>,
    /// Preflights of other origins are answered too, without leave; else they are forwarded.
    pub answers_others: bool,
}

/// A rule for opaque connections (`TCPRoute`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TcpRoute {
    /// Alternatives; empty = every connection.
    pub matches: Vec<TcpMatch>,
    /// Destinations by weight.
    pub backends: Vec<WeightedBackend>,
}

/// `L4MatchAttributes` (and the part of it that `TLSMatchAttributes` shares).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TcpMatch {
    /// Service port dialled.
    pub port: Option<u16>,
    /// Destination networks; empty = any.
    pub destination_subnets: Vec<ipnet::IpNet>,
    /// Labels of the calling pod.
    pub source_labels: Labels,
    /// Namespace of the calling pod.
    pub source_namespace: Option<String>,
}

/// A rule for TLS passed through (`TLSRoute`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TlsRoute {
    /// `(SNI hosts, the rest)`; a leading `*.` is a wildcard.
    pub matches: Vec<(Vec<String>, TcpMatch)>,
    /// Destinations by weight.
    pub backends: Vec<WeightedBackend>,
}
