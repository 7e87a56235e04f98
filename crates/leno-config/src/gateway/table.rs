//! All routes of a service, as the tables that its callers see.

use std::collections::{BTreeMap, BTreeSet};

use leno_core::id::ServiceId;
use leno_core::model::route::{Backend, ExportTo, HttpMatch, RouteAction, RuleOrigin};
use leno_core::model::{HttpRoute, Protocol, RouteTable, ServiceKind};

use super::precedence::Precedence;
use super::route::{MeshRoute, MeshRule, Problem, ProblemReason, RouteKind};
use crate::lower::ServiceSpec;

/// The services that there are.
pub trait Services {
    /// That one.
    fn service(&self, id: &ServiceId) -> Option<&ServiceSpec>;
}

/// The tables for a service, out of the routes that name it as a parent.
///
/// Routes of the service's own namespace ("producer routes") make one table, for every caller. Routes of another namespace
/// ("consumer routes") make one for the callers there, which has the producer's rules only for ports that no consumer route
/// speaks of (GEP-1294, "Multiple routes for a Service").
#[must_use]
pub fn tables(service: &ServiceId, routes: &[&MeshRoute], services: &dyn Services) -> Vec<RouteTable> {
    let attached = Attached::new(service, routes, services);
    let producer = attached.of_namespace(&service.namespace);
    let mut out = Vec::new();
    for namespace in attached.namespaces() {
        let mut ports = attached.of_namespace(namespace);
        let mut export_to = ExportTo::All;
        if namespace != service.namespace {
            export_to = ExportTo::Namespaces(vec![namespace.to_owned()]);
            for (port, routes) in &producer {
                ports.entry(*port).or_insert_with(|| routes.clone());
            }
        }
        out.extend(table(namespace, export_to, &ports, &attached, services));
    }
    out
}

/// The routes of a service by namespace and port, where conflicts between kinds are settled.
pub(super) struct Attached<'r> {
    ports: Vec<u16>,
    by_scope: BTreeMap<(&'r str, u16), Vec<&'r MeshRoute>>,
}

/// Routes by port.
type Ports<'r> = BTreeMap<u16, Vec<&'r MeshRoute>>;

impl<'r> Attached<'r> {
    pub(super) fn new(service: &ServiceId, routes: &[&'r MeshRoute], services: &dyn Services) -> Self {
        let spec = services.service(service);
        let mut by_scope: BTreeMap<(&str, u16), Vec<&MeshRoute>> = BTreeMap::new();
        for route in routes {
            let parents = route.parents.iter().filter(|p| p.service == *service);
            let ports: BTreeSet<u16> = parents.flat_map(|p| p.ports(spec).unwrap_or_default()).collect();
            for port in ports {
                by_scope.entry((&route.origin.namespace, port)).or_default().push(route);
            }
        }
        for routes in by_scope.values_mut() {
            let first = routes.iter().map(|r| r.kind).max().unwrap_or(RouteKind::Http);
            routes.retain(|r| r.kind == first);
            routes.sort_by(|a, b| age(a).cmp(&age(b)));
        }
        let ports = spec.map(|s| s.ports.iter().map(|(p, _)| p).filter(|p| p.protocol != Protocol::Udp));
        Self { ports: ports.into_iter().flatten().map(|p| p.port).collect(), by_scope }
    }

    /// Whether a route holds for a port of the service, and is not put aside for one of another kind.
    pub(super) fn holds(&self, route: &MeshRoute, port: u16) -> bool {
        let key = (route.origin.namespace.as_str(), port);
        self.by_scope.get(&key).is_some_and(|routes| routes.iter().any(|r| r.origin == route.origin))
    }

    fn namespaces(&self) -> BTreeSet<&'r str> {
        self.by_scope.keys().map(|(namespace, _)| *namespace).collect()
    }

    fn of_namespace(&self, namespace: &str) -> Ports<'r> {
        let own = self.by_scope.iter().filter(|((ns, _), _)| *ns == namespace);
        own.map(|((_, port), routes)| (*port, routes.clone())).collect()
    }
}

