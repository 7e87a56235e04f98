//! One request or connection as log formats, filters and labels ask about it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use leno_core::Reason;
use leno_core::cel::{Attribute, Facts, Message, Peer, Value};
use leno_core::id::Direction;
use leno_core::log_format::{Field, Op};

use super::Connection;
use crate::telemetry::record::{Captured, HttpVersion, PeerInfo, RequestRecord, SpanRef};
use crate::telemetry::time;

/// What an operator says.
#[derive(Debug)]
pub(in crate::telemetry) enum Said<'a> {
    /// There is nothing to say.
    Nothing,
    /// A number.
    Number(u64),
    /// A text, not empty.
    Text(Cow<'a, str>),
}

/// One request or connection that ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct View<'a> {
    pub(in crate::telemetry) direction: Direction,
    pub(in crate::telemetry) start: SystemTime,
    pub(in crate::telemetry) duration: Duration,
    upstream_time: Option<Duration>,
    http: Option<&'a RequestRecord>,
    pub(in crate::telemetry) reason: Reason,
    detail: &'a str,
    received: u64,
    sent: u64,
    pub(in crate::telemetry) source: &'a PeerInfo,
    pub(in crate::telemetry) destination: &'a PeerInfo,
    mtls: bool,
    upstream_addr: Option<SocketAddr>,
    upstream_local: Option<SocketAddr>,
    upstream_cluster: &'a str,
    downstream_local: Option<SocketAddr>,
    downstream_remote: Option<SocketAddr>,
    sni: &'a str,
    headers: Option<&'a Captured>,
    pub(in crate::telemetry) span: Option<&'a SpanRef>,
}

impl<'a> View<'a> {
    /// Of a request.
    pub(in crate::telemetry) fn of_request(r: &'a RequestRecord) -> Self {
        Self {
            direction: r.direction,
            start: r.start,
            duration: r.duration,
            upstream_time: r.upstream_time,
            http: Some(r),
            reason: r.reason,
            detail: &r.detail,
            received: r.request_bytes,
            sent: r.response_bytes,
            source: &r.source,
            destination: &r.destination,
            mtls: r.mtls,
            upstream_addr: r.upstream_addr,
            upstream_local: r.upstream_local,
            upstream_cluster: &r.upstream_cluster,
            downstream_local: r.downstream_local,
            downstream_remote: r.downstream_remote,
            sni: &r.sni,
            headers: r.headers.as_deref(),
            span: r.span.as_deref(),
        }
    }

    /// Of an opaque connection.
    pub(in crate::telemetry) fn of_tcp(c: &'a Connection<'a>) -> Self {
        Self {
            direction: c.labels.direction,
            start: c.start,
            duration: c.duration,
            upstream_time: None,
            http: None,
            reason: c.reason,
            detail: c.detail,
            received: c.received,
            sent: c.sent,
            source: &c.labels.source,
            destination: &c.labels.destination,
            mtls: c.labels.mtls,
            upstream_addr: c.labels.upstream_addr,
            upstream_local: c.labels.upstream_local,
            upstream_cluster: &c.labels.upstream_cluster,
            downstream_local: c.labels.downstream_local,
            downstream_remote: c.labels.downstream_remote,
            sni: &c.labels.sni,
            headers: None,
            span: None,
        }
    }

