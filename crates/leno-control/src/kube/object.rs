//! What the mesh needs of an object, in the form of [`leno_config::Object`]; the rest is dropped before it is kept.

use std::sync::Arc;

use kube::core::{DynamicObject, ObjectMeta};
use leno_config::gateway::GROUP as GATEWAY;
use leno_config::object::{Lines, strip_nulls};
use leno_config::{Object, Position};
use serde_json::{Map, Value, json};

use super::kinds::Kind;

/// An object as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// For lowering, without its status where that is only a report.
    pub object: Object,
    /// For kinds with a status that the leader writes.
    pub reported: Option<Reported>,
}

/// What an object says of its own state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reported {
    /// Version in which it was read.
    pub version: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.conditions`.
    pub conditions: Vec<Value>,
    /// Of routes of the Gateway API.
    pub route: Option<Box<RouteReport>>,
}

/// What a route says of its parents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteReport {
    /// `metadata.resourceVersion`: the list of parents is written as a whole, so that it must not have changed meanwhile.
    pub resource_version: String,
    /// `spec.parentRefs`.
    pub parent_refs: Vec<Value>,
    /// `status.parents`, of all controllers.
    pub parents: Vec<Value>,
}

/// Takes over what the watch of `kind` saw; `None` for what is none of the mesh's: slices of DNS names.
#[must_use]
pub fn seen(kind: &Kind, version: &str, object: DynamicObject) -> Option<Seen> {
    let DynamicObject { metadata, data, .. } = object;
    let name = metadata.name.clone()?;
    let namespace = metadata.namespace.clone();
    let generation = metadata.generation.unwrap_or_default();
    let resource_version = metadata.resource_version.clone().unwrap_or_default();
    let mut json = Map::new();
    json.insert("metadata".to_owned(), self::metadata(kind, metadata));
    let Value::Object(mut data) = data else { return None };
    if data.get("addressType").is_some_and(|t| t == "FQDN") {
        return None;
    }
    let mut reported = None;
    let part = |name: &str| data.get(name).unwrap_or(&Value::Null);
    match kind.kind {
        "Pod" => {
            json.insert("spec".to_owned(), pod_spec(part("spec")));
            json.insert("status".to_owned(), picked(part("status"), &["phase", "podIP", "podIPs", "conditions"]));
        }
        "Service" => {
            json.insert("spec".to_owned(), picked(part("spec"), SERVICE));
        }
        "Namespace" => {
            json.insert("status".to_owned(), picked(part("status"), &["phase"]));
        }
        _ => {
            let status = data.remove("status").unwrap_or_default();
            let list =
                |value: &Value, at: &str| value.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
            let conditions = list(&status, "/conditions");
            let route = (kind.group == GATEWAY).then(|| {
                let parent_refs = data.get("spec").map(|spec| list(spec, "/parentRefs")).unwrap_or_default();
                Box::new(RouteReport { resource_version, parent_refs, parents: list(&status, "/parents") })
            });
            reported =
                (!kind.built_in).then(|| Reported { version: version.to_owned(), generation, conditions, route });
            json.extend(data);
        }
    }
    let mut json = Value::Object(json);
    strip_nulls(&mut json);
    let object = Object {
        api_version: kind.resource(version).api_version,
        kind: kind.kind.to_owned(),
        namespace,
        name,
        position: Position { file: Arc::from(""), line: 0, column: 0 },
        json,
        lines: Lines::default(),
    };
    Some(Seen { object, reported })
}

fn metadata(kind: &Kind, metadata: ObjectMeta) -> Value {
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.retain(|key, _| kind.kind == "Namespace" || is_for_a_mesh(key));
    annotations.remove(LAST_APPLIED);
    if let Some(status) = annotations.get_mut(INJECTED).filter(|_| kind.kind == "Pod") {
        // That it is there says that the pod has a sidecar; what it says is for people.
        status.clear();
    }
    let mut out = json!({
        "name": metadata.name,
        "namespace": metadata.namespace,
        "labels": metadata.labels,
        "annotations": annotations,
        "creationTimestamp": metadata.creation_timestamp,
    });
    if kind.kind == "Pod" {
        let owners: Vec<Value> = metadata
            .owner_references
            .into_iter()
            .flatten()
            .map(|o| json!({ "apiVersion": o.api_version, "kind": o.kind, "name": o.name, "uid": o.uid, "controller": o.controller.unwrap_or(false) }))
            .collect();
        out["ownerReferences"] = Value::Array(owners);
        out["uid"] = json!(metadata.uid);
        out["deletionTimestamp"] = json!(metadata.deletion_timestamp);
    }
    out
}

/// Of a pod's containers only names and ports: whether it has a sidecar, and where its ports lead.
fn pod_spec(spec: &Value) -> Value {
    let mut out = picked(spec, &["serviceAccountName", "nodeName", "hostNetwork"]);
    for list in ["containers", "initContainers"] {
        let containers = spec.get(list).and_then(Value::as_array).into_iter().flatten();
        let kept: Vec<Value> = containers.map(|c| picked(c, &["name", "ports"])).collect();
        if !kept.is_empty() {
            out[list] = Value::Array(kept);
        }
    }
    out
}

fn picked(value: &Value, fields: &[&str]) -> Value {
    let Value::Object(map) = value else { return Value::Object(Map::new()) };
    let kept = map.iter().filter(|(key, _)| fields.contains(&key.as_str()));
    Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// Annotations with a meaning for some mesh.
fn is_for_a_mesh(key: &str) -> bool {
    let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
    ["istio.io", "linkerd.io", "leno.dev"].iter().any(|domain| prefix.ends_with(domain))
}

const SERVICE: &[&str] =
    &["type", "clusterIP", "clusterIPs", "ports", "selector", "externalName", "publishNotReadyAddresses"];
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const INJECTED: &str = "sidecar.istio.io/status";
