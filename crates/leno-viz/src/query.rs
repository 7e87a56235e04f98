//! Rows out of the window. Pure: a window, a question and the time give the answer.
//!
//! Linkerd's convention: pods and what owns them are seen from their own side (inbound: what they were asked), services
//! from their callers' side (outbound), and with `to` the rows are the callers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use leno_core::id::{Direction, ServiceId};
use leno_core::samples::{PeerLabels, RequestLabels, TcpLabels};
use leno_core::sketch::Sketch;

use crate::model::{Covered, EdgeRow, Edges, Kind, Meshed, Question, Resource, Secured, Stat, StatRow};
use crate::window::{Connections, Proxy, ProxyId, Requests, Window};

/// Golden signals, one row per thing; also for pods without traffic.
#[must_use]
pub fn stat(window: &Window, question: &Question, now: u64) -> Stat {
    let view = View::new(question);
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    for (id, proxy) in window.proxies() {
        if let Some(name) = view.own_row(id, proxy).filter(|_| proxy.alive) {
            rows.entry(name).or_default().meshed += 1;
        }
        let span = proxy.span(question.window, now);
        for (labels, pieces) in span.requests() {
            if let Some(name) = view.row(id, proxy, &Flow::of_request(labels)) {
                rows.entry(name).or_default().requests(labels, &pieces.get(), span.covered);
            }
        }
        for (labels, connections) in span.tcp() {
            if let Some(name) = view.row(id, proxy, &Flow::of_tcp(labels)) {
                rows.entry(name).or_default().connections(connections, span.covered);
            }
        }
        for (labels, open) in &proxy.open {
            if let Some(name) = view.row(id, proxy, &Flow::of_tcp(labels)) {
                rows.entry(name).or_default().open += open;
            }
        }
    }
    let rows = rows.into_iter().map(|(name, row)| row.finish(name, question.kind)).collect();
    Stat { window_s: seconds(question.window), rows }
}

/// Who talks to whom. Traffic between two sidecars is counted at the callee's, the rest where it is seen; and where the callee's
/// has not told of it yet, the caller's word is taken.
#[must_use]
pub fn edges(window: &Window, question: &Question, now: u64) -> Edges {
    let mut rows: BTreeMap<[String; 6], Edge> = BTreeMap::new();
    let mut awaited: BTreeMap<[String; 6], Edge> = BTreeMap::new();
    for (_, proxy) in window.proxies() {
        let span = proxy.span(question.window, now);
        let mut each = |flow: &Flow<'_>, mtls: bool, add: &dyn Fn(&mut Edge)| {
            if let Some(key) = edge(question, flow) {
                // The callee's sidecar reports it too, and knows better how it was secured.
                let twice = flow.direction == Direction::Outbound
                    && window.knows(&flow.destination.namespace, &flow.destination.pod);
                let edge = if twice { &mut awaited } else { &mut rows }.entry(key).or_default();
                *if mtls { &mut edge.secured } else { &mut edge.plain } = true;
                add(edge);
            }
        };
        for (labels, pieces) in span.requests() {
            let rate = pieces.count() as f64 / span.covered.seconds();
            each(&Flow::of_request(labels), labels.mtls, &|e| e.rps += rate);
        }
        for (labels, _) in span.tcp() {
            each(&Flow::of_tcp(labels), labels.mtls, &|_| {});
        }
        for (labels, open) in &proxy.open {
            each(&Flow::of_tcp(labels), labels.mtls, &|e| e.open += open);
        }
    }
    let told: BTreeSet<Vec<String>> = rows.keys().map(|key| key[..4].to_vec()).collect();
    rows.extend(awaited.into_iter().filter(|(key, _)| !told.contains(&key[..4])));
    let rows = rows.into_iter().map(|(key, edge)| edge.finish(key)).collect();
    Edges { window_s: seconds(question.window), rows }
}

/// What requests and connections have in common.
pub(crate) struct Flow<'a> {
    direction: Direction,
    source: &'a PeerLabels,
    destination: &'a PeerLabels,
    service: Option<&'a ServiceId>,
}

