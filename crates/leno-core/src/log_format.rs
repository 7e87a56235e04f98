//! Envoy's access log formats: a text with command operators such as `%REQ(X-REQUEST-ID)%`, taken apart once.
//!
//! Operators that stand for something a sidecar of Leno knows become an [`Op`]; those that Envoy has and that mean nothing
//! here become [`Op::Nothing`], which writes `-`; anything else is an error that names it.

use std::fmt;

/// Istio's default text, without the newline that every format ends in.
pub const ISTIO_TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \
    \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \
    \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% \
    %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%";

/// Istio's default keys of a JSON line, and what they hold.
pub const ISTIO_JSON: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

/// Longest format that is read, in bytes.
pub const MAX_FORMAT: usize = 16 * 1024;

/// A format, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// In order.
    pub pieces: Vec<Piece>,
}

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// What an operator says, cut after so many characters (`None` = whole).
    Op(Op, Option<usize>),
}

/// A command operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// `%START_TIME(format)%`; an empty format is ISO 8601 to the millisecond.
    StartTime(String),
    /// `%REQ(first?or)%`: a header of the request, lower case, pseudo-headers with their colon.
    Request(String, Option<String>),
    /// `%REQ_WITHOUT_QUERY(first?or)%`: the same up to a question mark.
    RequestWithoutQuery(String, Option<String>),
    /// `%RESP(first?or)%`: a header of the answer.
    Response(String, Option<String>),
    /// `%ENVIRONMENT(name)%`: a variable of the proxy's environment.
    Environment(String),
    /// One without parameters.
    Field(Field),
    /// One that Envoy has and that means nothing here.
    Nothing,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $($text:literal)|+;)*) => {
        /// An operator without parameters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($(#[$doc])* $name,)* }

        fn field(name: &str) -> Option<Field> {
            match name { $($($text)|+ => Some(Field::$name),)* _ => None }
        }
    };
}

fields! {
    /// HTTP version of the client.
    Protocol = "PROTOCOL";
    /// Status that the client got.
    ResponseCode = "RESPONSE_CODE";
    /// The reason's token.
    ResponseCodeDetails = "RESPONSE_CODE_DETAILS";
    /// Why an opaque connection was ended.
    ConnectionTerminationDetails = "CONNECTION_TERMINATION_DETAILS";
    /// Envoy's flag.
    ResponseFlags = "RESPONSE_FLAGS";
    /// The same as a word.
    ResponseFlagsLong = "RESPONSE_FLAGS_LONG";
    /// The reason in words.
    TransportFailure = "UPSTREAM_TRANSPORT_FAILURE_REASON";
    /// Bytes from the client.
    BytesReceived = "BYTES_RECEIVED";
    /// Bytes to the client.
    BytesSent = "BYTES_SENT";
    /// Milliseconds of the whole.
    Duration = "DURATION";
    /// Milliseconds until the endpoint's answer began.
    ResponseDuration = "RESPONSE_DURATION";
    /// Milliseconds from the begin of the endpoint's answer to its end.
    ResponseTxDuration = "RESPONSE_TX_DURATION";
    /// The endpoint.
    UpstreamHost = "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS";
    /// Its address.
    UpstreamIp = "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" | "UPSTREAM_HOST_NAME_WITHOUT_PORT";
    /// Its port.
    UpstreamPort = "UPSTREAM_REMOTE_PORT";
    /// The cluster's name.
    UpstreamCluster = "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW";
    /// This proxy's own end towards the endpoint.
    UpstreamLocal = "UPSTREAM_LOCAL_ADDRESS";
    /// Its address.
    UpstreamLocalIp = "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT";
    /// Its port.
    UpstreamLocalPort = "UPSTREAM_LOCAL_PORT";
    /// Tries, the first included.
    Attempts = "UPSTREAM_REQUEST_ATTEMPT_COUNT";
    /// Where the client connected to.
    DownstreamLocal = "DOWNSTREAM_LOCAL_ADDRESS";
    /// Its address.
    DownstreamLocalIp = "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT";
    /// Its port.
    DownstreamLocalPort = "DOWNSTREAM_LOCAL_PORT";
    /// The client.
    DownstreamRemote = "DOWNSTREAM_REMOTE_ADDRESS" | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS";
    /// Its address.
    DownstreamRemoteIp = "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT";
    /// Its port.
    DownstreamRemotePort = "DOWNSTREAM_REMOTE_PORT" | "DOWNSTREAM_DIRECT_REMOTE_PORT";
    /// Server name that the client asked for.
    ServerName = "REQUESTED_SERVER_NAME";
    /// Name of the rule.
    RouteName = "ROUTE_NAME";
    /// gRPC status as a word, `Unavailable`.
    GrpcStatus = "GRPC_STATUS";
    /// gRPC status as a number.
    GrpcStatusNumber = "GRPC_STATUS_NUMBER";
    /// The client's identity.
    DownstreamPeer = "DOWNSTREAM_PEER_URI_SAN";
    /// This pod's identity towards the client.
    DownstreamLocalIdentity = "DOWNSTREAM_LOCAL_URI_SAN";
    /// The endpoint's identity.
    UpstreamPeer = "UPSTREAM_PEER_URI_SAN";
    /// This pod's identity towards the endpoint.
    UpstreamLocalIdentity = "UPSTREAM_LOCAL_URI_SAN";
    /// Name of this pod.
    Hostname = "HOSTNAME";
    /// Trace that the request belongs to.
    TraceId = "TRACE_ID";
    /// Span of this proxy.
    SpanId = "SPAN_ID";
}

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError(String);

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FormatError {}

