//! The mesh as a graph: workloads, services and what is outside, and the traffic between them. Pure, as [`crate::query`].
//!
//! An edge into a service is what callers saw, with the mesh's retries done; an edge out of a service is what the workload
//! behind it was asked, each try counted. So a failure that retries hide is red behind the service and green before it.

mod model;

use std::collections::BTreeMap;
use std::time::Duration;

use leno_core::Reason;
use leno_core::id::{Direction, ServiceId};
use leno_core::samples::{PeerLabels, RequestLabels, TcpLabels};
use leno_core::sketch::Sketch;

use crate::model::{Covered, Secured};
use crate::query::failed;
use crate::rules::Rules;
use crate::window::{Connections, Requests, Window};

pub use model::{Edge, Failure, Graph, Node, Signals};

/// The graph of the last `span`. With a namespace: what is in it and its neighbours.
#[must_use]
pub fn graph(window: &Window, rules: &Rules, namespace: Option<&str>, span: Duration, now: u64) -> Graph {
    let mut draft = Draft { window, nodes: BTreeMap::new(), edges: BTreeMap::new() };
    for (id, proxy) in window.proxies() {
        let own = Key::Workload(id.namespace.clone(), proxy.kind.clone(), proxy.workload.clone());
        draft.nodes.entry(own).or_default().pods += u64::from(proxy.alive);
        let view = proxy.span(span, now);
        for (labels, pieces) in view.requests() {
            draft.requests(labels, &pieces.get(), view.covered);
        }
        for (labels, connections) in view.tcp() {
            draft.connections(labels, connections, view.covered);
        }
        for (labels, open) in &proxy.open {
            draft.open(labels, *open);
        }
    }
    draft.finish(rules, namespace, span, now)
}

/// What a node is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    /// Namespace, kind, name.
    Workload(String, String, String),
    /// Namespace, name.
    Service(String, String),
    /// Not of the mesh.
    Outside(String),
    /// A caller without a sidecar.
    Unknown,
}

impl Key {
    fn service(id: &ServiceId) -> Self {
        Self::Service(id.namespace.clone(), id.name.clone())
    }

    fn peer(peer: &PeerLabels, otherwise: Self) -> Self {
        if peer.workload.is_empty() {
            return otherwise;
        }
        Self::Workload(peer.namespace.clone(), peer.kind.clone(), peer.workload.clone())
    }

    fn namespace(&self) -> &str {
        match self {
            Self::Workload(namespace, ..) | Self::Service(namespace, _) => namespace,
            Self::Outside(_) | Self::Unknown => "",
        }
    }

    fn id(&self) -> String {
        match self {
            Self::Workload(namespace, kind, name) => format!("workload/{namespace}/{kind}/{name}"),
            Self::Service(namespace, name) => format!("service/{namespace}/{name}"),
            Self::Outside(name) => format!("outside/{name}"),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    requests: u64,
    failed: u64,
    rps: f64,
    sketch: Sketch,
    covered: Option<Covered>,
}

impl Tally {
    fn add(&mut self, labels: &RequestLabels, requests: &Requests, covered: Covered) {
        self.requests += requests.count;
        self.failed += if failed(labels) { requests.count } else { 0 };
        self.rps += requests.count as f64 / covered.seconds();
        self.sketch.merge(&requests.sketch);
        self.covered = Some(covered.and(self.covered));
    }

    fn finish(&self) -> Signals {
        let quantile = |q| self.sketch.quantile(q).map(|d| d.as_secs_f64() * 1000.0);
        Signals {
            success: (self.requests > 0).then(|| (self.requests - self.failed) as f64 / self.requests as f64),
            rps: self.rps,
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            requests: self.requests,
        }
    }
}

#[derive(Debug, Default)]
struct NodeDraft {
    pods: u64,
    tally: Tally,
}

#[derive(Debug, Default)]
struct EdgeDraft {
    tally: Tally,
    /// Somebody told of traffic, not of shares alone.
    told: bool,
    secured: bool,
    plain: bool,
    client: String,
    server: String,
    open: u64,
    bytes_s: f64,
    /// By route, reason, status, gRPC status.
    failures: BTreeMap<(String, String, u16, Option<u32>), u64>,
    /// Requests by route, for shares.
    routes: BTreeMap<String, u64>,
}

impl EdgeDraft {
    fn ends(&mut self, source: &PeerLabels, destination: &PeerLabels, mtls: bool) {
        // A request that reached no pod was on no connection.
        if mtls || !destination.pod.is_empty() {
            *if mtls { &mut self.secured } else { &mut self.plain } = true;
        }
        self.told = true;
        self.client.clone_from(&source.principal);
        self.server.clone_from(&destination.principal);
    }

    const fn secured(&self) -> Option<Secured> {
        match (self.secured, self.plain) {
            (true, true) => Some(Secured::Mixed),
            (true, false) => Some(Secured::Mtls),
            (false, true) => Some(Secured::Plaintext),
            (false, false) => None,
        }
    }
}

struct Draft<'w> {
    window: &'w Window,
    nodes: BTreeMap<Key, NodeDraft>,
    edges: BTreeMap<(Key, Key), EdgeDraft>,
}

/// What both kinds of labels say of the way.
struct Way<'l> {
    direction: Direction,
    source: &'l PeerLabels,
    destination: &'l PeerLabels,
    service: Option<&'l ServiceId>,
}

