//! Pieces of a small mesh.

use std::net::IpAddr;

use leno_config::gateway::{MeshRoute, MeshRule, Parent, Precedence, RouteKind};
use leno_config::{Lowered, PodFacts, ServiceSpec, Slice, SliceEndpoint, TargetPort};
use leno_core::id::{Origin, ServiceId};
use leno_core::model::route::{Backend, HttpMatch, HttpRoute, RouteAction, WeightedBackend};
use leno_core::model::{Labels, MtlsMode, PeerAuthentication, Protocol, RouteTable, ServiceKind, ServicePort};

use crate::world::ObjectKey;

/// The key of the object that a piece of `kind` came from.
pub(super) fn key(kind: &str, piece: &Lowered) -> ObjectKey {
    let (namespace, name) = match piece {
        Lowered::Service(s) => (&s.id.namespace, &s.id.name),
        Lowered::EndpointSlice(s) => (&s.namespace, &s.name),
        Lowered::Pod(p) => (&p.namespace, &p.name),
        Lowered::Routes { tables, .. } => (&tables[0].1.origin.namespace, &tables[0].1.origin.name),
        Lowered::MeshRoute(route) => (&route.origin.namespace, &route.origin.name),
        Lowered::DestinationRule { rule, .. } => (&rule.origin.namespace, &rule.origin.name),
        Lowered::PeerAuthentication(p) => (&p.origin.namespace, &p.origin.name),
        Lowered::AuthorizationPolicy(p) => (&p.origin.namespace, &p.origin.name),
        Lowered::Telemetry(t) => (&t.origin.namespace, &t.origin.name),
        Lowered::Namespace { name, .. } => (name, name),
        Lowered::Mesh(_) => {
            return ObjectKey {
                group: String::new(),
                kind: kind.to_owned(),
                namespace: "istio-system".to_owned(),
                name: "istio".to_owned(),
            };
        }
    };
    ObjectKey { group: String::new(), kind: kind.to_owned(), namespace: namespace.clone(), name: name.clone() }
}

pub(super) fn labels(app: &str) -> Labels {
    Labels::from([("app".to_owned(), app.to_owned())])
}

/// A namespace that calls ports opaque; none where `ports` is empty.
pub(super) fn namespace(name: &str, ports: &str) -> Lowered {
    let annotations = if ports.is_empty() {
        Labels::new()
    } else {
        Labels::from([("config.linkerd.io/opaque-ports".to_owned(), ports.to_owned())])
    };
    Lowered::Namespace { name: name.to_owned(), labels: Labels::new(), annotations }
}

fn pod_ip(n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    IpAddr::from([10, 244, high, low])
}

pub(super) fn service(namespace: &str, name: &str, n: u16, app: &str) -> Lowered {
    let [high, low] = n.to_be_bytes();
    let port = ServicePort { port: 80, name: "http".to_owned(), protocol: Protocol::Http };
    Lowered::Service(ServiceSpec {
        id: ServiceId::new(namespace, name),
        kind: ServiceKind::ClusterIp,
        vips: vec![IpAddr::from([10, 96, high, low])],
        ports: vec![(port, TargetPort::Number(8080))],
        selector: if app.is_empty() { Labels::new() } else { labels(app) },
        labels: Labels::new(),
        annotations: Labels::new(),
        publish_not_ready: false,
        created: 0,
    })
}

pub(super) fn pod(namespace: &str, name: &str, n: u16, app: &str) -> Lowered {
    Lowered::Pod(PodFacts {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ips: vec![pod_ip(n)],
        labels: labels(app),
        account: app.to_owned(),
        owner_kind: "deployment".to_owned(),
        owner_name: app.to_owned(),
        meshed: true,
        node: "node".to_owned(),
        ready: true,
        ..PodFacts::default()
    })
}

pub(super) fn slice(namespace: &str, service: &str, pods: &[(&str, u16)]) -> Lowered {
    let endpoint = |(pod, n): &(&str, u16)| SliceEndpoint {
        addresses: vec![pod_ip(*n)],
        ready: true,
        serving: true,
        terminating: false,
        pod: (!pod.is_empty()).then(|| (*pod).to_owned()),
        node: String::new(),
    };
    Lowered::EndpointSlice(Slice {
        namespace: namespace.to_owned(),
        name: format!("{service}-x"),
        service: ServiceId::new(namespace, service),
        ports: vec![("http".to_owned(), Some(8080))],
        endpoints: pods.iter().map(endpoint).collect(),
    })
}

pub(super) fn table(namespace: &str, name: &str, service: &str, rank: u8, created: i64) -> Lowered {
    let origin = Origin {
        kind: "VirtualService".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source: String::new(),
    };
    let table = RouteTable { origin, ..RouteTable::default() };
    Lowered::Routes { rank, created, tables: vec![(ServiceId::new(namespace, service), table)] }
}

/// A route from one service to another, in namespace `a` or `b`; both services are in `a`.
pub(super) fn mesh_route(namespace: &str, name: &str, parent: &str, backend: &str, kind: RouteKind) -> Lowered {
    let origin = Origin { namespace: namespace.to_owned(), name: name.to_owned(), ..Origin::default() };
    let to = Backend { service: ServiceId::new("a", backend), subset: None, port: Some(80) };
    let to = WeightedBackend { backend: to, weight: 1, headers: Default::default(), invalid: false };
    let route = HttpRoute { action: RouteAction::Forward(vec![to]), ..HttpRoute::default() };
    let matches = vec![(Precedence::default(), HttpMatch::default())];
    let parent = Parent { service: ServiceId::new("a", parent), port: None, section: None, index: 0 };
    let rules = vec![MeshRule { route, matches, problems: Vec::new() }];
    Lowered::MeshRoute(MeshRoute { kind, origin, created: 0, parents: vec![parent], rules })
}

pub(super) fn peer_authentication(namespace: &str, name: &str, app: Option<&str>, mode: MtlsMode) -> Lowered {
    Lowered::PeerAuthentication(PeerAuthentication {
        origin: Origin { namespace: namespace.to_owned(), name: name.to_owned(), ..Origin::default() },
        selector: app.map(labels).unwrap_or_default(),
        mode,
        ports: Vec::new(),
        created: 0,
    })
}
