//! Against a made-up cluster.

mod api;
mod following;
mod pure;
mod reviewing;
mod writing;

use serde_json::{Value, json};

/// Path of a namespace.
fn namespace(name: &str) -> String {
    format!("/api/v1/namespaces/{name}")
}

/// A definition that serves these versions.
fn definition(versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions.iter().map(|v| json!({ "name": v, "served": true })).collect();
    json!({
        "metadata": {},
        "spec": { "versions": versions },
        "status": { "conditions": [{ "type": "Established", "status": "True" }] },
    })
}

const VIRTUAL_SERVICES: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/virtualservices.networking.istio.io";

/// All to one host.
fn virtual_service(host: &str, weight: Value) -> Value {
    json!({
        "metadata": { "generation": 3 },
        "spec": { "hosts": [host], "http": [{ "route": [{ "destination": { "host": host }, "weight": weight }] }] },
    })
}