/// One match of one rule with the ports it is for.
struct Entry<'r> {
    precedence: Precedence,
    route: &'r MeshRoute,
    rule: &'r MeshRule,
    index: usize,
    matched: &'r HttpMatch,
    /// `None` = all that the table speaks of.
    port: Option<u16>,
}

fn table(
    namespace: &str,
    export_to: ExportTo,
    ports: &Ports<'_>,
    attached: &Attached<'_>,
    services: &dyn Services,
) -> Option<RouteTable> {
    let oldest = ports.values().flatten().filter(|r| r.origin.namespace == namespace).min_by_key(|r| age(r))?;
    let mut entries = entries(ports);
    // Stable: what ties stays in the order of age, then of rules, then of matches.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.precedence));
    let mut http: Vec<HttpRoute> = Vec::new();
    let mut last: Option<(*const MeshRoute, usize)> = None;
    for entry in &entries {
        let this = (std::ptr::from_ref(entry.route), entry.index);
        let matched = HttpMatch { port: entry.port, ..entry.matched.clone() };
        match http.last_mut().filter(|_| last == Some(this)) {
            Some(rule) => rule.matches.push(matched),
            None => http.push(rule(entry, matched, services)),
        }
        last = Some(this);
    }
    let all = attached.ports.iter().all(|port| ports.contains_key(port));
    let http_ports = if all { Vec::new() } else { ports.keys().copied().collect() };
    Some(RouteTable { origin: oldest.origin.clone(), export_to, http, http_ports, ..RouteTable::default() })
}

fn entries<'r>(ports: &Ports<'r>) -> Vec<Entry<'r>> {
    let mut routes: Vec<(&MeshRoute, BTreeSet<u16>)> = Vec::new();
    for (port, of_port) in ports {
        for route in of_port {
            match routes.iter_mut().find(|(r, _)| r.origin == route.origin) {
                Some((_, ports)) => _ = ports.insert(*port),
                None => routes.push((route, BTreeSet::from([*port]))),
            }
        }
    }
    routes.sort_by(|(a, _), (b, _)| age(a).cmp(&age(b)));
    let mut out = Vec::new();
    for (route, own) in &routes {
        let wanted: Vec<Option<u16>> =
            if own.len() == ports.len() { vec![None] } else { own.iter().copied().map(Some).collect() };
        for (index, rule) in route.rules.iter().enumerate() {
            for (precedence, matched) in &rule.matches {
                let one =
                    |port: &Option<u16>| Entry { precedence: *precedence, route, rule, index, matched, port: *port };
                out.extend(wanted.iter().map(one));
            }
        }
    }
    out
}

/// The API's order among routes: the oldest, then by namespace and name.
fn age(route: &MeshRoute) -> (i64, &str, &str) {
    (route.created, &route.origin.namespace, &route.origin.name)
}

fn rule(entry: &Entry<'_>, matched: HttpMatch, services: &dyn Services) -> HttpRoute {
    let index = u32::try_from(entry.index).unwrap_or(u32::MAX);
    let mut route = HttpRoute {
        origin: Some(Box::new(RuleOrigin { object: entry.route.origin.clone(), index })),
        matches: vec![matched],
        ..entry.rule.route.clone()
    };
    if let RouteAction::Forward(backends) = &mut route.action {
        for backend in backends {
            backend.invalid |= problem(&backend.backend, services).is_some();
        }
    }
    route.mirrors.retain(|mirror| problem(&mirror.backend, services).is_none());
    route
}

/// What keeps a destination from being used.
pub(super) fn problem(backend: &Backend, services: &dyn Services) -> Option<Problem> {
    let problem = |reason, message: String| Some(Problem { reason, message });
    let id = &backend.service;
    let Some(service) = services.service(id) else {
        return problem(ProblemReason::BackendNotFound, format!("there is no Service {id}"));
    };
    if matches!(service.kind, ServiceKind::ExternalName(_)) {
        return problem(ProblemReason::InvalidKind, format!("Service {id} is of type ExternalName"));
    }
    let port = backend.port?;
    if service.ports.iter().any(|(p, _)| p.port == port) {
        return None;
    }
    problem(ProblemReason::BackendNotFound, format!("Service {id} has no port {port}"))
}
