//! The part of CEL that Istio documents for access log filters and metric labels: attributes of a request, comparisons,
//! `&&`, `||`, `!`, `in`, `+`, `?:`, `has()` and a few functions on texts.
//!
//! What is not in it is refused by name when an object is read, never guessed at. An attribute that a request does not
//! have makes the expression around it unknown ([`None`]), as in CEL: a filter that is unknown keeps nothing, a label is
//! `unknown`.

mod parse;

use regex::Regex;

pub use parse::{MAX_DEPTH, MAX_LENGTH};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Truth.
    Bool(bool),
    /// A number. Durations are nanoseconds.
    Int(i64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
}

impl Value {
    /// As a label shows it.
    #[must_use]
    pub fn show(&self) -> String {
        match self {
            Self::Bool(b) => b.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(items) => items.iter().map(Self::show).collect::<Vec<_>>().join(","),
        }
    }
}

/// What an expression can ask about one request or connection.
pub trait Facts {
    /// An attribute; `None` = this request has none.
    fn attribute(&self, attribute: Attribute) -> Option<Value>;

    /// A header, by its name in lower case.
    fn header(&self, of: Message, name: &str) -> Option<&str>;

    /// A label of one of the two pods.
    fn label(&self, peer: Peer, name: &str) -> Option<&str>;
}

/// Request or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The request.
    Request,
    /// Its answer.
    Response,
}

/// An end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Who calls.
    Downstream,
    /// Who is called.
    Upstream,
}

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident = $($text:literal)|+;)*) => {
        /// Something that is known of a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Attribute { $($(#[$doc])* $name,)* }

        impl Attribute {
            fn named(path: &str) -> Option<Self> {
                match path { $($($text)|+ => Some(Self::$name),)* _ => None }
            }
        }
    };
}

attributes! {
    /// Path with query.
    RequestPath = "request.path";
    /// Path without query.
    RequestUrlPath = "request.url_path";
    /// Query.
    RequestQuery = "request.query";
    /// `Host`.
    RequestHost = "request.host";
    /// `http`.
    RequestScheme = "request.scheme";
    /// Method.
    RequestMethod = "request.method";
    /// `User-Agent`.
    RequestUserAgent = "request.useragent";
    /// `Referer`.
    RequestReferer = "request.referer";
    /// `x-request-id`.
    RequestId = "request.id";
    /// HTTP version.
    RequestProtocol = "request.protocol";
    /// Nanoseconds.
    RequestDuration = "request.duration";
    /// Body bytes from the client.
    RequestSize = "request.size" | "request.total_size";
    /// Status.
    ResponseCode = "response.code";
    /// Leno's reason.
    ResponseCodeDetails = "response.code_details";
    /// Envoy's flags, as a text.
    ResponseFlags = "response.flags";
    /// gRPC status.
    ResponseGrpcStatus = "response.grpc_status";
    /// Body bytes to the client.
    ResponseSize = "response.size" | "response.total_size";
    /// The client's address and port.
    SourceAddress = "source.address";
    /// Its port.
    SourcePort = "source.port";
    /// The dialled address and port.
    DestinationAddress = "destination.address";
    /// Its port.
    DestinationPort = "destination.port";
    /// Whether it is mutual TLS between sidecars.
    ConnectionMtls = "connection.mtls";
    /// Server name of the TLS handshake.
    ConnectionServerName = "connection.requested_server_name";
    /// The caller's SPIFFE identity.
    PeerIdentity = "connection.uri_san_peer_certificate";
    /// This pod's SPIFFE identity.
    LocalIdentity = "connection.uri_san_local_certificate";
    /// Why a connection was ended.
    ConnectionTermination = "connection.termination_details";
    /// The endpoint's address and port.
    UpstreamAddress = "upstream.address";
    /// Its port.
    UpstreamPort = "upstream.port";
    /// Why connecting failed.
    UpstreamFailure = "upstream.transport_failure_reason";
    /// Envoy's cluster name.
    ClusterName = "xds.cluster_name";
    /// Name of the rule.
    RouteName = "xds.route_name";
    /// The caller's workload.
    DownstreamWorkload = "downstream_peer.workload" | "filter_state.downstream_peer.workload";
    /// The caller's namespace.
    DownstreamNamespace = "downstream_peer.namespace" | "filter_state.downstream_peer.namespace";
    /// The caller's pod.
    DownstreamName = "downstream_peer.name" | "filter_state.downstream_peer.name";
    /// The caller's label `app`.
    DownstreamApp = "downstream_peer.app" | "filter_state.downstream_peer.app";
    /// The caller's version.
    DownstreamVersion = "downstream_peer.version" | "filter_state.downstream_peer.version";
    /// The called workload.
    UpstreamWorkload = "upstream_peer.workload" | "filter_state.upstream_peer.workload";
    /// Its namespace.
    UpstreamNamespace = "upstream_peer.namespace" | "filter_state.upstream_peer.namespace";
    /// Its pod.
    UpstreamName = "upstream_peer.name" | "filter_state.upstream_peer.name";
    /// Its label `app`.
    UpstreamApp = "upstream_peer.app" | "filter_state.upstream_peer.app";
    /// Its version.
    UpstreamVersion = "upstream_peer.version" | "filter_state.upstream_peer.version";
}

