//! The pod template in a Deployment and its like.

use serde_json::Value;

use super::undo::{UninjectOutcome, uninject};
use super::{InjectOutcome, InjectSettings, NamespaceMeta, inject_named};

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report<O> {
    /// `Kind namespace/name`.
    pub object: String,
    /// Its pods' fate.
    pub outcome: O,
}

/// Injects the pods of `object`, or of each item of a list, as if their namespace asked for it. Nothing is reported for
/// objects without pods.
pub fn inject_object(object: &mut Value, settings: &InjectSettings) -> Vec<Report<InjectOutcome>> {
    each(object, &mut |template, name, namespace| {
        let asks = [("istio-injection".to_owned(), "enabled".to_owned())].into();
        let meta = NamespaceMeta { name: namespace.to_owned(), labels: asks, annotations: Default::default() };
        inject_named(template, name, &meta, settings)
    })
}

/// Takes the sidecar out of the pods of `object`, or of each item of a list.
pub fn uninject_object(object: &mut Value) -> Vec<Report<UninjectOutcome>> {
    each(object, &mut |template, _, _| uninject(template))
}

fn each<O>(object: &mut Value, act: &mut dyn FnMut(&mut Value, &str, &str) -> O) -> Vec<Report<O>> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let group = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(g, _)| g).to_owned();
    if kind.ends_with("List")
        && let Some(items) = object.get_mut("items").and_then(Value::as_array_mut)
    {
        return items.iter_mut().flat_map(|item| each(item, act)).collect();
    }
    let Some((_, _, path)) = KINDS.iter().find(|(g, k, _)| *g == group && *k == kind) else { return Vec::new() };
    let meta = &object["metadata"];
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let generated = || text(&meta["generateName"]).trim_end_matches('-').to_owned();
    let name = Some(text(&meta["name"])).filter(|n| !n.is_empty()).unwrap_or_else(generated);
    let namespace = text(&meta["namespace"]);
    let separator = if namespace.is_empty() { "" } else { "/" };
    let described = format!("{kind} {namespace}{separator}{name}");
    let Some(template) = object.pointer_mut(path).filter(|t| t.is_object()) else { return Vec::new() };
    vec![Report { object: described, outcome: act(template, &name, &namespace) }]
}

/// Group, kind, and where its pod is.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "Pod", ""),
    ("", "PodTemplate", "/template"),
    ("", "ReplicationController", "/spec/template"),
    ("apps", "Deployment", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("batch", "Job", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    ("argoproj.io", "Rollout", "/spec/template"),
];
