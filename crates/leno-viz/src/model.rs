//! Questions and answers: what the API takes and gives, and the command line shows.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Kind {
    /// A namespace.
    Namespace,
    /// A Deployment.
    Deployment,
    /// A `StatefulSet`.
    StatefulSet,
    /// A `DaemonSet`.
    DaemonSet,
    /// A Job.
    Job,
    /// A pod.
    Pod,
    /// A Service, as its callers saw it.
    Service,
}

impl Kind {
    /// Lower case, as Kubernetes' labels and samples say it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::Job => "job",
            Self::Pod => "pod",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is none of the kinds.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAKind(String);

impl fmt::Display for NotAKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is none of ns, deploy, sts, ds, job, pod, svc", self.0)
    }
}

impl std::error::Error for NotAKind {}

impl FromStr for Kind {
    type Err = NotAKind;

    /// kubectl's names: long, plural and short.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "ns" | "namespace" | "namespaces" => Ok(Self::Namespace),
            "deploy" | "deployment" | "deployments" => Ok(Self::Deployment),
            "sts" | "statefulset" | "statefulsets" => Ok(Self::StatefulSet),
            "ds" | "daemonset" | "daemonsets" => Ok(Self::DaemonSet),
            "job" | "jobs" => Ok(Self::Job),
            "po" | "pod" | "pods" => Ok(Self::Pod),
            "svc" | "service" | "services" => Ok(Self::Service),
            _ => Err(NotAKind(s.to_owned())),
        }
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().to_owned()
    }
}

impl TryFrom<String> for Kind {
    type Error = NotAKind;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

/// One end of a filter: `deploy/web`, `deploy/web.shop`, `ns/shop`, `svc/reviews`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its namespace; `None` = the question's.
    pub namespace: Option<String>,
}

impl FromStr for Resource {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || format!("`{s}` is not of the form KIND/NAME or KIND/NAME.NAMESPACE");
        let (kind, name) = s.split_once('/').ok_or_else(bad)?;
        let kind: Kind = kind.parse().map_err(|e: NotAKind| e.to_string())?;
        let (name, namespace) = match name.split_once('.') {
            Some((name, namespace)) => (name, Some(namespace.to_owned())),
            None => (name, None),
        };
        if name.is_empty() || namespace.as_deref() == Some("") {
            return Err(bad());
        }
        Ok(Self { kind, name: name.to_owned(), namespace })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)?;
        self.namespace.as_ref().map_or(Ok(()), |ns| write!(f, ".{ns}"))
    }
}

/// What is asked: parameters of `GET /api/v1/stat` and `/api/v1/edges`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// One row for each of these.
    pub kind: Kind,
    /// Only in this namespace; `None` = all.
    pub namespace: Option<String>,
    /// Only this one.
    pub name: Option<String>,
    /// How far back; one minute by default.
    pub window: Duration,
    /// Only traffic from here.
    pub from: Option<Resource>,
    /// Only traffic to here: the rows are the callers then.
    pub to: Option<Resource>,
}

impl Question {
    /// About all of a kind in the last minute.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self { kind, namespace: None, name: None, window: DEFAULT_WINDOW, from: None, to: None }
    }

    /// As the query part of a URL.
    #[must_use]
    pub fn to_query(&self) -> String {
        let text = |value: &Option<Resource>| value.as_ref().map(ToString::to_string);
        let pairs = [
            ("namespace", self.namespace.clone()),
            ("name", self.name.clone()),
            ("from", text(&self.from)),
            ("to", text(&self.to)),
        ];
        let mut query = format!("kind={}&window={}ms", self.kind, self.window.as_millis());
        for (name, value) in pairs {
            // Names of Kubernetes objects hold nothing that would need escaping in a query.
            query.extend(value.map(|v| format!("&{name}={v}")));
        }
        query
    }
}

/// The time that figures cover, milliseconds since 1970. A sidecar's ends with what it told last. Where several told, it is from
/// the earliest to the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// When it begins.
    pub from_ms: u64,
    /// When it ends.
    pub to_ms: u64,
}

impl Covered {
    /// This and another.
    #[must_use]
    pub fn and(self, other: Option<Self>) -> Self {
        let other = other.unwrap_or(self);
        Self { from_ms: self.from_ms.min(other.from_ms), to_ms: self.to_ms.max(other.to_ms) }
    }

    /// How long it is; never 0.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.to_ms.saturating_sub(self.from_ms).max(1) as f64 / 1000.0
    }
}

/// `GET /api/v1/stat`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// Window asked for, in seconds.
    pub window_s: f64,
    /// By namespace and name.
    pub rows: Vec<StatRow>,
}

/// Golden signals of one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatRow {
    /// Namespace; for a namespace its own name.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// Pods with a sidecar among all.
    pub meshed: Meshed,
    /// Share of requests that succeeded, 0 to 1 (Linkerd's rule: no 5xx, for gRPC none of UNKNOWN, DEADLINE_EXCEEDED,
    /// INTERNAL, UNAVAILABLE, DATA_LOSS). `None` = no requests.
    pub success: Option<f64>,
    /// Requests a second.
    pub rps: f64,
    /// Median latency, milliseconds.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Opaque connections that are open now.
    pub tcp_conns: u64,
    /// Bytes a second from the clients of opaque connections.
    pub read_bytes_s: f64,
    /// Bytes a second to them.
    pub write_bytes_s: f64,
    /// Requests counted, for judging how much the percentiles are worth.
    pub requests: u64,
    /// The time that the figures cover; `None` where no sidecar told of any.
    #[serde(default)]
    pub covered: Option<Covered>,
}

