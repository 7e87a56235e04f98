//! Phase 2: which rule, which destination of it, and how much time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use leno_core::Reason;
use leno_core::decide::balance::{hash_key, request_hash};
use leno_core::decide::route::{self as decide, RequestFacts, RouteDecision};
use leno_core::decide::{cluster, destination};
use leno_core::id::ServiceId;
use leno_core::model::route::{HttpMatch, RouteAction, WeightedBackend};
use leno_core::model::traffic::HashKey;
use leno_core::model::{HttpRoute, RouteTable};

use crate::cluster::{Cluster, Endpoint};
use crate::discovery::ServiceHandle;
use crate::http::body::Head;
use crate::http::exchange::Exchange;
use crate::http::heads;
use crate::http::reply::Reply;
use crate::outbound::{Outbound, Target};

/// What was decided about a request.
#[derive(Debug, Default)]
pub struct Chosen {
    rule: Option<Rule>,
    /// Where it goes; `None` where a rule answers it.
    pub cluster: Option<Arc<Cluster>>,
    /// The endpoint that the application chose itself.
    pub pinned: Option<Arc<Endpoint>>,
    /// What a consistent hash is taken of.
    pub hash: Option<u64>,
    /// A cookie that makes the client stick to its endpoint, where it has none yet.
    pub set_cookie: Option<HeaderValue>,
}

#[derive(Clone, Debug)]
struct Rule {
    table: Arc<RouteTable>,
    index: usize,
    matched: Option<usize>,
    backend: Option<usize>,
}

impl Chosen {
    /// The rule, if one speaks of the request.
    #[must_use]
    pub fn rule(&self) -> Option<&HttpRoute> {
        self.rule.as_ref().and_then(|r| r.table.http.get(r.index))
    }

    /// The alternative of the rule that matched.
    #[must_use]
    pub fn matched(&self) -> Option<&HttpMatch> {
        let index = self.rule.as_ref()?.matched?;
        self.rule()?.matches.get(index)
    }

    /// The destination of the rule.
    #[must_use]
    pub fn backend(&self) -> Option<&WeightedBackend> {
        let index = self.rule.as_ref()?.backend?;
        match &self.rule()?.action {
            RouteAction::Forward(backends) => backends.get(index),
            RouteAction::Redirect(_) | RouteAction::Respond { .. } => None,
        }
    }
}