impl<'a> Flow<'a> {
    pub(crate) fn of_request(labels: &'a Arc<RequestLabels>) -> Self {
        let RequestLabels { direction, source, destination, service, .. } = &**labels;
        Self { direction: *direction, source, destination, service: service.as_ref() }
    }

    fn of_tcp(labels: &'a Arc<TcpLabels>) -> Self {
        let TcpLabels { direction, source, destination, service, .. } = &**labels;
        Self { direction: *direction, source, destination, service: service.as_ref() }
    }
}

/// Which row something belongs to.
pub(crate) struct View<'a> {
    question: &'a Question,
    service: bool,
}

impl<'a> View<'a> {
    pub(crate) fn new(question: &'a Question) -> Self {
        Self { question, service: question.kind == Kind::Service }
    }

    /// The row of the proxy's own pod. With a filter only what has traffic is shown.
    fn own_row(&self, id: &ProxyId, proxy: &Proxy) -> Option<(String, String)> {
        let q = self.question;
        let filtered = q.from.is_some() || q.to.is_some();
        if self.service || filtered { None } else { self.of_pod(id, proxy) }
    }

    /// The row of a flow that the proxy saw; `None` if it is none of those asked for.
    pub(crate) fn row(&self, id: &ProxyId, proxy: &Proxy, flow: &Flow<'_>) -> Option<(String, String)> {
        let q = self.question;
        let callers = self.service || q.to.is_some();
        let wanted = if callers { Direction::Outbound } else { Direction::Inbound };
        let matches = flow.direction == wanted
            && q.from.as_ref().is_none_or(|r| is(r, flow.source, None, q))
            && q.to.as_ref().is_none_or(|r| is(r, flow.destination, flow.service, q));
        if !matches {
            return None;
        }
        if self.service {
            let service = flow.service?;
            return self.wanted(service.namespace.clone(), service.name.clone());
        }
        self.of_pod(id, proxy)
    }

    fn of_pod(&self, id: &ProxyId, proxy: &Proxy) -> Option<(String, String)> {
        let name = match self.question.kind {
            Kind::Namespace => id.namespace.clone(),
            Kind::Pod => id.pod.clone(),
            Kind::Service => return None,
            kind => (proxy.kind == kind.as_str()).then(|| proxy.workload.clone())?,
        };
        self.wanted(id.namespace.clone(), name)
    }

    fn wanted(&self, namespace: String, name: String) -> Option<(String, String)> {
        let q = self.question;
        let ok = q.namespace.as_ref().is_none_or(|ns| *ns == namespace) && q.name.as_ref().is_none_or(|n| *n == name);
        ok.then_some((namespace, name))
    }
}

/// Whether a peer is what a filter names.
fn is(resource: &Resource, peer: &PeerLabels, service: Option<&ServiceId>, question: &Question) -> bool {
    if resource.kind == Kind::Namespace {
        return peer.namespace == resource.name;
    }
    let namespace = resource.namespace.as_ref().or(question.namespace.as_ref());
    let in_namespace = |ns: &str| namespace.is_none_or(|n| n == ns);
    match resource.kind {
        Kind::Service => service.is_some_and(|s| s.name == resource.name && in_namespace(&s.namespace)),
        Kind::Pod => peer.pod == resource.name && in_namespace(&peer.namespace),
        // What a caller told of itself by a header lacks the kind.
        kind => {
            let of_kind = peer.kind.is_empty() || peer.kind == kind.as_str();
            of_kind && peer.workload == resource.name && in_namespace(&peer.namespace)
        }
    }
}

#[derive(Debug, Default)]
struct Row {
    meshed: u64,
    requests: u64,
    failed: u64,
    rps: f64,
    tries: u64,
    /// Of these, those that succeeded.
    good_tries: u64,
    retries: u64,
    sketch: Sketch,
    open: u64,
    read: f64,
    write: f64,
    covered: Option<Covered>,
}

impl Row {
    fn requests(&mut self, labels: &RequestLabels, requests: &Requests, covered: Covered) {
        self.requests += requests.count;
        self.failed += if failed(labels) { requests.count } else { 0 };
        self.rps += requests.count as f64 / covered.seconds();
        self.tries += requests.tries;
        self.good_tries += if failed(labels) { 0 } else { requests.count.min(requests.tries) };
        self.retries += requests.retries;
        self.sketch.merge(&requests.sketch);
        self.cover(covered);
    }

