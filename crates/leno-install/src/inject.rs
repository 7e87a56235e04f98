//! A pod to its meshed form.
//!
//! [`decision`] says whether, [`traffic`] reads what the pod asks of its sidecar, [`probes`] finds the health checks
//! that must pass a STRICT sidecar, [`containers`] writes the two containers. [`inject`] puts them into the pod.

pub mod containers;
pub mod decision;
pub mod probes;
pub mod traffic;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use decision::Verdict;
use traffic::Traffic;

/// Name of the init container that redirects traffic (Istio's, which other tools look for).
pub const INIT_CONTAINER: &str = "istio-init";
/// Name of the sidecar (Istio's).
pub const PROXY_CONTAINER: &str = "istio-proxy";
/// Annotation on injected pods (Istio's): what was added, as JSON.
pub const STATUS_ANNOTATION: &str = "sidecar.istio.io/status";
/// Annotation that sets the life of this pod's certificates, such as `20s` or `12h`. Default 24 h.
pub const CERT_TTL_ANNOTATION: &str = "proxy.leno.dev/cert-ttl";
/// `ConfigMap` with the mesh's root certificate in every namespace (Istio's), key `root-cert.pem`.
pub const ROOT_CONFIG_MAP: &str = "istio-ca-root-cert";

/// What the sidecars of one mesh have in common.
#[derive(Clone, Debug)]
pub struct InjectSettings {
    /// Image of both containers.
    pub image: String,
    /// The proxy's program; `init` or `run` follow as the first argument.
    pub program: String,
    /// Where proxies find the control plane, `host:port`.
    pub control_address: String,
    /// Trust domain of identities.
    pub trust_domain: String,
    /// Revision of this control plane: `istio.io/rev` labels that name another one are not ours. `default` is always ours.
    pub revision: String,
    /// Life of certificates unless the pod asks for another, such as `24h`.
    pub cert_ttl: String,
    /// Log level unless the pod asks for another.
    pub log_level: String,
    /// Exempt the proxy's connections by this socket mark instead of by its uid. For places without uids to give
    /// (a user namespace with one uid); then the sidecar runs as root of its namespace. Default none.
    pub socket_mark: Option<u32>,
}

impl Default for InjectSettings {
    fn default() -> Self {
        Self {
            image: format!("leno-proxy:{}", env!("CARGO_PKG_VERSION")),
            program: "leno-proxy".into(),
            control_address: "leno-control.leno-system.svc:15012".into(),
            trust_domain: "cluster.local".into(),
            revision: "default".into(),
            cert_ttl: "24h".into(),
            log_level: "info".into(),
            socket_mark: None,
        }
    }
}

/// What a namespace says about its pods.
#[derive(Clone, Debug, Default)]
pub struct NamespaceMeta {
    /// The namespace's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What became of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InjectOutcome {
    /// The pod has a sidecar now.
    Injected {
        /// What the pod asked for and does not get, one sentence each.
        warnings: Vec<String>,
    },
    /// The pod is as it was.
    Skipped {
        /// Why, for people.
        reason: String,
    },
}

/// Adds the sidecar to `pod` (a whole Pod object: `metadata` and `spec`) if it or its namespace asks for it.
///
/// The pod is changed only if the outcome is [`InjectOutcome::Injected`]. See [`decision`] for who decides.
pub fn inject(pod: &mut Value, namespace: &NamespaceMeta, settings: &InjectSettings) -> InjectOutcome {
    let meta = PodMeta::of(pod);
    let mut warnings = Vec::new();
    match decision::decide(pod, &meta, namespace, settings, &mut warnings) {
        Verdict::Skip(reason) => return InjectOutcome::Skipped { reason },
        Verdict::Inject => {}
    }
    let traffic = Traffic::read(&meta, namespace, &mut warnings);
    let app_probes = probes::of(pod);
    let init = containers::init(settings, &traffic);
    let proxy = containers::proxy(settings, &traffic, &app_probes);
    if !patch(pod, &meta, init, proxy) {
        return InjectOutcome::Skipped { reason: "the pod's spec is not an object".into() };
    }
    InjectOutcome::Injected { warnings }
}

/// Labels and annotations of a pod, copied out so that the pod can be changed while they are read.
#[derive(Clone, Debug, Default)]
pub struct PodMeta {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.name`, or `generateName` without its last dash.
    pub name: String,
}

impl PodMeta {
    /// Reads them from a Pod object.
    #[must_use]
    pub fn of(pod: &Value) -> Self {
        let meta = &pod["metadata"];
        let name = meta["name"].as_str().or_else(|| meta["generateName"].as_str()).unwrap_or_default();
        Self {
            labels: strings(&meta["labels"]),
            annotations: strings(&meta["annotations"]),
            name: name.trim_end_matches('-').to_owned(),
        }
    }
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    let Some(map) = value.as_object() else { return BTreeMap::new() };
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// Puts everything in place. False if the pod has no shape to put it into.
fn patch(pod: &mut Value, meta: &PodMeta, init: Value, proxy: Value) -> bool {
    let Some(root) = pod.as_object_mut() else { return false };
    let Some(spec) = root.get_mut("spec").and_then(Value::as_object_mut) else { return false };
    // Native sidecar: right after the redirect, before the app's own init containers, so that these have a network
    // that works, and so that a Job's pod ends when its app does.
    let inits = array(spec, "initContainers");
    inits.insert(0, init);
    inits.insert(1, proxy);
    let volumes = containers::volumes();
    let names: Vec<Value> = volumes.iter().map(|v| v["name"].clone()).collect();
    array(spec, "volumes").extend(volumes);

    let Some(metadata) = entry(root, "metadata") else { return false };
    let Some(labels) = entry(metadata, "labels") else { return false };
    for (key, value) in mesh_labels(meta) {
        labels.entry(key).or_insert(Value::String(value));
    }
    let Some(annotations) = entry(metadata, "annotations") else { return false };
    let status = json!({
        "initContainers": [INIT_CONTAINER, PROXY_CONTAINER], "containers": null, "volumes": names,
        "imagePullSecrets": null, "revision": "default",
    });
    annotations.insert(STATUS_ANNOTATION.into(), Value::String(status.to_string()));
    true
}

/// Istio's labels of an injected pod. What the user wrote stays.
fn mesh_labels(meta: &PodMeta) -> Vec<(String, String)> {
    let first = |keys: &[&str]| keys.iter().find_map(|k| meta.labels.get(*k).cloned());
    let name = first(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]);
    let revision = first(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
    vec![
        ("security.istio.io/tlsMode".into(), "istio".into()),
        ("service.istio.io/canonical-name".into(), name.unwrap_or_else(|| meta.name.clone())),
        ("service.istio.io/canonical-revision".into(), revision.unwrap_or_else(|| "latest".into())),
    ]
}

fn array<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let slot = map.entry(key).or_insert_with(|| json!([]));
    if !slot.is_array() {
        *slot = json!([]);
    }
    match slot {
        Value::Array(items) => items,
        _ => unreachable!("made an array above"),
    }
}

fn entry<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let slot = map.entry(key).or_insert_with(|| json!({}));
    if slot.is_null() {
        *slot = json!({});
    }
    slot.as_object_mut()
}

#[cfg(test)]
mod tests;