    /// What `op` says of it.
    pub(in crate::telemetry) fn say(&self, op: &Op) -> Said<'a> {
        match op {
            Op::Nothing => Said::Nothing,
            Op::StartTime(form) if form.is_empty() => owned(time::Utc(self.start).to_string()),
            Op::StartTime(form) => owned(time::formatted(self.start, form)),
            Op::Request(name, or) => text(self.either(Message::Request, name, or.as_deref())),
            Op::RequestWithoutQuery(name, or) => {
                let whole = self.either(Message::Request, name, or.as_deref());
                text(whole.split_once('?').map_or(whole, |(path, _)| path))
            }
            Op::Response(name, or) => {
                if name == SERVICE_TIME || or.as_deref() == Some(SERVICE_TIME) {
                    // A header, therefore a text.
                    return self.upstream_time.map_or(Said::Nothing, |t| owned(t.as_millis().to_string()));
                }
                text(self.either(Message::Response, name, or.as_deref()))
            }
            Op::Environment(name) => std::env::var(name).map_or(Said::Nothing, owned),
            Op::Field(field) => self.field(*field),
        }
    }

    fn field(&self, field: Field) -> Said<'a> {
        let http = self.http;
        match field {
            Field::Protocol => http.map_or(Said::Nothing, |r| text(r.http_version.as_str())),
            Field::ResponseCode => Said::Number(http.map_or(0, |r| r.status.into())),
            Field::ResponseCodeDetails => http.map_or(Said::Nothing, |r| text(r.reason.detail())),
            Field::ConnectionTerminationDetails => text(self.termination()),
            Field::ResponseFlags => text(self.reason.flag()),
            Field::ResponseFlagsLong => text(long_flag(self.reason.flag())),
            Field::TransportFailure => self.in_words(),
            Field::BytesReceived => Said::Number(self.received),
            Field::BytesSent => Said::Number(self.sent),
            Field::Duration => millis(Some(self.duration)),
            Field::ResponseDuration => millis(self.upstream_time),
            Field::ResponseTxDuration => millis(self.upstream_time.map(|t| self.duration.saturating_sub(t))),
            Field::UpstreamHost => address(self.upstream_addr),
            Field::UpstreamIp => ip(self.upstream_addr),
            Field::UpstreamPort => port(self.upstream_addr),
            Field::UpstreamCluster => text(self.upstream_cluster),
            Field::UpstreamLocal => address(self.upstream_local),
            Field::UpstreamLocalIp => ip(self.upstream_local),
            Field::UpstreamLocalPort => port(self.upstream_local),
            Field::Attempts => http.map_or(Said::Nothing, |r| Said::Number(r.attempts.into())),
            Field::DownstreamLocal => address(self.downstream_local),
            Field::DownstreamLocalIp => ip(self.downstream_local),
            Field::DownstreamLocalPort => port(self.downstream_local),
            Field::DownstreamRemote => address(self.downstream_remote),
            Field::DownstreamRemoteIp => ip(self.downstream_remote),
            Field::DownstreamRemotePort => port(self.downstream_remote),
            Field::ServerName => text(self.sni),
            Field::RouteName => http.map_or(Said::Nothing, |r| text(&r.route_name)),
            Field::GrpcStatus => self.grpc().map_or(Said::Nothing, grpc_word),
            Field::GrpcStatusNumber => self.grpc().map_or(Said::Nothing, |s| Said::Number(s.into())),
            Field::DownstreamPeer if self.direction == Direction::Inbound => identity(self.source),
            Field::DownstreamLocalIdentity if self.direction == Direction::Inbound => identity(self.destination),
            Field::UpstreamPeer if self.direction == Direction::Outbound => identity(self.destination),
            Field::UpstreamLocalIdentity if self.direction == Direction::Outbound => identity(self.source),
            Field::DownstreamPeer
            | Field::DownstreamLocalIdentity
            | Field::UpstreamPeer
            | Field::UpstreamLocalIdentity => Said::Nothing,
            Field::Hostname => text(self.own().workload.as_ref().map_or("", |w| &w.pod)),
            Field::TraceId => self.span.map_or(Said::Nothing, |s| owned(s.trace.to_string())),
            Field::SpanId => self.span.map_or(Said::Nothing, |s| owned(s.span.to_string())),
        }
    }

    /// This pod.
    const fn own(&self) -> &'a PeerInfo {
        match self.direction {
            Direction::Inbound => self.destination,
            Direction::Outbound => self.source,
        }
    }

    /// The reason's sentence and the error's own words: where Envoy says why connecting failed, and where people look.
    fn in_words(&self) -> Said<'a> {
        if !self.reason.is_failure() {
            return Said::Nothing;
        }
        match self.detail {
            "" => text(self.reason.sentence()),
            detail => owned(format!("{}: {detail}", self.reason.sentence())),
        }
    }

    fn termination(&self) -> &'static str {
        if self.http.is_none() && self.reason.is_failure() { self.reason.detail() } else { "" }
    }

    fn grpc(&self) -> Option<u32> {
        self.http.and_then(|r| r.grpc_status)
    }

    /// The first of two headers that is there.
    fn either(&self, of: Message, name: &str, or: Option<&str>) -> &'a str {
        let found = self.named(of, name).filter(|v| !v.is_empty());
        found.or_else(|| self.named(of, or?)).unwrap_or_default()
    }

    fn named(&self, of: Message, name: &str) -> Option<&'a str> {
        if of == Message::Request
            && let Some(record) = self.http
        {
            let known: &str = match name {
                ":method" => &record.method,
                // As the client sent it, before any rewrite.
                ":path" | "x-envoy-original-path" => &record.path,
                ":authority" | "host" => &record.authority,
                ":scheme" => "http",
                "user-agent" => &record.user_agent,
                "x-request-id" => &record.request_id,
                "x-forwarded-for" => &record.forwarded_for,
                _ => return self.headers?.get(of, name),
            };
            return Some(known).filter(|v| !v.is_empty());
        }
        self.headers?.get(of, name)
    }
}