impl Format {
    /// Takes `text` apart. `%%` is a percent sign.
    ///
    /// # Errors
    /// An operator that Envoy does not have, or one that does not end; a text above [`MAX_FORMAT`].
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        if text.len() > MAX_FORMAT {
            return Err(FormatError(format!("is longer than {MAX_FORMAT} bytes")));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                plain.push('%');
                rest = after;
                continue;
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            let (piece, after) = operator(rest)?;
            pieces.push(piece);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// Istio's default.
    #[must_use]
    pub fn istio() -> Self {
        Self::parse(ISTIO_TEXT).unwrap_or(Self { pieces: Vec::new() })
    }

    /// Operators that mean nothing here, as written; for warnings.
    #[must_use]
    pub fn has_nothing(&self) -> bool {
        self.pieces.iter().any(|p| matches!(p, Piece::Op(Op::Nothing, _)))
    }

    /// Headers that it reads, of requests and of answers, beyond those that every record holds.
    pub fn headers(&self, request: &mut Vec<String>, response: &mut Vec<String>) {
        for piece in &self.pieces {
            match piece {
                Piece::Op(Op::Request(a, b) | Op::RequestWithoutQuery(a, b), _) => {
                    for name in [Some(a), b.as_ref()].into_iter().flatten() {
                        if !is_recorded(name) && !request.contains(name) {
                            request.push(name.clone());
                        }
                    }
                }
                Piece::Op(Op::Response(a, b), _) => {
                    for name in [Some(a), b.as_ref()].into_iter().flatten() {
                        if name != "x-envoy-upstream-service-time" && !response.contains(name) {
                            response.push(name.clone());
                        }
                    }
                }
                Piece::Op(..) | Piece::Text(_) => {}
            }
        }
    }
}

/// Whether every record holds this header of a request.
#[must_use]
pub fn is_recorded(name: &str) -> bool {
    name.starts_with(':') || matches!(name, "host" | "user-agent" | "x-request-id" | "x-forwarded-for")
}

/// The operator that `text` begins with, after its first percent sign, and what follows its last.
fn operator(text: &str) -> Result<(Piece, &str), FormatError> {
    let end = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let fail = |why: &str| FormatError(format!("`%{name}` {why}"));
    if name.is_empty() {
        return Err(FormatError("has a `%` that begins no operator: write `%%` for a percent sign".to_owned()));
    }
    let mut parameters = None;
    if let Some(inside) = rest.strip_prefix('(') {
        // A time's format may hold percent signs and no parentheses.
        let close = inside.find(')').ok_or_else(|| fail("has no `)`"))?;
        parameters = Some(&inside[..close]);
        rest = &inside[close + 1..];
    }
    let mut limit = None;
    if let Some(after) = rest.strip_prefix(':') {
        let end = after.find('%').ok_or_else(|| fail("does not end in `%`"))?;
        limit = Some(after[..end].parse().map_err(|_| fail("has a length that is no number"))?);
        rest = &after[end..];
    }
    let rest = rest.strip_prefix('%').ok_or_else(|| fail("does not end in `%`"))?;
    Ok((Piece::Op(op(name, parameters).ok_or_else(|| fail("is no operator of Envoy's access log"))?, limit), rest))
}

fn op(name: &str, parameters: Option<&str>) -> Option<Op> {
    let headers = || {
        let (first, or) = parameters?.split_once('?').map_or((parameters?, None), |(first, or)| (first, Some(or)));
        let lower = |text: &str| text.trim().to_ascii_lowercase();
        Some((lower(first), or.map(lower))).filter(|(first, _)| !first.is_empty())
    };
    match name {
        "START_TIME" => Some(Op::StartTime(parameters.unwrap_or_default().to_owned())),
        "REQ" => headers().map(|(a, b)| Op::Request(a, b)),
        "REQ_WITHOUT_QUERY" => headers().map(|(a, b)| Op::RequestWithoutQuery(a, b)),
        "RESP" => headers().map(|(a, b)| Op::Response(a, b)),
        "ENVIRONMENT" => Some(Op::Environment(parameters?.to_owned())),
        "GRPC_STATUS" if parameters == Some("NUMBER") => Some(Op::Field(Field::GrpcStatusNumber)),
        _ => match field(name) {
            Some(field) => Some(Op::Field(field)),
            None => is_envoys(name).then_some(Op::Nothing),
        },
    }
}

/// Operators of Envoy that nothing here answers to.
fn is_envoys(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "ACCESS_LOG_TYPE",
        "BYTES_RETRANSMITTED",
        "CEL",
        "COMMON_DURATION",
        "CONNECTION_ID",
        "CUSTOM_FLAGS",
        "DYNAMIC_METADATA",
        "CLUSTER_METADATA",
        "EMIT_TIME",
        "FILTER_CHAIN_NAME",
        "FILTER_STATE",
        "LOCAL_REPLY_BODY",
        "METADATA",
        "PACKETS_RETRANSMITTED",
        "QUERY_PARAM",
        "PATH",
        "REQUEST_DURATION",
        "REQUEST_HEADERS_BYTES",
        "REQUEST_TX_DURATION",
        "RESPONSE_HEADERS_BYTES",
        "RESPONSE_TRAILERS_BYTES",
        "ROUNDTRIP_DURATION",
        "STREAM_ID",
        "STREAM_INFO_REQUEST_ID",
        "TLS_JA3_FINGERPRINT",
        "TRAILER",
        "UNIQUE_ID",
        "UPSTREAM_CONNECTION_ID",
        "UPSTREAM_CONNECTION_POOL_READY_DURATION",
        "UPSTREAM_HOST_NAME",
        "UPSTREAM_METADATA",
        "UPSTREAM_PROTOCOL",
        "VIRTUAL_CLUSTER_NAME",
    ];
    const FAMILIES: &[&str] =
        &["DOWNSTREAM_", "UPSTREAM_PEER_", "UPSTREAM_LOCAL_", "UPSTREAM_TLS_", "UPSTREAM_WIRE_", "UPSTREAM_HEADER_"];
    NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests;