impl Draft<'_> {
    /// The edges that a sample counts for: its reporter may be the only one who sees the other half.
    fn edges_of(&self, way: &Way<'_>) -> Vec<(Key, Key)> {
        let Way { direction, source, destination, service } = way;
        let knows = |peer: &PeerLabels| self.window.knows(&peer.namespace, &peer.pod);
        let from = Key::peer(source, Key::Unknown);
        let mut edges = Vec::new();
        match (direction, service) {
            (Direction::Outbound, Some(service)) => {
                let middle = Key::service(service);
                edges.push((from, middle.clone()));
                if !destination.workload.is_empty() && !knows(destination) {
                    edges.push((middle, Key::peer(destination, Key::Unknown)));
                }
            }
            (Direction::Outbound, None) if knows(destination) => {}
            (Direction::Outbound, None) => {
                edges.push((from, Key::peer(destination, Key::Outside("outside".to_owned()))));
            }
            (Direction::Inbound, Some(service)) => {
                let middle = Key::service(service);
                edges.push((middle.clone(), Key::peer(destination, Key::Unknown)));
                if !knows(source) {
                    edges.push((from, middle));
                }
            }
            (Direction::Inbound, None) => edges.push((from, Key::peer(destination, Key::Unknown))),
        }
        edges
    }

    fn requests(&mut self, labels: &RequestLabels, requests: &Requests, covered: Covered) {
        let RequestLabels { direction, source, destination, service, .. } = labels;
        let way = Way { direction: *direction, source, destination, service: service.as_ref() };
        let edges = self.edges_of(&way);
        let asked = match direction {
            Direction::Inbound => Some(Key::peer(destination, Key::Unknown)),
            Direction::Outbound => service.as_ref().map(Key::service),
        };
        if let Some(key) = asked {
            self.nodes.entry(key).or_default().tally.add(labels, requests, covered);
        }
        for ends in edges {
            let edge = self.edges.entry(ends).or_default();
            edge.tally.add(labels, requests, covered);
            edge.ends(source, destination, labels.mtls);
            if failed(labels) {
                let key = (labels.route.clone(), labels.reason.clone(), labels.status, labels.grpc);
                *edge.failures.entry(key).or_default() += requests.count;
            }
        }
        self.share(labels, requests);
    }

    /// Whom a service's callers were sent to, by rule: only they know the rule.
    fn share(&mut self, labels: &RequestLabels, requests: &Requests) {
        let (Direction::Outbound, Some(service)) = (labels.direction, &labels.service) else { return };
        if labels.destination.workload.is_empty() {
            return;
        }
        let ends = (Key::service(service), Key::peer(&labels.destination, Key::Unknown));
        *self.edges.entry(ends).or_default().routes.entry(labels.route.clone()).or_default() += requests.count;
    }

    fn connections(&mut self, labels: &TcpLabels, connections: &Connections, covered: Covered) {
        let TcpLabels { direction, source, destination, service, .. } = labels;
        for ends in self.edges_of(&Way { direction: *direction, source, destination, service: service.as_ref() }) {
            let edge = self.edges.entry(ends).or_default();
            edge.bytes_s += (connections.sent + connections.received) as f64 / covered.seconds();
            edge.ends(source, destination, labels.mtls);
        }
    }

    fn open(&mut self, labels: &TcpLabels, open: u64) {
        let TcpLabels { direction, source, destination, service, .. } = labels;
        for ends in self.edges_of(&Way { direction: *direction, source, destination, service: service.as_ref() }) {
            let edge = self.edges.entry(ends).or_default();
            edge.open += open;
            edge.ends(source, destination, labels.mtls);
        }
    }

    fn finish(mut self, rules: &Rules, namespace: Option<&str>, span: Duration, now: u64) -> Graph {
        // Shares alone make no edge: nobody told of the traffic itself.
        let near = |(from, to): &(Key, Key)| namespace.is_none_or(|ns| [from, to].iter().any(|k| k.namespace() == ns));
        self.edges.retain(|ends, edge| near(ends) && edge.told);
        for (from, to) in self.edges.keys() {
            for key in [from, to] {
                self.nodes.entry(key.clone()).or_default();
            }
        }
        let ends: std::collections::BTreeSet<&Key> = self.edges.keys().flat_map(|(a, b)| [a, b]).collect();
        let shown = |key: &Key| namespace.is_none_or(|ns| key.namespace() == ns || ends.contains(key));
        let nodes = self.nodes.iter().filter(|(key, _)| shown(key)).map(|(key, draft)| node(key, draft)).collect();
        let edges = self.edges.iter().map(|((from, to), draft)| {
            let (wanted, seen) = self.shares(rules, (from, to), draft);
            edge(from, to, draft, rules, (wanted, seen))
        });
        Graph { at_ms: now, window_s: span.as_secs_f64(), nodes, edges: edges.collect() }
    }

    /// Wanted and seen share of an edge out of a service.
    fn shares(&self, rules: &Rules, (from, to): (&Key, &Key), draft: &EdgeDraft) -> (Option<f64>, Option<f64>) {
        let (Key::Service(namespace, service), Key::Workload(.., workload)) = (from, to) else { return (None, None) };
        // All edges out of the service: by both ends they stand together.
        let first = (from.clone(), Key::Workload(String::new(), String::new(), String::new()));
        let after = self.edges.range(first..);
        let siblings = || after.clone().take_while(|((f, _), _)| f == from).map(|(_, draft)| draft);
        let requests = |draft: &EdgeDraft, route: Option<&str>| -> u64 {
            draft.routes.iter().filter(|(name, _)| route.is_none_or(|r| r == *name)).map(|(_, n)| n).sum()
        };
        let split = rules.splits.iter().filter(|s| s.namespace == *namespace && s.service == *service);
        let split = split.max_by_key(|s| siblings().map(|d| requests(d, Some(&s.route))).sum::<u64>());
        let route = split.map(|s| s.route.as_str());
        let total: u64 = siblings().map(|d| requests(d, route)).sum();
        let own = requests(draft, route);
        let wanted = split.map(|s| s.share_of(workload));
        (wanted, (total > 0).then(|| own as f64 / total as f64))
    }
}