/// An expression, ready to be asked.
#[derive(Clone, Debug)]
pub struct Program {
    source: String,
    root: Node,
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// Why a text is no expression of this subset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CelError(pub(crate) String);

impl std::fmt::Display for CelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CelError {}

#[derive(Clone, Debug)]
enum Node {
    Value(Value),
    Attribute(Attribute),
    Header(Message, String),
    Label(Peer, String),
    List(Vec<Self>),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    In(Box<Self>, Box<Self>),
    Add(Box<Self>, Box<Self>),
    Choose(Box<[Self; 3]>),
    Has(Box<Self>),
    Call(Function, Box<Self>, Box<Self>),
    Matches(Box<Self>, Regex),
    Size(Box<Self>),
    ToText(Box<Self>),
    ToInt(Box<Self>),
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug)]
enum Function {
    StartsWith,
    EndsWith,
    Contains,
}

impl Program {
    /// Reads an expression.
    ///
    /// # Errors
    /// Names what is not understood.
    pub fn parse(text: &str) -> Result<Self, CelError> {
        Ok(Self { source: text.to_owned(), root: parse::expression(text)? })
    }

    /// As written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its value; `None` = unknown.
    #[must_use]
    pub fn eval(&self, facts: &dyn Facts) -> Option<Value> {
        self.root.eval(facts)
    }

    /// Whether it is true. Unknown is not.
    #[must_use]
    pub fn holds(&self, facts: &dyn Facts) -> bool {
        self.eval(facts) == Some(Value::Bool(true))
    }

    /// Headers that it reads, of requests and of answers.
    pub fn headers(&self, request: &mut Vec<String>, response: &mut Vec<String>) {
        self.root.headers(request, response);
    }
}

