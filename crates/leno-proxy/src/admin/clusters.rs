//! `/clusters`: the endpoints of every service in use, in Envoy's notation.

use std::fmt::Write as _;
use std::net::SocketAddr;

use leno_core::id::ServiceId;
use leno_core::model::{Endpoint, Service};
use serde_json::{Value, json};

use crate::App;
use crate::cluster::ClusterKey;

/// `outbound|PORT||HOST::IP:PORT::name::value`, one line per fact.
pub(super) fn text(app: &App) -> String {
    let mut out = String::new();
    visit(app, |cluster, address, endpoint, ejected| {
        let pod = &endpoint.workload;
        let health = match (ejected, endpoint.ready) {
            (true, _) => "/failed_outlier_check",
            (false, true) => "healthy",
            (false, false) => "/failed_eds_health",
        };
        let identity = pod.identity.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let facts = [("health_flags", health), ("hostname", &pod.pod), ("identity", &identity)];
        for (name, value) in facts {
            let _ = writeln!(out, "{cluster}::{address}::{name}::{value}");
        }
    });
    out
}

/// The same as JSON: `{"clusters": [{"name", "endpoints": [{"address", "pod", "namespace", "ready", "ejected", "identity"}]}]}`.
pub(super) fn json(app: &App) -> Value {
    let mut clusters: Vec<(String, Vec<Value>)> = Vec::new();
    visit(app, |cluster, address, endpoint, ejected| {
        let entry = json!({
            "address": address,
            "pod": endpoint.workload.pod,
            "namespace": endpoint.workload.namespace,
            "ready": endpoint.ready,
            "ejected": ejected,
            "identity": endpoint.workload.identity,
        });
        match clusters.last_mut() {
            Some((name, entries)) if name == cluster => entries.push(entry),
            _ => clusters.push((cluster.to_owned(), vec![entry])),
        }
    });
    let clusters: Vec<_> = clusters.into_iter().map(|(name, e)| json!({ "name": name, "endpoints": e })).collect();
    json!({ "clusters": clusters })
}

/// Endpoints that are ejected now: `{"cluster", "address", "pod"}`.
pub(super) fn ejected(app: &App) -> Vec<Value> {
    let mut found = Vec::new();
    visit(app, |cluster, address, endpoint, ejected| {
        if ejected {
            found.push(json!({ "cluster": cluster, "address": address, "pod": endpoint.workload.pod }));
        }
    });
    found
}

/// Calls `each` with the cluster's name, the endpoint's address, the endpoint, and whether some subset's outlier
/// detection has ejected it.
fn visit(app: &App, mut each: impl FnMut(&str, SocketAddr, &Endpoint, bool)) {
    let clusters = app.clusters.all();
    let is_ejected = |service: &ServiceId, port: u16, addr: SocketAddr| {
        clusters.iter().any(|c| {
            matches!(&c.key, ClusterKey::Service { id, port: p, .. } if id == service && *p == port)
                && c.is_ejected(addr)
        })
    };
    for (_, lookup) in app.discovery.summary().services {
        let Some(view) = lookup.found() else { continue };
        for port in &view.service.ports {
            let name = name(&view.service, port.port);
            for endpoint in &view.endpoints.endpoints {
                if let Some(target) = endpoint.target_port(port.port) {
                    let addr = SocketAddr::new(endpoint.ip, target);
                    each(&name, addr, endpoint, is_ejected(&view.service.id, port.port, addr));
                }
            }
        }
    }
}

fn name(service: &Service, port: u16) -> String {
    format!("outbound|{port}||{}", service.id.host())
}
