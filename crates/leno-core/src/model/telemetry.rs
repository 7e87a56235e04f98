//! What is reported of traffic, and to whom: Istio's Telemetry API and the providers of its mesh settings.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Labels;
use crate::id::{Direction, Origin, ServiceId};

/// One `Telemetry` object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Telemetry {
    /// The object.
    pub origin: Origin,
    /// Pods it selects; empty = the whole namespace (or mesh, in the root namespace).
    pub selector: Labels,
    /// Creation time, seconds since the epoch: the oldest counts.
    pub created: i64,
    /// Access logs.
    pub logging: Vec<LoggingRule>,
    /// Metrics.
    pub metrics: Vec<MetricsRule>,
    /// Traces.
    pub tracing: Vec<TracingRule>,
}

/// Which of a proxy's two sides a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// Both.
    #[default]
    ClientAndServer,
    /// Outbound requests.
    Client,
    /// Inbound requests.
    Server,
}

impl Mode {
    /// Whether it is about this side.
    #[must_use]
    pub const fn covers(self, side: Direction) -> bool {
        matches!(
            (self, side),
            (Self::ClientAndServer, _) | (Self::Client, Direction::Outbound) | (Self::Server, Direction::Inbound)
        )
    }
}

/// One item of `accessLogging`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoggingRule {
    /// Sides.
    pub mode: Mode,
    /// Names of providers; empty = those of the wider level.
    pub providers: Vec<String>,
    /// Turns them off.
    pub disabled: bool,
    /// Which requests: a [`crate::cel`] expression, proven to be one.
    pub filter: Option<String>,
}

/// One item of `metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetricsRule {
    /// Names of providers; empty = those of the wider level.
    pub providers: Vec<String>,
    /// Changes, the later ones on top.
    pub overrides: Vec<MetricsOverride>,
}

/// One change of metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetricsOverride {
    /// Of which; `None` = all.
    pub metric: Option<Metric>,
    /// Whether the object says `ALL_METRICS` outright, which turns a provider off whole where it is disabled.
    pub all: bool,
    /// Sides.
    pub mode: Mode,
    /// Leaves it out, or brings it back.
    pub disabled: Option<bool>,
    /// Labels by name: an expression ([`crate::cel`]) to set one to, `None` = remove it.
    pub tags: BTreeMap<String, Option<String>>,
}

/// Istio's standard metrics, as the Telemetry API names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Metric {
    /// `istio_requests_total`.
    RequestCount,
    /// `istio_request_duration_milliseconds`.
    RequestDuration,
    /// `istio_request_bytes`.
    RequestSize,
    /// `istio_response_bytes`.
    ResponseSize,
    /// `istio_request_messages_total`.
    GrpcRequestMessages,
    /// `istio_response_messages_total`.
    GrpcResponseMessages,
    /// `istio_tcp_connections_opened_total`.
    TcpOpenedConnections,
    /// `istio_tcp_connections_closed_total`.
    TcpClosedConnections,
    /// `istio_tcp_sent_bytes_total`.
    TcpSentBytes,
    /// `istio_tcp_received_bytes_total`.
    TcpReceivedBytes,
}

impl Metric {
    /// All.
    pub const ALL: [Self; 10] = [
        Self::RequestCount,
        Self::RequestDuration,
        Self::RequestSize,
        Self::ResponseSize,
        Self::GrpcRequestMessages,
        Self::GrpcResponseMessages,
        Self::TcpOpenedConnections,
        Self::TcpClosedConnections,
        Self::TcpSentBytes,
        Self::TcpReceivedBytes,
    ];

    /// As the Telemetry API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestCount => "REQUEST_COUNT",
            Self::RequestDuration => "REQUEST_DURATION",
            Self::RequestSize => "REQUEST_SIZE",
            Self::ResponseSize => "RESPONSE_SIZE",
            Self::GrpcRequestMessages => "GRPC_REQUEST_MESSAGES",
            Self::GrpcResponseMessages => "GRPC_RESPONSE_MESSAGES",
            Self::TcpOpenedConnections => "TCP_OPENED_CONNECTIONS",
            Self::TcpClosedConnections => "TCP_CLOSED_CONNECTIONS",
            Self::TcpSentBytes => "TCP_SENT_BYTES",
            Self::TcpReceivedBytes => "TCP_RECEIVED_BYTES",
        }
    }

    /// The metric of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.as_str() == name)
    }
}

/// One item of `tracing`. What is `None` comes from the wider level.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TracingRule {
    /// Sides.
    pub mode: Mode,
    /// The provider's name.
    pub provider: Option<String>,
    /// Share of requests without a parent that are sampled, percent.
    pub sampling: Option<f64>,
    /// Reports no spans; contexts are passed on.
    pub disable_reporting: Option<bool>,
    /// More attributes of spans; not empty replaces the wider level's.
    pub tags: BTreeMap<String, CustomTag>,
}

/// Where the value of a span's attribute comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CustomTag {
    /// Always this.
    Literal(String),
    /// A variable of the proxy's environment, else the default.
    Environment {
        /// Its name.
        name: String,
        /// Where there is none; empty = no attribute.
        default: String,
    },
    /// A header of the request, lower case, else the default.
    Header {
        /// Its name.
        name: String,
        /// Where there is none; empty = no attribute.
        default: String,
    },
}

/// One of `extensionProviders`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provider {
    /// How rules name it.
    pub name: String,
    /// What it is.
    pub kind: ProviderKind,
}

/// What a provider is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ProviderKind {
    /// Lines to standard output.
    FileLog {
        /// `None` = the mesh's own.
        format: Option<LogFormat>,
    },
    /// Records over OTLP.
    OtlpLog {
        /// The collector.
        collector: Collector,
        /// `otel_envoy_accesslog` by default.
        log_name: String,
        /// The body; `None` = Istio's default text.
        text: Option<String>,
        /// Attributes of a record: names and formats.
        labels: Vec<(String, String)>,
    },
    /// Spans over OTLP.
    OtlpTrace {
        /// The collector.
        collector: Collector,
        /// Longest path in `http.url`, bytes; 256 by default.
        max_path: u32,
    },
    /// Metrics that are scraped.
    Prometheus,
    /// One that is not honoured; rules that name it report nothing to it.
    Unsupported {
        /// Its field in the mesh's settings.
        field: String,
    },
}

/// An OTLP receiver that is a service of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Collector {
    /// The service.
    pub service: ServiceId,
    /// Its port.
    pub port: u16,
    /// Over HTTP with this path instead of gRPC.
    pub http_path: Option<String>,
    /// Headers that it wants.
    pub headers: Vec<(String, String)>,
}

/// Form of a log line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A text with Envoy's command operators; `None` = Istio's default text.
    Text(Option<String>),
    /// One JSON object a line: keys and what they hold; `None` = Istio's default keys.
    Json(Option<Vec<(String, String)>>),
}

impl Default for LogFormat {
    fn default() -> Self {
        Self::Text(None)
    }
}

/// Providers where no rule names any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DefaultProviders {
    /// Of access logs.
    pub logging: Vec<String>,
    /// Of metrics; `None` = `prometheus`, as Istio installs it.
    pub metrics: Option<Vec<String>>,
    /// Of traces: the first counts.
    pub tracing: Vec<String>,
}
