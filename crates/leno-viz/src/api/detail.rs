//! What belongs to one workload or service, and the rules and policies in force: from the control plane's resources and what
//! sidecars told last.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::given;
use super::mesh::Mesh;
use super::objects::hosts;
use crate::rules::RuleRef;
use crate::watch::State as Told;
use crate::window::ProxyId;

/// Which one.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    namespace: Option<String>,
    kind: Option<String>,
    name: Option<String>,
}

/// The route rules in force, in the order in which they are tried.
pub(super) async fn rules(State(mesh): State<Mesh>, Query(which): Query<Which>) -> Response {
    let dump = mesh.dump().await;
    let mut rows = Vec::new();
    for entry in list(&dump["Routes"]) {
        let id = &entry["value"]["service"];
        if given(&which.namespace).is_none_or(|ns| id["namespace"] == ns) {
            rows.extend(rules_of(&entry["value"]));
        }
    }
    Json(json!({ "rules": rows })).into_response()
}

fn rules_of(routes: &Value) -> Vec<Value> {
    let table = &routes["tables"][0];
    let rule = |(index, rule): (usize, &Value)| {
        json!({
            "service": routes["service"]["name"],
            "namespace": routes["service"]["namespace"],
            "route": rule["name"],
            "rule": RuleRef::of(table, index, rule),
            "matches": rule["matches"],
            "action": rule["action"],
            "timeout_ms": millis(&rule["timeout"]),
            "retries": rule["retry"]["attempts"],
            "per_try_ms": millis(&rule["retry"]["per_try_timeout"]),
            "fault": !rule["fault"].is_null(),
            "mirrors": list(&rule["mirrors"]).len(),
        })
    };
    list(&table["http"]).iter().enumerate().map(rule).collect()
}

/// A workload's pods, its services and the policies that hold for it.
pub(super) async fn workload(State(mesh): State<Mesh>, Query(which): Query<Which>) -> Response {
    let (namespace, name) = (given(&which.namespace).unwrap_or_default(), given(&which.name).unwrap_or_default());
    let kind = given(&which.kind).unwrap_or_default();
    let dump = mesh.dump().await;
    let proxies = mesh.control("/leno/v1/proxies").await.unwrap_or_default();
    let states = mesh.watch.states();
    let ours =
        |p: &&Value| p["namespace"] == namespace && p["workload"] == name && (kind.is_empty() || p["kind"] == kind);
    let pods: Vec<Value> = list(&proxies).iter().filter(ours).map(|proxy| pod(proxy, &states)).collect();
    let mut services = Vec::new();
    let mut labels = Value::Null;
    for entry in list(&dump["Endpoints"]) {
        let mut behind = list(&entry["value"]["endpoints"])
            .iter()
            .filter(|e| e["workload"]["namespace"] == namespace && e["workload"]["name"] == name);
        if let Some(endpoint) = behind.next() {
            services.push(entry["value"]["service"].clone());
            labels = endpoint["workload"]["labels"].clone();
        }
    }
    let names: Vec<String> = services.iter().map(|s| text(&s["name"])).collect();
    Json(json!({
        "pods": pods,
        "services": services,
        "labels": labels,
        "objects": objects(&mesh, namespace, &names, Some((kind, name))).await,
        "policies": policies_of(&dump, namespace, &labels),
    }))
    .into_response()
}

fn pod(proxy: &Value, states: &BTreeMap<ProxyId, Told>) -> Value {
    let id = ProxyId { namespace: text(&proxy["namespace"]), pod: text(&proxy["pod"]) };
    let told = states.get(&id);
    json!({
        "name": proxy["pod"],
        "ip": proxy["ip"],
        "version": proxy["version"],
        "connected_since": proxy["connected_since"],
        "synced": proxy["synced"],
        "certificate": told.and_then(|t| t.certificate.as_ref()),
        "problem": told.and_then(|t| t.problem.as_ref()),
        "ejected_by": ejectors(states, &id.pod),
        "ejects": told.map(|t| &t.ejected),
    })
}

/// Who does not send to a pod for a while.
fn ejectors(states: &BTreeMap<ProxyId, Told>, pod: &str) -> Vec<String> {
    let ejects = |told: &Told| told.ejected.iter().any(|e| e.pod == pod);
    states.iter().filter(|(_, told)| ejects(told)).map(|(id, _)| format!("{}/{}", id.namespace, id.pod)).collect()
}

/// A service's ports, endpoints, rules and objects.
pub(super) async fn service(State(mesh): State<Mesh>, Query(which): Query<Which>) -> Response {
    let (namespace, name) = (given(&which.namespace).unwrap_or_default(), given(&which.name).unwrap_or_default());
    let dump = mesh.dump().await;
    let states = mesh.watch.states();
    let key = format!("{namespace}/{name}");
    let of = |kind: &str| list(&dump[kind]).iter().find(|e| e["name"] == key.as_str()).map(|e| &e["value"]);
    let endpoint = |e: &Value| {
        json!({
            "ip": e["ip"],
            "ready": e["ready"],
            "pod": e["workload"]["pod"],
            "workload": e["workload"]["name"],
            "kind": e["workload"]["kind"],
            "version": e["workload"]["labels"]["version"],
            "identity": e["workload"]["identity"],
            "ejected_by": ejectors(&states, &text(&e["workload"]["pod"])),
        })
    };
    let endpoints = of("Endpoints").map(|e| list(&e["endpoints"]).iter().map(endpoint).collect::<Vec<_>>());
    Json(json!({
        "known": of("Service").is_some(),
        "kind": of("Service").map(|s| &s["kind"]),
        "addresses": of("Service").map(|s| &s["vips"]),
        "ports": of("Service").map(|s| &s["ports"]),
        "endpoints": endpoints.unwrap_or_default(),
        "rules": of("Routes").map(rules_of).unwrap_or_default(),
        "objects": objects(&mesh, namespace, &[name.to_owned()], None).await,
    }))
    .into_response()
}

