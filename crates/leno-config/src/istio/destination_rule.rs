//! `DestinationRule`.

use leno_core::id::CLUSTER_DOMAIN;
use leno_core::model::traffic::{
    Balancer, ClientTls, ClientTlsMode, ConnectionPool, DestinationRule as Model, HashKey, OutlierDetection, Subset,
};
use leno_core::model::{Labels, TrafficPolicy};
use serde::{Deserialize, Serialize};

use super::common::{Findings, PortSelector, Selector, export_to, service_of};
use crate::diagnostic::Diagnostic;
use crate::k8s::ObjectMeta;
use crate::lower::{Lowered, RuleHosts};
use crate::object::{Object, Path};
use crate::quantity::unix_seconds;
use crate::typed;

/// The object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct DestinationRule {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) host: String,
    #[serde(alias = "traffic_policy")]
    traffic_policy: Policy,
    pub(crate) subsets: Vec<RawSubset>,
    #[serde(alias = "export_to")]
    export_to: Vec<String>,
    workload_selector: Selector,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RawSubset {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    #[serde(alias = "traffic_policy")]
    traffic_policy: Policy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Policy {
    load_balancer: Option<LoadBalancer>,
    connection_pool: Option<Pool>,
    outlier_detection: Option<Outlier>,
    tls: Option<Tls>,
    port_level_settings: Vec<PortPolicy>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortPolicy {
    port: PortSelector,
    load_balancer: Option<LoadBalancer>,
    connection_pool: Option<Pool>,
    outlier_detection: Option<Outlier>,
    tls: Option<Tls>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LoadBalancer {
    simple: Option<String>,
    consistent_hash: Option<Hash>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Hash {
    http_header_name: Option<String>,
    http_cookie: Option<Cookie>,
    use_source_ip: Option<bool>,
    http_query_parameter_name: Option<String>,
    minimum_ring_size: Option<u32>,
    ring_hash: Option<RingHash>,
    maglev: Option<Maglev>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Cookie {
    name: String,
    path: String,
    ttl: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RingHash {
    minimum_ring_size: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Maglev {
    table_size: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Pool {
    tcp: TcpPool,
    http: HttpPool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TcpPool {
    max_connections: u32,
    connect_timeout: Option<String>,
    idle_timeout: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HttpPool {
    http1_max_pending_requests: u32,
    http2_max_requests: u32,
    max_requests_per_connection: u32,
    max_retries: u32,
    idle_timeout: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Outlier {
    consecutive_errors: Option<u32>,
    #[serde(rename = "consecutive5xxErrors")]
    consecutive_5xx_errors: Option<u32>,
    consecutive_gateway_errors: Option<u32>,
    consecutive_local_origin_failures: Option<u32>,
    split_external_local_origin_errors: bool,
    interval: Option<String>,
    base_ejection_time: Option<String>,
    max_ejection_percent: u32,
    min_health_percent: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tls {
    mode: String,
    sni: Option<String>,
    subject_alt_names: Vec<String>,
}

/// Lowers the object.
pub(crate) fn lower(object: &Object) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (raw, unknown) = typed::<DestinationRule>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    let spec = Path::root().key("spec");
    let at = spec.key("trafficPolicy");
    let (policy, ports) = raw.spec.traffic_policy.lower(&at, &mut findings);
    let subsets = subsets(&raw.spec.subsets, &spec.key("subsets"), &mut findings);
    let Some(hosts) = hosts(&raw.spec.host, &spec.key("host"), &mut findings) else {
        return findings.finish(Vec::new());
    };
    let rule = Model {
        origin: object.origin(),
        export_to: export_to(&raw.spec.export_to, object.namespace()),
        workload_selector: raw.spec.workload_selector.match_labels,
        policy,
        ports,
        subsets,
    };
    let created = unix_seconds(&raw.metadata.creation_timestamp);
    findings.finish(vec![Lowered::DestinationRule { hosts, created, rule }])
}

/// A wildcard stands at the beginning, for everything or for whole labels (Istio's form).
fn hosts(host: &str, at: &Path, findings: &mut Findings<'_>) -> Option<RuleHosts> {
    let Some(rest) = host.strip_prefix('*') else {
        return service_of(host, at, findings).map(RuleHosts::Service);
    };
    let suffix = rest.strip_suffix('.').unwrap_or(rest);
    if suffix.contains('*') || !(suffix.is_empty() || suffix.starts_with('.') && suffix.len() > 1) {
        findings.error(at, format!("`{host}` is no host: a wildcard is `*` alone, or `*.` before a domain"));
        return None;
    }
    let services = format!(".svc.{CLUSTER_DOMAIN}");
    if !suffix.ends_with(&services) && !services.ends_with(suffix) {
        let what = "ends as no service's host does (NAME.NAMESPACE.svc.cluster.local), so that the rule holds for none";
        findings.warning(at, format!("`{host}` {what}"));
    }
    Some(RuleHosts::Suffix(suffix.to_ascii_lowercase()))
}

fn subsets(raw: &[RawSubset], path: &Path, findings: &mut Findings<'_>) -> Vec<Subset> {
    let mut out: Vec<Subset> = Vec::new();
    for (index, subset) in raw.iter().enumerate() {
        let at = path.index(index);
        if subset.name.is_empty() {
            findings.error(&at.key("name"), "is missing");
        }
        if out.iter().any(|other| other.name == subset.name) {
            findings.error(&at.key("name"), format!("the subset `{}` is there twice", subset.name));
        }
        let (policy, ports) = subset.traffic_policy.lower(&at.key("trafficPolicy"), findings);
        out.push(Subset { name: subset.name.clone(), labels: subset.labels.clone(), policy, ports });
    }
    out
}

type Blocks<'p> = (&'p Option<LoadBalancer>, &'p Option<Pool>, &'p Option<Outlier>, &'p Option<Tls>);

impl Policy {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> (TrafficPolicy, Vec<(u16, TrafficPolicy)>) {
        let own = (&self.load_balancer, &self.connection_pool, &self.outlier_detection, &self.tls);
        let policy = blocks(own, path, findings);
        let mut ports = Vec::new();
        for (index, raw) in self.port_level_settings.iter().enumerate() {
            let at = path.key("portLevelSettings").index(index);
            if raw.port.number == 0 {
                findings.error(&at.keys("port.number"), "must be a port from 1 to 65535");
            }
            let own = (&raw.load_balancer, &raw.connection_pool, &raw.outlier_detection, &raw.tls);
            ports.push((raw.port.number, blocks(own, &at, findings)));
        }
        (policy, ports)
    }
}

fn blocks((balancer, pool, outlier, tls): Blocks<'_>, path: &Path, findings: &mut Findings<'_>) -> TrafficPolicy {
    TrafficPolicy {
        balancer: balancer.as_ref().and_then(|b| b.lower(&path.key("loadBalancer"), findings)),
        pool: pool.as_ref().map(|p| p.lower(&path.key("connectionPool"), findings)),
        outlier: outlier.as_ref().map(|o| o.lower(&path.key("outlierDetection"), findings)),
        tls: tls.as_ref().and_then(|t| t.lower(&path.key("tls"), findings)),
    }
}

impl LoadBalancer {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<Balancer> {
        match (self.simple.as_deref(), &self.consistent_hash) {
            (Some(_), Some(_)) => {
                findings.error(path, "must have only one of simple and consistentHash");
                None
            }
            (None, Some(hash)) => hash.lower(&path.key("consistentHash"), findings),
            (None, None) => None,
            (Some("UNSPECIFIED" | "LEAST_CONN" | "LEAST_REQUEST"), None) => Some(Balancer::LeastRequest),
            (Some("ROUND_ROBIN"), None) => Some(Balancer::RoundRobin),
            (Some("RANDOM"), None) => Some(Balancer::Random),
            (Some("PASSTHROUGH"), None) => Some(Balancer::Passthrough),
            (Some(other), None) => {
                let known = "LEAST_REQUEST, ROUND_ROBIN, RANDOM, PASSTHROUGH";
                findings.error(&path.key("simple"), format!("`{other}` is none of {known}"));
                None
            }
        }
    }
}

/// Envoy's and Istio's.
const RING_SIZE: u32 = 1024;
/// Envoy's limit.
const MAX_RING_SIZE: u32 = 8 * 1024 * 1024;

impl Hash {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<Balancer> {
        let mut keys: Vec<HashKey> = Vec::new();
        keys.extend(self.http_header_name.as_ref().map(|h| HashKey::Header(h.to_ascii_lowercase())));
        keys.extend(self.http_cookie.as_ref().map(|c| HashKey::Cookie {
            name: c.name.clone(),
            path: c.path.clone(),
            ttl: findings.duration(&path.keys("httpCookie.ttl"), c.ttl.as_ref()),
        }));
        keys.extend((self.use_source_ip == Some(true)).then_some(HashKey::SourceIp));
        keys.extend(self.http_query_parameter_name.clone().map(HashKey::Query));
        if self.maglev.is_some() {
            findings.warning(&path.key("maglev"), "is not honoured yet: a ring of hashes stands in for it");
        }
        let ring_size = self.ring_hash.as_ref().and_then(|r| r.minimum_ring_size).or(self.minimum_ring_size);
        if ring_size.is_some_and(|n| n > MAX_RING_SIZE) {
            findings.error(&path.key("minimumRingSize"), format!("must not be more than {MAX_RING_SIZE}"));
        }
        let minimum_ring_size = ring_size.filter(|n| *n > 0).unwrap_or(RING_SIZE);
        match <[HashKey; 1]>::try_from(keys) {
            Ok([key]) => Some(Balancer::ConsistentHash { key, minimum_ring_size }),
            Err(_) => {
                let keys = "httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName";
                findings.error(path, format!("must have one of {keys}"));
                None
            }
        }
    }
}

impl Pool {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> ConnectionPool {
        // 0 is proto's way to say nothing.
        let some = |n: u32| (n > 0).then_some(n);
        let tcp = path.key("tcp");
        ConnectionPool {
            max_connections: some(self.tcp.max_connections),
            connect_timeout: positive(&tcp.key("connectTimeout"), self.tcp.connect_timeout.as_ref(), findings),
            tcp_idle_timeout: findings.duration(&tcp.key("idleTimeout"), self.tcp.idle_timeout.as_ref()),
            http1_max_pending: some(self.http.http1_max_pending_requests),
            http2_max_requests: some(self.http.http2_max_requests),
            max_requests_per_connection: some(self.http.max_requests_per_connection),
            max_retries: some(self.http.max_retries),
            http_idle_timeout: findings.duration(&path.keys("http.idleTimeout"), self.http.idle_timeout.as_ref()),
        }
    }
}

fn positive(path: &Path, text: Option<&String>, findings: &mut Findings<'_>) -> Option<std::time::Duration> {
    let duration = findings.duration(path, text)?;
    if duration.is_zero() {
        findings.error(path, "must be longer than 0");
    }
    Some(duration)
}

impl Outlier {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> OutlierDetection {
        let default = OutlierDetection::default();
        for (field, percent) in
            [("maxEjectionPercent", self.max_ejection_percent), ("minHealthPercent", self.min_health_percent)]
        {
            if percent > 100 {
                findings.error(&path.key(field), "must be a percentage from 0 to 100");
            }
        }
        if self.consecutive_errors.is_some() {
            let old = "is the old name of consecutiveGatewayErrors, which it stands in for";
            findings.warning(&path.key("consecutiveErrors"), old);
        }
        let interval = positive(&path.key("interval"), self.interval.as_ref(), findings);
        let ejection = positive(&path.key("baseEjectionTime"), self.base_ejection_time.as_ref(), findings);
        OutlierDetection {
            consecutive_5xx: self.consecutive_5xx_errors.unwrap_or(default.consecutive_5xx),
            consecutive_gateway: self
                .consecutive_gateway_errors
                .or(self.consecutive_errors)
                .unwrap_or(default.consecutive_gateway),
            consecutive_local_origin: self
                .consecutive_local_origin_failures
                .unwrap_or(default.consecutive_local_origin),
            split_local_origin: self.split_external_local_origin_errors,
            interval: interval.unwrap_or(default.interval),
            base_ejection: ejection.unwrap_or(default.base_ejection),
            max_ejection_percent: match self.max_ejection_percent {
                0 => default.max_ejection_percent,
                percent => percent,
            },
            min_health_percent: self.min_health_percent,
        }
    }
}

impl Tls {
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<ClientTls> {
        let at = path.key("mode");
        let mode = match self.mode.as_str() {
            "" | "DISABLE" => ClientTlsMode::Disable,
            "ISTIO_MUTUAL" => ClientTlsMode::IstioMutual,
            mode @ ("SIMPLE" | "MUTUAL") => {
                let why = "TLS with files of one's own is not carried yet, and plaintext in its place would be a leak";
                findings.error(&at, format!("{mode} is refused: {why}"));
                return None;
            }
            other => {
                findings.error(&at, format!("`{other}` is none of DISABLE, ISTIO_MUTUAL, SIMPLE, MUTUAL"));
                return None;
            }
        };
        Some(ClientTls {
            mode,
            subject_alt_names: self.subject_alt_names.clone(),
            sni: self.sni.clone().filter(|s| !s.is_empty()),
        })
    }
}