fn node(key: &Key, draft: &NodeDraft) -> Node {
    let (kind, namespace, name, owner) = match key {
        Key::Workload(namespace, owner, name) => ("workload", namespace.as_str(), name.as_str(), owner.as_str()),
        Key::Service(namespace, name) => ("service", namespace.as_str(), name.as_str(), ""),
        Key::Outside(name) => ("outside", "", name.as_str(), ""),
        Key::Unknown => ("unknown", "", "unknown clients", ""),
    };
    Node {
        id: key.id(),
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        owner: owner.to_owned(),
        pods: draft.pods,
        covered: draft.tally.covered,
        signals: draft.tally.finish(),
    }
}

fn edge(from: &Key, to: &Key, draft: &EdgeDraft, rules: &Rules, (wanted, seen): (Option<f64>, Option<f64>)) -> Edge {
    let service = [from, to].into_iter().find_map(|key| match key {
        Key::Service(namespace, name) => Some((namespace.as_str(), name.as_str())),
        _ => None,
    });
    let failure = |((route, reason, status, grpc), count): (&(String, String, u16, Option<u32>), &u64)| Failure {
        route: route.clone(),
        reason: reason.clone(),
        words: words(reason),
        status: *status,
        grpc: *grpc,
        count: *count,
        rule: service.and_then(|(namespace, name)| rules.route(namespace, name, route)).cloned(),
    };
    let mut failures: Vec<Failure> = draft.failures.iter().map(failure).collect();
    failures.sort_by_key(|f| std::cmp::Reverse(f.count));
    failures.truncate(MOST_FAILURES);
    Edge {
        from: from.id(),
        to: to.id(),
        secured: draft.secured(),
        client_id: draft.client.clone(),
        server_id: draft.server.clone(),
        signals: draft.tally.finish(),
        tcp_conns: draft.open,
        bytes_s: draft.bytes_s,
        wanted,
        seen,
        failures,
    }
}

/// A reason's sentence, by its word in samples.
pub(crate) fn words(reason: &str) -> &'static str {
    let known = Reason::ALL.iter().find(|r| serde_json::to_value(r).is_ok_and(|v| v == reason));
    known.map_or("", |r| r.sentence())
}

/// Kinds of failure told of one edge.
const MOST_FAILURES: usize = 8;

#[cfg(test)]
mod tests;