impl Facts for View<'_> {
    fn attribute(&self, attribute: Attribute) -> Option<Value> {
        let text = |t: &str| (!t.is_empty()).then(|| Value::Text(t.to_owned()));
        let number = |n: u64| Some(Value::Int(i64::try_from(n).unwrap_or(i64::MAX)));
        let socket = |a: Option<SocketAddr>| a.map(|a| Value::Text(a.to_string()));
        let port = |a: Option<SocketAddr>| a.map(|a| Value::Int(a.port().into()));
        let http = self.http;
        match attribute {
            Attribute::RequestPath => text(&http?.path),
            Attribute::RequestUrlPath => text(http?.path.split('?').next().unwrap_or_default()),
            Attribute::RequestQuery => text(http?.path.split_once('?').map_or("", |(_, query)| query)),
            Attribute::RequestHost => text(&http?.authority),
            Attribute::RequestScheme => http.map(|_| Value::Text("http".to_owned())),
            Attribute::RequestMethod => text(&http?.method),
            Attribute::RequestUserAgent => text(&http?.user_agent),
            Attribute::RequestReferer => self.header(Message::Request, "referer").and_then(text),
            Attribute::RequestId => text(&http?.request_id),
            Attribute::RequestProtocol => text(http.map(|r| r.http_version).map_or("", HttpVersion::as_str)),
            Attribute::RequestDuration => number(u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX)),
            Attribute::RequestSize => number(self.received),
            Attribute::ResponseCode => http.filter(|r| r.status != 0).map(|r| Value::Int(r.status.into())),
            Attribute::ResponseCodeDetails => text(http?.reason.detail()),
            Attribute::ResponseFlags => text(self.reason.flag()),
            Attribute::ResponseGrpcStatus => self.grpc().map(|s| Value::Int(s.into())),
            Attribute::ResponseSize => number(self.sent),
            Attribute::SourceAddress => socket(self.downstream_remote),
            Attribute::SourcePort => port(self.downstream_remote),
            Attribute::DestinationAddress => socket(self.downstream_local),
            Attribute::DestinationPort => port(self.downstream_local),
            Attribute::ConnectionMtls => Some(Value::Bool(self.mtls)),
            Attribute::ConnectionServerName => text(self.sni),
            Attribute::PeerIdentity => identity_of(self.source),
            Attribute::LocalIdentity => identity_of(self.own()),
            Attribute::ConnectionTermination => text(self.termination()),
            Attribute::UpstreamAddress => socket(self.upstream_addr),
            Attribute::UpstreamPort => port(self.upstream_addr),
            Attribute::UpstreamFailure => match self.in_words() {
                Said::Text(words) => text(&words),
                Said::Nothing | Said::Number(_) => None,
            },
            Attribute::ClusterName => text(self.upstream_cluster),
            Attribute::RouteName => text(&http?.route_name),
            Attribute::DownstreamWorkload => text(&self.source.workload.as_ref()?.name),
            Attribute::DownstreamNamespace => text(&self.source.workload.as_ref()?.namespace),
            Attribute::DownstreamName => text(&self.source.workload.as_ref()?.pod),
            Attribute::DownstreamApp => text(self.source.workload.as_ref()?.app()),
            Attribute::DownstreamVersion => text(self.source.workload.as_ref()?.version()),
            Attribute::UpstreamWorkload => text(&self.destination.workload.as_ref()?.name),
            Attribute::UpstreamNamespace => text(&self.destination.workload.as_ref()?.namespace),
            Attribute::UpstreamName => text(&self.destination.workload.as_ref()?.pod),
            Attribute::UpstreamApp => text(self.destination.workload.as_ref()?.app()),
            Attribute::UpstreamVersion => text(self.destination.workload.as_ref()?.version()),
        }
    }

    fn header(&self, of: Message, name: &str) -> Option<&str> {
        self.named(of, name)
    }

    fn label(&self, peer: Peer, name: &str) -> Option<&str> {
        let peer = match peer {
            Peer::Downstream => self.source,
            Peer::Upstream => self.destination,
        };
        peer.workload.as_ref()?.labels.get(name).map(String::as_str)
    }
}