/// Who may talk how, by namespace.
pub(super) async fn policies(State(mesh): State<Mesh>) -> Response {
    let dump = mesh.dump().await;
    let root = text(&dump["Mesh"][0]["value"]["root_namespace"]);
    let rows = list(&dump["Policies"]).iter().map(|entry| {
        json!({
            "namespace": entry["value"]["namespace"],
            "peer_authentications": entry["value"]["peer_authentications"],
            "authorization": list(&entry["value"]["authorization"]).len(),
        })
    });
    Json(json!({ "root_namespace": root, "policies": rows.collect::<Vec<_>>() })).into_response()
}

/// Policies of the namespace and the whole mesh whose selector takes these labels.
fn policies_of(dump: &Value, namespace: &str, labels: &Value) -> Vec<Value> {
    let root = text(&dump["Mesh"][0]["value"]["root_namespace"]);
    let mut found = Vec::new();
    for entry in list(&dump["Policies"]) {
        let of = &entry["value"]["namespace"];
        if *of != namespace && *of != root.as_str() {
            continue;
        }
        for list_name in ["peer_authentications", "authorization"] {
            for policy in list(&entry["value"][list_name]) {
                let selector = policy["selector"].as_object();
                let takes = selector.is_none_or(|s| s.iter().all(|(k, v)| labels[k] == *v));
                if takes {
                    let origin = &policy["origin"];
                    found.push(json!({
                        "kind": origin["kind"], "namespace": origin["namespace"], "name": origin["name"], "mode": policy["mode"],
                    }));
                }
            }
        }
    }
    found
}

/// Objects about these services, and the workload itself, with how many findings each has. None where objects cannot be read.
async fn objects(mesh: &Mesh, namespace: &str, services: &[String], workload: Option<(&str, &str)>) -> Vec<Value> {
    let Ok(known) = mesh.objects.known().await else { return Vec::new() };
    let about = known.objects.iter().filter(|(key, shown)| {
        let own = workload.is_some_and(|(kind, name)| key.kind.eq_ignore_ascii_case(kind) && key.name == name);
        key.namespace == namespace && (own || hosts(key, shown).iter().any(|h| services.contains(h)))
    });
    let row = |(key, shown): (&crate::objects::Key, &crate::objects::Shown)| {
        let findings: Vec<Value> = shown
            .findings
            .iter()
            .map(|f| json!({ "code": f.code.id, "level": f.level(), "message": f.message, "line": crate::objects::Shown::line(f) }))
            .collect();
        json!({ "kind": key.kind, "namespace": key.namespace, "name": key.name, "findings": findings })
    };
    about.map(row).collect()
}

fn millis(duration: &Value) -> Option<u64> {
    let (secs, nanos) = (duration["secs"].as_u64()?, duration["nanos"].as_u64()?);
    Some(secs * 1000 + nanos / 1_000_000)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_hold_by_namespace_and_labels() {
        let policy = |name: &str, selector: Value| json!({"origin": {"kind": "PeerAuthentication", "namespace": "x", "name": name}, "selector": selector, "mode": "STRICT"});
        let of = |namespace: &str, policies: Vec<Value>| json!({"value": {"namespace": namespace, "peer_authentications": policies, "authorization": []}});
        let dump = json!({
            "Mesh": [{"value": {"root_namespace": "root"}}],
            "Policies": [
                of("a", vec![policy("all", json!({})), policy("web", json!({"app": "web"})), policy("db", json!({"app": "db"}))]),
                of("root", vec![policy("mesh", json!({}))]),
                of("b", vec![policy("other", json!({}))]),
            ],
        });
        let names: Vec<String> =
            policies_of(&dump, "a", &json!({"app": "web"})).iter().map(|p| text(&p["name"])).collect();
        assert_eq!(names, ["all", "web", "mesh"]);
    }

    #[test]
    fn rules_have_their_place_and_times() {
        let routes = json!({
            "service": {"namespace": "a", "name": "s"},
            "tables": [{"origin": {"kind": "VirtualService", "namespace": "a", "name": "vs"}, "http": [
                {"name": "first"},
                {"name": "slow", "timeout": {"secs": 1, "nanos": 500_000_000}, "retry": {"attempts": 2}},
            ]}],
        });
        let rules = rules_of(&routes);
        assert_eq!(
            (&rules[1]["rule"]["path"], &rules[1]["timeout_ms"], &rules[1]["retries"]),
            (&json!("spec.http[1]"), &json!(1500), &json!(2))
        );
        assert!(rules_of(&json!({"tables": []})).is_empty());
    }
}