impl Node {
    fn eval(&self, facts: &dyn Facts) -> Option<Value> {
        Some(match self {
            Self::Value(value) => value.clone(),
            Self::Attribute(attribute) => facts.attribute(*attribute)?,
            Self::Header(of, name) => Value::Text(facts.header(*of, name)?.to_owned()),
            Self::Label(peer, name) => Value::Text(facts.label(*peer, name)?.to_owned()),
            Self::List(items) => Value::List(items.iter().map(|i| i.eval(facts)).collect::<Option<_>>()?),
            Self::Not(inner) => Value::Bool(!inner.truth(facts)?),
            // One side that decides is enough, whatever the other is.
            Self::And(a, b) => match (a.truth(facts), b.truth(facts)) {
                (Some(false), _) | (_, Some(false)) => Value::Bool(false),
                (Some(true), Some(true)) => Value::Bool(true),
                _ => return None,
            },
            Self::Or(a, b) => match (a.truth(facts), b.truth(facts)) {
                (Some(true), _) | (_, Some(true)) => Value::Bool(true),
                (Some(false), Some(false)) => Value::Bool(false),
                _ => return None,
            },
            Self::Compare(how, a, b) => compare(*how, &a.eval(facts)?, &b.eval(facts)?)?,
            Self::In(item, list) => match list.eval(facts)? {
                Value::List(items) => Value::Bool(items.contains(&item.eval(facts)?)),
                _ => return None,
            },
            Self::Add(a, b) => match (a.eval(facts)?, b.eval(facts)?) {
                (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_add(b)?),
                (Value::Text(a), Value::Text(b)) => Value::Text(a + &b),
                _ => return None,
            },
            Self::Choose(parts) => {
                let [condition, yes, no] = &**parts;
                return if condition.truth(facts)? { yes.eval(facts) } else { no.eval(facts) };
            }
            Self::Has(inner) => Value::Bool(inner.eval(facts).is_some()),
            Self::Call(function, on, with) => match (on.eval(facts)?, with.eval(facts)?) {
                (Value::Text(on), Value::Text(with)) => Value::Bool(match function {
                    Function::StartsWith => on.starts_with(&with),
                    Function::EndsWith => on.ends_with(&with),
                    Function::Contains => on.contains(&with),
                }),
                _ => return None,
            },
            Self::Matches(on, pattern) => match on.eval(facts)? {
                Value::Text(text) => Value::Bool(pattern.is_match(&text)),
                _ => return None,
            },
            Self::Size(inner) => Value::Int(match inner.eval(facts)? {
                Value::Text(text) => i64::try_from(text.chars().count()).ok()?,
                Value::List(items) => i64::try_from(items.len()).ok()?,
                Value::Bool(_) | Value::Int(_) => return None,
            }),
            Self::ToText(inner) => Value::Text(inner.eval(facts)?.show()),
            Self::ToInt(inner) => match inner.eval(facts)? {
                Value::Int(n) => Value::Int(n),
                Value::Text(text) => Value::Int(text.parse().ok()?),
                Value::Bool(_) | Value::List(_) => return None,
            },
        })
    }

    fn truth(&self, facts: &dyn Facts) -> Option<bool> {
        match self.eval(facts)? {
            Value::Bool(b) => Some(b),
            Value::Int(_) | Value::Text(_) | Value::List(_) => None,
        }
    }

    fn headers(&self, request: &mut Vec<String>, response: &mut Vec<String>) {
        match self {
            Self::Header(of, name) => {
                let list = if *of == Message::Request { request } else { response };
                if !list.contains(name) {
                    list.push(name.clone());
                }
            }
            Self::Attribute(Attribute::RequestReferer) => {
                if !request.iter().any(|n| n == "referer") {
                    request.push("referer".to_owned());
                }
            }
            Self::Value(_) | Self::Attribute(_) | Self::Label(..) => {}
            Self::List(items) => items.iter().for_each(|i| i.headers(request, response)),
            Self::Choose(parts) => parts.iter().for_each(|i| i.headers(request, response)),
            Self::Not(a) | Self::Has(a) | Self::Matches(a, _) | Self::Size(a) | Self::ToText(a) | Self::ToInt(a) => {
                a.headers(request, response);
            }
            Self::And(a, b)
            | Self::Or(a, b)
            | Self::Compare(_, a, b)
            | Self::In(a, b)
            | Self::Add(a, b)
            | Self::Call(_, a, b) => {
                a.headers(request, response);
                b.headers(request, response);
            }
        }
    }
}

fn compare(how: Comparison, a: &Value, b: &Value) -> Option<Value> {
    use std::cmp::Ordering;
    let order = match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::List(a), Value::List(b)) if matches!(how, Comparison::Equal | Comparison::NotEqual) => {
            if a == b {
                Ordering::Equal
            } else {
                Ordering::Less
            }
        }
        // Things of different kinds are neither equal nor in an order.
        _ => return None,
    };
    Some(Value::Bool(match how {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }))
}

#[cfg(test)]
mod tests;