    fn connections(&mut self, connections: &Connections, covered: Covered) {
        self.read += connections.received as f64 / covered.seconds();
        self.write += connections.sent as f64 / covered.seconds();
        self.cover(covered);
    }

    fn cover(&mut self, covered: Covered) {
        self.covered = Some(covered.and(self.covered));
    }

    fn finish(self, (namespace, name): (String, String), kind: Kind) -> StatRow {
        let quantile = |q| self.sketch.quantile(q).map(|d| d.as_secs_f64() * 1000.0);
        StatRow {
            namespace,
            name,
            kind,
            meshed: Meshed { meshed: self.meshed, total: None },
            success: (self.requests > 0).then(|| (self.requests - self.failed) as f64 / self.requests as f64),
            rps: self.rps,
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            tcp_conns: self.open,
            read_bytes_s: self.read,
            write_bytes_s: self.write,
            requests: self.requests,
            covered: self.covered,
        }
    }
}

/// Linkerd's classification. A client that left is nobody's failure.
pub(crate) fn failed(labels: &RequestLabels) -> bool {
    match (labels.grpc, labels.status) {
        (Some(grpc), _) => matches!(grpc, 2 | 4 | 13 | 14 | 15),
        (None, 0) => labels.reason != "client_gone",
        (None, status) => status >= 500,
    }
}

#[derive(Debug, Default)]
struct Edge {
    secured: bool,
    plain: bool,
    rps: f64,
    open: u64,
}

impl Edge {
    fn finish(self, key: [String; 6]) -> EdgeRow {
        let [src_ns, src, dst_ns, dst, client_id, server_id] = key;
        let secured = match (self.secured, self.plain) {
            (true, true) => Secured::Mixed,
            (true, false) => Secured::Mtls,
            (false, _) => Secured::Plaintext,
        };
        EdgeRow { src, src_ns, dst, dst_ns, client_id, server_id, secured, rps: self.rps, tcp_conns: self.open }
    }
}

fn edge(question: &Question, flow: &Flow<'_>) -> Option<[String; 6]> {
    let Flow { source, destination, service, .. } = flow;
    let q = question;
    let (dst_ns, dst) = match (q.kind, service) {
        (Kind::Service, Some(service)) => (service.namespace.clone(), service.name.clone()),
        (Kind::Service, None) => return None,
        (kind, _) => of_peer(kind, destination, true)?,
    };
    let source_kind = if q.kind == Kind::Service { Kind::Deployment } else { q.kind };
    let (src_ns, src) = of_peer(source_kind, source, false).unwrap_or_else(|| (unknown(), unknown()));
    let in_namespace = q.namespace.as_ref().is_none_or(|ns| *ns == dst_ns || *ns == src_ns);
    let named = q.name.as_ref().is_none_or(|n| *n == dst || *n == src);
    let filtered = q.from.as_ref().is_none_or(|r| is(r, source, None, q))
        && q.to.as_ref().is_none_or(|r| is(r, destination, *service, q));
    let ids = || [source, destination].map(|peer| peer.principal.clone());
    (in_namespace && named && filtered).then(ids).map(|[client, server]| [src_ns, src, dst_ns, dst, client, server])
}

/// Namespace and name of a peer as a thing of `kind`. A callee must be of that kind; a caller is shown by its owner
/// whatever that is, so that no edge is lost because a Job started it.
fn of_peer(kind: Kind, peer: &PeerLabels, strict: bool) -> Option<(String, String)> {
    let name = match kind {
        Kind::Namespace => &peer.namespace,
        Kind::Pod if strict || !peer.pod.is_empty() => &peer.pod,
        Kind::Pod | Kind::Service => &peer.workload,
        kind if strict && peer.kind != kind.as_str() => return None,
        _ => &peer.workload,
    };
    (!name.is_empty()).then(|| (peer.namespace.clone(), name.clone()))
}

fn unknown() -> String {
    "-".to_owned()
}

const fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

mod authz;
mod routes;
#[cfg(test)]
mod tests;

pub use authz::authz;
pub use routes::routes;
