//! `VirtualService`: its hosts and its rules for opaque and TLS connections. HTTP rules are in [`super::http_route`].

use leno_core::id::ServiceId;
use leno_core::model::route::{TcpMatch, TcpRoute, TlsRoute, WeightedBackend};
use leno_core::model::{Labels, RouteTable};
use serde::{Deserialize, Serialize};

use super::common::{Destination, Findings, RawHeaders, export_to};
use super::http_route::HttpRoute;
use crate::diagnostic::Diagnostic;
use crate::k8s::ObjectMeta;
use crate::lower::Lowered;
use crate::object::{Object, Path};
use crate::quantity::unix_seconds;
use crate::typed;

/// The object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VirtualService {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Spec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) hosts: Vec<String>,
    gateways: Vec<String>,
    pub(crate) http: Vec<HttpRoute>,
    tls: Vec<Tls>,
    tcp: Vec<Tcp>,
    #[serde(alias = "export_to")]
    export_to: Vec<String>,
}

/// `RouteDestination` and `HTTPRouteDestination`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Weighted {
    pub(crate) destination: Destination,
    pub(crate) weight: u32,
    pub(crate) headers: RawHeaders,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tcp {
    r#match: Vec<L4Match>,
    route: Vec<L4Weighted>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tls {
    r#match: Vec<TlsMatch>,
    route: Vec<L4Weighted>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct L4Weighted {
    destination: Destination,
    weight: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct L4Match {
    #[serde(alias = "destination_subnets")]
    destination_subnets: Vec<String>,
    port: Option<u16>,
    #[serde(alias = "source_labels")]
    source_labels: Labels,
    #[serde(alias = "source_namespace")]
    source_namespace: Option<String>,
    gateways: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TlsMatch {
    #[serde(alias = "sni_hosts")]
    sni_hosts: Vec<String>,
    #[serde(alias = "destination_subnets")]
    destination_subnets: Vec<String>,
    port: Option<u16>,
    #[serde(alias = "source_labels")]
    source_labels: Labels,
    #[serde(alias = "source_namespace")]
    source_namespace: Option<String>,
    gateways: Vec<String>,
}

impl Spec {
    /// Whether sidecars take the rules, and not gateways alone.
    pub(crate) fn is_for_sidecars(&self) -> bool {
        is_for_sidecars(&self.gateways)
    }

    /// `(rule, route, destination)` of the `tcp` or `tls` rules.
    pub(crate) fn l4_destinations(&self, list: &str) -> Vec<(usize, usize, &Destination)> {
        let routes: Vec<&[L4Weighted]> = match list {
            "tcp" => self.tcp.iter().map(|r| r.route.as_slice()).collect(),
            _ => self.tls.iter().map(|r| r.route.as_slice()).collect(),
        };
        routes
            .into_iter()
            .enumerate()
            .flat_map(|(rule, routes)| routes.iter().enumerate().map(move |(route, w)| (rule, route, &w.destination)))
            .collect()
    }
}

/// Lowers the object: one table for each of its hosts.
pub(crate) fn lower(object: &Object) -> Result<(Vec<Lowered>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (raw, unknown) = typed::<VirtualService>(object).map_err(|e| vec![e])?;
    let mut findings = Findings::new(object, unknown);
    let spec = Path::root().key("spec");
    let hosts = hosts(&raw.spec.hosts, &spec.key("hosts"), &mut findings);
    let rules = raw.spec.http.len() + raw.spec.tls.len() + raw.spec.tcp.len();
    if rules == 0 {
        findings.error(&spec, "has no rules: http, tls and tcp are all empty");
    }
    let http = |(index, rule): (usize, &HttpRoute)| rule.lower(&spec.key("http").index(index), &mut findings);
    let http = raw.spec.http.iter().enumerate().filter_map(http).collect::<Vec<_>>();
    let tcp = |(index, rule): (usize, &Tcp)| rule.lower(&spec.key("tcp").index(index), &mut findings);
    let tcp = raw.spec.tcp.iter().enumerate().filter_map(tcp).collect::<Vec<_>>();
    let tls = |(index, rule): (usize, &Tls)| rule.lower(&spec.key("tls").index(index), &mut findings);
    let tls = raw.spec.tls.iter().enumerate().filter_map(tls).collect::<Vec<_>>();
    if let Some(index) = raw.spec.gateways.iter().position(|g| g != MESH) {
        let at = spec.key("gateways").index(index);
        findings.warning(&at, "gateways are not honoured yet: only `mesh`, the sidecars, takes these rules");
    }
    if !raw.spec.is_for_sidecars() {
        return findings.finish(Vec::new());
    }
    if rules > 0 && http.is_empty() && tcp.is_empty() && tls.is_empty() {
        // Every rule is for gateways; an empty table would say that nothing is to be done specially, which is true.
        return findings.finish(Vec::new());
    }
    let table = RouteTable {
        origin: object.origin(),
        export_to: export_to(&raw.spec.export_to, object.namespace()),
        http,
        tcp,
        tls,
        ..RouteTable::default()
    };
    let tables = hosts.into_iter().map(|host| (host, table.clone())).collect();
    let created = unix_seconds(&raw.metadata.creation_timestamp);
    findings.finish(vec![Lowered::Routes { rank: RANK, created, tables }])
}

/// See [`Lowered::Routes`].
const RANK: u8 = 0;
const MESH: &str = "mesh";

/// Whether sidecars take part where `gateways` is given; no gateways means sidecars alone.
pub(super) fn is_for_sidecars(gateways: &[String]) -> bool {
    gateways.is_empty() || gateways.iter().any(|g| g == MESH)
}

fn hosts(hosts: &[String], path: &Path, findings: &mut Findings<'_>) -> Vec<ServiceId> {
    if hosts.is_empty() {
        findings.error(path, "is missing");
    }
    let mut out = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        let at = path.index(index);
        match ServiceId::from_host(host, findings.object.namespace()) {
            Some(service) if out.contains(&service) => findings.error(&at, format!("`{host}` is there twice")),
            Some(service) => out.push(service),
            None if host.contains('*') => {
                findings.warning(&at, format!("`{host}`: wildcard hosts are not carried yet, the rules do not hold for it"));
            }
            None => findings.warning(
                &at,
                format!("`{host}` is no service of the cluster: outside hosts are not carried yet, the rules do not hold for it"),
            ),
        }
    }
    out
}

/// `(destination, weight, headers)` of a rule into backends, with Istio's reading of weights: a single destination
/// takes all, several need at least one weight above 0.
pub(super) fn backends(
    routes: &[(&Destination, u32, &RawHeaders)],
    path: &Path,
    findings: &mut Findings<'_>,
) -> Vec<WeightedBackend> {
    let total: u64 = routes.iter().map(|(_, weight, _)| u64::from(*weight)).sum();
    let single = routes.len() == 1;
    if !single && total == 0 {
        findings.error(path, "the weights add up to 0: give at least one destination a weight");
    } else if total > u64::from(u32::MAX) {
        findings.error(path, "the weights add up to more than 4294967295");
    } else if !single && total != 100 {
        findings.info(path, format!("the weights add up to {total}: each is a share of that"));
    }
    let mut out = Vec::new();
    for (index, (destination, weight, headers)) in routes.iter().enumerate() {
        let at = path.index(index);
        let weight = if single && *weight == 0 { 100 } else { *weight };
        let headers = headers.lower(&at.key("headers"), findings);
        if let Some(backend) = destination.lower(&at.key("destination"), findings) {
            out.push(WeightedBackend { backend, weight, headers, invalid: false });
        }
    }
    out
}

fn l4_backends(routes: &[L4Weighted], path: &Path, findings: &mut Findings<'_>) -> Vec<WeightedBackend> {
    if routes.is_empty() {
        findings.error(path, "is missing");
    }
    let none = RawHeaders::default();
    let routes: Vec<_> = routes.iter().map(|r| (&r.destination, r.weight, &none)).collect();
    backends(&routes, path, findings)
}

impl Tcp {
    /// `None` where it holds for gateways alone.
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<TcpRoute> {
        let backends = l4_backends(&self.route, &path.key("route"), findings);
        let mut matches = Vec::new();
        for (index, m) in self.r#match.iter().enumerate() {
            let at = path.key("match").index(index);
            let subnets = subnets(&m.destination_subnets, &at.key("destinationSubnets"), findings);
            if is_for_sidecars(&m.gateways) {
                matches.push(TcpMatch {
                    port: m.port,
                    destination_subnets: subnets,
                    source_labels: m.source_labels.clone(),
                    source_namespace: m.source_namespace.clone(),
                });
            }
        }
        (self.r#match.is_empty() || !matches.is_empty()).then_some(TcpRoute { matches, backends })
    }
}

impl Tls {
    /// `None` where it holds for gateways alone.
    fn lower(&self, path: &Path, findings: &mut Findings<'_>) -> Option<TlsRoute> {
        let backends = l4_backends(&self.route, &path.key("route"), findings);
        if self.r#match.is_empty() {
            findings.error(&path.key("match"), "is missing: a TLS rule matches by sniHosts");
        }
        let mut matches = Vec::new();
        for (index, m) in self.r#match.iter().enumerate() {
            let at = path.key("match").index(index);
            if m.sni_hosts.is_empty() {
                findings.error(&at.key("sniHosts"), "is missing");
            }
            let subnets = subnets(&m.destination_subnets, &at.key("destinationSubnets"), findings);
            if is_for_sidecars(&m.gateways) {
                let rest = TcpMatch {
                    port: m.port,
                    destination_subnets: subnets,
                    source_labels: m.source_labels.clone(),
                    source_namespace: m.source_namespace.clone(),
                };
                matches.push((m.sni_hosts.iter().map(|h| h.to_ascii_lowercase()).collect(), rest));
            }
        }
        (!matches.is_empty()).then_some(TlsRoute { matches, backends })
    }
}

fn subnets(texts: &[String], path: &Path, findings: &mut Findings<'_>) -> Vec<ipnet::IpNet> {
    let mut out = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match network(text) {
            Some(network) => out.push(network),
            None => findings.error(&path.index(index), format!("`{text}` is no address and no network (10.0.0.0/8)")),
        }
    }
    out
}

/// A network, or a single address.
pub(super) fn network(text: &str) -> Option<ipnet::IpNet> {
    text.parse().ok().or_else(|| text.parse().ok().map(|ip: std::net::IpAddr| ip.into()))
}
