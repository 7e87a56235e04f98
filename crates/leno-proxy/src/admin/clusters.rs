//! `/clusters`: the endpoints of every service in use, in Envoy's notation.

use std::fmt::Write as _;
use std::net::SocketAddr;

use leno_core::model::{Endpoint, Service};
use serde_json::{Value, json};

use crate::App;

/// `outbound|PORT||HOST::IP:PORT::name::value`, one line per fact.
pub(super) fn text(app: &App) -> String {
    let mut out = String::new();
    visit(app, |cluster, address, endpoint| {
        let pod = &endpoint.workload;
        let health = if endpoint.ready { "healthy" } else { "/failed_eds_health" };
        let identity = pod.identity.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let facts = [("health_flags", health), ("hostname", &pod.pod), ("identity", &identity)];
        for (name, value) in facts {
            let _ = writeln!(out, "{cluster}::{address}::{name}::{value}");
        }
    });
    out
}

/// The same as JSON: `{"clusters": [{"name", "endpoints": [{"address", "pod", "namespace", "ready", "identity"}]}]}`.
pub(super) fn json(app: &App) -> Value {
    let mut clusters: Vec<(String, Vec<Value>)> = Vec::new();
    visit(app, |cluster, address, endpoint| {
        let entry = json!({
            "address": address,
            "pod": endpoint.workload.pod,
            "namespace": endpoint.workload.namespace,
            "ready": endpoint.ready,
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

fn visit(app: &App, mut each: impl FnMut(&str, SocketAddr, &Endpoint)) {
    for (_, lookup) in app.discovery.summary().services {
        let Some(view) = lookup.found() else { continue };
        for port in &view.service.ports {
            let name = name(&view.service, port.port);
            for endpoint in &view.endpoints.endpoints {
                if let Some(target) = endpoint.target_port(port.port) {
                    each(&name, SocketAddr::new(endpoint.ip, target), endpoint);
                }
            }
        }
    }
}

fn name(service: &Service, port: u16) -> String {
    format!("outbound|{port}||{}", service.id.host())
}