fn identity_of(peer: &PeerInfo) -> Option<Value> {
    peer.principal.as_ref().map(|p| Value::Text(p.to_string()))
}

fn identity<'a>(peer: &PeerInfo) -> Said<'a> {
    match identity_of(peer) {
        Some(Value::Text(text)) => owned(text),
        _ => Said::Nothing,
    }
}

fn text(text: &str) -> Said<'_> {
    if text.is_empty() { Said::Nothing } else { Said::Text(Cow::Borrowed(text)) }
}

fn owned<'a>(text: String) -> Said<'a> {
    if text.is_empty() { Said::Nothing } else { Said::Text(Cow::Owned(text)) }
}

fn millis<'a>(time: Option<Duration>) -> Said<'a> {
    time.map_or(Said::Nothing, |t| Said::Number(u64::try_from(t.as_millis()).unwrap_or(u64::MAX)))
}

fn address<'a>(address: Option<SocketAddr>) -> Said<'a> {
    address.map_or(Said::Nothing, |a| owned(a.to_string()))
}

fn ip<'a>(address: Option<SocketAddr>) -> Said<'a> {
    address.map_or(Said::Nothing, |a| owned(a.ip().to_string()))
}

fn port<'a>(address: Option<SocketAddr>) -> Said<'a> {
    address.map_or(Said::Nothing, |a| Said::Number(a.port().into()))
}

/// Envoy's words for its flags.
fn long_flag(flag: &str) -> &str {
    match flag {
        "UH" => "NoHealthyUpstream",
        "UF" => "UpstreamConnectionFailure",
        "UO" => "UpstreamOverflow",
        "NR" => "NoRouteFound",
        "URX" => "UpstreamRetryLimitExceeded",
        "NC" => "NoClusterFound",
        "UT" => "UpstreamRequestTimeout",
        "UR" => "UpstreamRemoteReset",
        "UC" => "UpstreamConnectionTermination",
        "UPE" => "UpstreamProtocolError",
        "DC" => "DownstreamConnectionTermination",
        "DPE" => "DownstreamProtocolError",
        "FI" => "FaultInjected",
        "RBAC" => "UnauthorizedByRbac",
        "UAEX" => "UnauthorizedExternalService",
        "SI" => "StreamIdleTimeout",
        other => other,
    }
}

/// gRPC's statuses as Envoy writes them.
fn grpc_word<'a>(status: u32) -> Said<'a> {
    const WORDS: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    match usize::try_from(status).ok().and_then(|s| WORDS.get(s)) {
        Some(word) => text(word),
        None => owned(status.to_string()),
    }
}

const SERVICE_TIME: &str = leno_core::names::header::SERVICE_TIME;