/// What is known of the request, as decisions read it.
pub fn with_facts<T>(from: &Outbound, request: &Head, judge: impl FnOnce(&RequestFacts<'_>) -> T) -> T {
    let viewer = from.path.app.discovery.viewer();
    let headers = heads::Lookup(&request.headers);
    judge(&RequestFacts {
        method: request.method.as_str(),
        path: request.uri.path(),
        query: request.uri.query().unwrap_or_default(),
        authority: heads::authority(request),
        scheme: "http",
        port: from.port(),
        source_labels: &viewer.labels,
        source_namespace: &viewer.namespace,
        headers: &headers,
    })
}

/// Decides.
///
/// # Errors
/// Where no rule matches, or the destination does not exist.
pub async fn choose(from: &Outbound, exchange: &mut Exchange, request: &Head) -> Result<Chosen, Reply> {
    exchange.record.source = from.path.me().info(false);
    let Some((handle, pinned)) = service_of(from, request) else { return to_address(from, exchange) };
    exchange.record.service = Some(from.service_ref(&handle));
    let mut chosen = Chosen::default();
    if let Some(table) = handle.view().routes.clone() {
        chosen.rule = decide_rule(from, request, table)?;
    }
    if let Some(rule) = chosen.rule() {
        exchange.record.route_name = from.routes.name(rule);
    }
    if let Some(broken) = chosen.backend().filter(|b| b.invalid) {
        return Err(Reply::new(Reason::InvalidBackend, broken.backend.service.to_string()));
    }
    match chosen.backend() {
        Some(WeightedBackend { backend, .. }) => {
            let key = chosen.rule.as_ref().map(|r| (Arc::clone(&r.table), r.index, r.backend.unwrap_or(0)));
            let cluster = match key.as_ref().and_then(|k| from.routes.cluster(k)) {
                Some(cluster) => cluster,
                None => {
                    let subset = backend.subset.as_deref();
                    // Once for a connection: on the heap, so that requests do not carry room for it.
                    let found = Box::pin(cluster_of(from, &backend.service, subset, backend.port, from.port())).await?;
                    exchange.touch();
                    from.routes.remember(key, &found);
                    found
                }
            };
            chosen.cluster = Some(cluster);
        }
        None if matches!(chosen.rule().map(|r| &r.action), Some(RouteAction::Forward(b)) if !b.is_empty()) => {
            return Err(Reply::new(Reason::NoHealthyUpstream, "all weights of the rule are 0"));
        }
        None if answers_itself(&chosen) => {}
        None => chosen.cluster = Some(from.routes.own(|| from.path.clusters.of_handle(&handle, from.port()))),
    }
    if let Some(cluster) = &chosen.cluster {
        exchange.record.upstream_cluster = Arc::clone(&cluster.name);
        if let Some(service) = &cluster.service {
            exchange.record.service = Some(Arc::clone(service));
        }
        let set = cluster.set();
        if let Some(key) = set.hash_key() {
            chosen.hash = hash(key, from.downstream().client, request);
            if chosen.hash.is_none() {
                (chosen.hash, chosen.set_cookie) = new_cookie(key);
            }
        }
        drop(set);
        if pinned {
            chosen.pinned = pin(from, cluster);
        }
    }
    Ok(chosen)
}

/// The service that speaks for the request, and whether the application chose the pod itself.
fn service_of(from: &Outbound, request: &Head) -> Option<(Arc<ServiceHandle>, bool)> {
    match &from.target {
        Target::Service { handle, .. } => Some((Arc::clone(handle), false)),
        Target::Pod { service: Some((handle, _)), .. } => {
            // The service's rules hold where the request names it; a pod that is dialled by its bare address is itself.
            let viewer = from.path.app.discovery.viewer();
            destination::names_service(heads::authority(request), &viewer.namespace, handle.id())
                .then(|| (Arc::clone(handle), true))
        }
        Target::Pod { service: None, .. } | Target::Outside | Target::Itself => None,
    }
}

fn to_address(from: &Outbound, exchange: &mut Exchange) -> Result<Chosen, Reply> {
    let cluster = from.address_cluster();
    exchange.record.upstream_cluster = Arc::clone(&cluster.name);
    if let Target::Pod { service: Some((handle, _)), .. } = &from.target {
        exchange.record.service = Some(from.service_ref(handle));
    }
    Ok(Chosen { cluster: Some(cluster), ..Chosen::default() })
}

fn decide_rule(from: &Outbound, request: &Head, table: Arc<RouteTable>) -> Result<Option<Rule>, Reply> {
    let (index, matched, backend) = match with_facts(from, request, |facts| match decide::route(Some(&table), facts) {
        RouteDecision::Service => Ok(None),
        RouteDecision::NotFound => Err(()),
        RouteDecision::Rule { route, index, matched } => {
            let matched = matched.and_then(|m| route.matches.iter().position(|o| std::ptr::eq(o, m)));
            let backend = match &route.action {
                RouteAction::Forward(backends) => decide::pick_backend(backends, rand::random())
                    .and_then(|b| backends.iter().position(|o| std::ptr::eq(o, b))),
                RouteAction::Redirect(_) | RouteAction::Respond { .. } => None,
            };
            Ok(Some((index, matched, backend)))
        }
    }) {
        Ok(None) => return Ok(None),
        Ok(Some(found)) => found,
        Err(()) => return Err(Reply::new(Reason::RouteNotFound, table.origin.to_string())),
    };
    Ok(Some(Rule { table, index, matched, backend }))
}

fn answers_itself(chosen: &Chosen) -> bool {
    chosen.rule().is_some_and(|r| !matches!(r.action, RouteAction::Forward(_)))
}

/// The cluster of a rule's destination. Without a port it is the one that was dialled, or the service's only one.
///
/// # Errors
/// Where the service does not exist.
pub async fn cluster_of(
    from: &Outbound,
    service: &ServiceId,
    subset: Option<&str>,
    port: Option<u16>,
    dialled: u16,
) -> Result<Arc<Cluster>, Reply> {
    let refuse = |reason| Reply::new(reason, format!("service {service}"));
    let clusters = &from.path.clusters;
    let found_cluster = clusters.of_service(service, subset, port.unwrap_or(dialled)).await.map_err(refuse)?;
    if port.is_some() || found_cluster.set().exists {
        return Ok(found_cluster);
    }
    let found = from.path.app.discovery.service(service).await.found();
    match found.map(|h| cluster::port_of(&h.view().service, None, dialled)) {
        Some(only) if only != dialled => clusters.of_service(service, subset, only).await.map_err(refuse),
        _ => Ok(found_cluster),
    }
}

/// The pod that the application dialled, among the endpoints of the destination.
fn pin(from: &Outbound, cluster: &Cluster) -> Option<Arc<Endpoint>> {
    cluster.at(from.downstream().dialled)
}

fn hash(key: &HashKey, client: SocketAddr, request: &Head) -> Option<u64> {
    let header = |name: &str| request.headers.get(name).map(HeaderValue::as_bytes);
    let cookies = request.headers.get_all(http::header::COOKIE).filter_map(|v| v.to_str().ok());
    request_hash(key, client.ip(), request.uri.query().unwrap_or_default(), header, cookies)
}

/// A cookie for a client that has none, where the rule gives it a life.
fn new_cookie(key: &HashKey) -> (Option<u64>, Option<HeaderValue>) {
    let HashKey::Cookie { name, path, ttl: Some(ttl) } = key else { return (None, None) };
    let value = format!("{:016x}", rand::random::<u64>());
    let path = if path.is_empty() { "/" } else { path };
    // A life of 0 is the browser's session.
    let age = if ttl.is_zero() { String::new() } else { format!("; Max-Age={}", ttl.as_secs()) };
    let cookie = HeaderValue::try_from(format!("{name}={value}{age}; Path={path}; HttpOnly"));
    (Some(hash_key(value.as_bytes())), cookie.ok())
}

/// Sets the time that the whole request has: the rule's, or less where a gRPC client asks for less.
pub fn time_budget(chosen: &Chosen, exchange: &mut Exchange, request: &Head) {
    let asked = if exchange.is_grpc() { heads::grpc_timeout(&request.headers) } else { None };
    let budget = decide::time_budget(chosen.rule(), asked);
    exchange.deadline = budget.map(|b| exchange.started() + b);
}

/// What one client connection has resolved already: names and clusters of its rules.
#[derive(Debug, Default)]
pub struct RouteCache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    own: Option<Arc<Cluster>>,
    table: Option<Arc<RouteTable>>,
    clusters: Vec<(usize, usize, Arc<Cluster>)>,
    name: Option<Arc<str>>,
}

