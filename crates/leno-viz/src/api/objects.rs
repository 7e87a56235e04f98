//! `GET /api/v1/objects` and `/api/v1/object`: configuration, what became of it, and what is wrong with it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use leno_analyze::{Finding, Level};
use serde::Deserialize;
use serde_json::{Value, json};

use super::given;
use super::mesh::Mesh;
use crate::objects::{Key, Known, Shown};

/// Narrows the list down, all optional; names one object.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

/// What became of an object, by kind, namespace and name.
type Fates = BTreeMap<(String, String, String), Value>;

pub(super) async fn list(State(mesh): State<Mesh>, Query(wanted): Query<Wanted>) -> Response {
    let known = match mesh.objects.known().await {
        Ok(known) => known,
        Err(error) => return unavailable(&error),
    };
    let fates = fates(&mesh).await;
    let fits = |wanted: &Option<String>, is: &str| given(wanted).is_none_or(|w| w == is);
    let shown = |(key, object): &(&Key, &Shown)| {
        let plain = QUIET.contains(&key.kind.as_str()) && object.findings.is_empty();
        !plain && fits(&wanted.kind, &key.kind) && fits(&wanted.namespace, &key.namespace)
    };
    let rows: Vec<Value> = known.objects.iter().filter(shown).map(|(key, object)| row(key, object, &fates)).collect();
    Json(json!({ "objects": rows, "missing": known.missing })).into_response()
}

pub(super) async fn one(State(mesh): State<Mesh>, Query(wanted): Query<Wanted>) -> Response {
    let (Some(kind), Some(name)) = (given(&wanted.kind), given(&wanted.name)) else {
        let error = json!({ "error": "kind and name say which object" });
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    };
    let namespace = given(&wanted.namespace).unwrap_or_default();
    let known = match mesh.objects.known().await {
        Ok(known) => known,
        Err(error) => return unavailable(&error),
    };
    let key = Key { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
    let Some(object) = known.objects.get(&key) else {
        let error =
            format!("there is no {kind} {name} in {}", if namespace.is_empty() { "the cluster" } else { namespace });
        return (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response();
    };
    let mut answer = row(&key, object, &fates(&mesh).await);
    answer["yaml"] = json!(object.yaml);
    answer["lines"] = json!(object.lines);
    answer["findings"] = object.findings.iter().map(finding).collect();
    answer["related"] = related(&known, &key, object);
    Json(answer).into_response()
}

fn row(key: &Key, object: &Shown, fates: &Fates) -> Value {
    let fate = fates.get(&(key.kind.clone(), key.namespace.clone(), key.name.clone()));
    let at = |level: Level| object.findings.iter().filter(|f| f.level() == level).count();
    json!({
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "api_version": object.api_version,
        "source": object.source,
        "state": fate.map(|f| f["state"].clone()),
        "in_force": fate.map(|f| f["in_force"].clone()),
        "live": fate.map(|f| f["live"].clone()),
        "of": fate.map(|f| f["of"].clone()),
        "messages": fate.map(|f| f["messages"].clone()).unwrap_or_else(|| json!([])),
        "errors": at(Level::Error),
        "warnings": at(Level::Warning),
        "infos": at(Level::Info),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "code": finding.code.id,
        "name": finding.code.name,
        "level": finding.level(),
        "message": finding.message,
        "what": finding.code.what,
        "mend": finding.code.mend,
        "line": Shown::line(finding),
    })
}

/// Objects of the namespace that name the same host or service.
fn related(known: &Known, key: &Key, object: &Shown) -> Value {
    let hosts = hosts(key, object);
    let same = known.objects.iter().filter(|(other, shown)| {
        *other != key && other.namespace == key.namespace && self::hosts(other, shown).iter().any(|h| hosts.contains(h))
    });
    same.map(|(k, _)| json!({ "kind": k.kind, "namespace": k.namespace, "name": k.name })).collect()
}

/// Short names of the hosts that an object is about.
pub(super) fn hosts(key: &Key, object: &Shown) -> Vec<String> {
    let spec = &object.json["spec"];
    let mut found: Vec<&str> = match key.kind.as_str() {
        "Service" => vec![key.name.as_str()],
        "VirtualService" => spec["hosts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
        "DestinationRule" => spec["host"].as_str().into_iter().collect(),
        "TrafficSplit" => spec["service"].as_str().into_iter().collect(),
        "ServiceProfile" => vec![key.name.as_str()],
        "HTTPRoute" | "GRPCRoute" => {
            spec["parentRefs"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect()
        }
        _ => Vec::new(),
    };
    for host in &mut found {
        *host = host.split('.').next().unwrap_or(host);
    }
    found.into_iter().map(str::to_owned).collect()
}

/// While the control plane does not answer there are none: the objects themselves are shown all the same.
async fn fates(mesh: &Mesh) -> Fates {
    let answer = mesh.control("/leno/v1/objects").await.unwrap_or_default();
    let all = answer["objects"].as_array().cloned().unwrap_or_default();
    let text = |v: &Value, field: &str| v[field].as_str().unwrap_or_default().to_owned();
    all.into_iter().map(|o| ((text(&o, "kind"), text(&o, "namespace"), text(&o, "name")), o)).collect()
}

pub(super) fn unavailable(error: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error }))).into_response()
}

/// Kinds that are listed only where something is to be said of them.
const QUIET: &[&str] = &["Pod", "ServiceAccount", "EndpointSlice", "ReplicaSet", "ResourceQuota", "LimitRange"];