/// Pods with a sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meshed {
    /// With a sidecar that answers.
    pub meshed: u64,
    /// All of them; `None` where only who knows the cluster can say.
    pub total: Option<u64>,
}

impl fmt::Display for Meshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total {
            Some(total) => write!(f, "{}/{total}", self.meshed),
            None => write!(f, "{}/-", self.meshed),
        }
    }
}

/// `GET /api/v1/routes`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Routes {
    /// Window asked for, in seconds.
    pub window_s: f64,
    /// By namespace, service and route.
    pub rows: Vec<RouteRow>,
}

/// Golden signals of one route of a service, as its callers saw them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteRow {
    /// Namespace of the service.
    pub namespace: String,
    /// The service that was dialled.
    pub service: String,
    /// The rule's name; empty where it has none, or where no rule took the request.
    pub route: String,
    /// Share of requests that succeeded, 0 to 1, by the rule of [`StatRow::success`]; after retries.
    pub success: Option<f64>,
    /// Requests a second.
    pub rps: f64,
    /// Median latency, milliseconds.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Requests counted.
    pub requests: u64,
    /// Share of the tries that succeeded: what the pods answered, before retries mended it.
    #[serde(default)]
    pub actual_success: Option<f64>,
    /// Tries a second, retries included; what failed before any pod was asked is none.
    #[serde(default)]
    pub actual_rps: f64,
    /// Requests that were sent anew, times.
    #[serde(default)]
    pub retries: u64,
    /// Requests that ended because their time was over.
    #[serde(default)]
    pub timeouts: u64,
    /// Status and reason of most of the failures: `503 fault_filter_abort`.
    pub failure: Option<String>,
    /// The time that the figures cover; `None` where no sidecar told of any.
    #[serde(default)]
    pub covered: Option<Covered>,
}

/// `GET /api/v1/authz`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Authz {
    /// Window asked for, in seconds.
    pub window_s: f64,
    /// By namespace, workload, service and policy.
    pub rows: Vec<AuthzRow>,
}

/// What one authorization policy did to the requests of one service at one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthzRow {
    /// Namespace of the workload.
    pub namespace: String,
    /// The workload whose sidecar judged.
    pub workload: String,
    /// The service that was dialled; empty for a pod's own address.
    pub service: String,
    /// `NAMESPACE/NAME` of the AuthorizationPolicy; empty where none held, or none of several matched.
    pub policy: String,
    /// Requests a second that it let pass.
    pub allowed_rps: f64,
    /// Requests a second that it denied.
    pub denied_rps: f64,
    /// Share of those let pass that succeeded, 0 to 1; `None` = none was let pass.
    pub success: Option<f64>,
    /// Median latency of those let pass, milliseconds.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Requests judged.
    pub requests: u64,
    /// The time that the figures cover; `None` where no sidecar told of any.
    #[serde(default)]
    pub covered: Option<Covered>,
}

/// `GET /api/v1/edges`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Edges {
    /// Window asked for, in seconds.
    pub window_s: f64,
    /// By source and destination.
    pub rows: Vec<EdgeRow>,
}

/// Who talks to whom, and how safely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeRow {
    /// Caller; `-` where it is not known (a client without a sidecar).
    pub src: String,
    /// Its namespace; `-` where not known.
    pub src_ns: String,
    /// Callee.
    pub dst: String,
    /// Its namespace.
    pub dst_ns: String,
    /// SPIFFE ID of the caller; empty for plaintext.
    pub client_id: String,
    /// SPIFFE ID of the callee; empty for plaintext.
    pub server_id: String,
    /// How the traffic between them is secured.
    pub secured: Secured,
    /// Requests a second.
    pub rps: f64,
    /// Opaque connections that are open now.
    pub tcp_conns: u64,
}

/// How traffic is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Secured {
    /// All of it by mutual TLS.
    #[serde(rename = "mTLS")]
    Mtls,
    /// None of it.
    #[serde(rename = "plaintext")]
    Plaintext,
    /// Some of it.
    #[serde(rename = "mixed")]
    Mixed,
}

impl fmt::Display for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mtls => "mTLS",
            Self::Plaintext => "plaintext",
            Self::Mixed => "mixed",
        })
    }
}

/// `30s`, `5m`, `1h`, `250ms`.
///
/// # Errors
/// When the text is not a length of time.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}` is not a length of time such as 30s, 5m or 1h")),
    };
    let seconds = number.parse::<f64>().ok().map(|n| n * scale);
    let duration = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
    duration.ok_or_else(|| format!("`{text}` is not a length of time such as 30s, 5m or 1h"))
}

/// Where nothing else is asked.
pub const DEFAULT_WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