type Place = (Arc<RouteTable>, usize, usize);

impl RouteCache {
    fn own(&self, find: impl FnOnce() -> Arc<Cluster>) -> Arc<Cluster> {
        let mut known = crate::cluster::lock(&self.0);
        if let Some(own) = known.own.as_ref().filter(|c| !c.is_gone()) {
            return Arc::clone(own);
        }
        let own = find();
        known.own = Some(Arc::clone(&own));
        own
    }

    fn cluster(&self, place: &Place) -> Option<Arc<Cluster>> {
        let known = crate::cluster::lock(&self.0);
        known.table.as_ref().filter(|t| Arc::ptr_eq(t, &place.0))?;
        let found = known.clusters.iter().find(|(rule, backend, _)| (*rule, *backend) == (place.1, place.2))?;
        Some(&found.2).filter(|c| !c.is_gone()).map(Arc::clone)
    }

    fn remember(&self, place: Option<Place>, cluster: &Arc<Cluster>) {
        let Some((table, rule, backend)) = place else { return };
        let mut known = crate::cluster::lock(&self.0);
        if !known.table.as_ref().is_some_and(|t| Arc::ptr_eq(t, &table)) {
            known.clusters.clear();
            known.table = Some(table);
        }
        known.clusters.retain(|(r, b, _)| (*r, *b) != (rule, backend));
        known.clusters.push((rule, backend, Arc::clone(cluster)));
    }

    fn name(&self, rule: &HttpRoute) -> Arc<str> {
        let mut known = crate::cluster::lock(&self.0);
        match &known.name {
            Some(name) if **name == *rule.name => Arc::clone(name),
            _ => {
                let name: Arc<str> = rule.name.as_str().into();
                known.name = Some(Arc::clone(&name));
                name
            }
        }
    }
}
