//! A pod to its meshed form, and back.
//!
//! [`decision`] says whether, [`sidecar`] and [`traffic`] read what the pod asks for, [`probes`] turns its health checks to
//! the proxy, [`containers`] writes the two containers. [`inject`] puts them into the pod, [`uninject`](undo::uninject)
//! takes them out again. [`workload`] finds the pod in a Deployment and its like, [`documents`] does all that to a file.

pub mod annotations;
pub mod containers;
pub mod decision;
pub mod documents;
pub mod probes;
mod scrape;
pub mod settings;
pub mod sidecar;
mod status;
pub mod traffic;
pub mod undo;
pub mod workload;
mod yaml;

use std::collections::BTreeMap;

use leno_core::names::{PROXY_UID, port};
use serde_json::{Map, Value, json};

use annotations::Reader;
use containers::AppProbes;
use decision::Verdict;
pub use settings::InjectSettings;
use sidecar::Sidecar;
use status::{Made, Status};
use traffic::Traffic;

/// Name of the init container that redirects traffic (Istio's, which other tools look for).
pub const INIT_CONTAINER: &str = "istio-init";
/// Name of the sidecar (Istio's).
pub const PROXY_CONTAINER: &str = "istio-proxy";
/// Annotation on injected pods (Istio's): what was added, as JSON.
pub const STATUS_ANNOTATION: &str = "sidecar.istio.io/status";
/// Annotation on injected pods: what they asked for and did not get, one sentence a line.
pub const WARNINGS_ANNOTATION: &str = "proxy.leno.dev/warnings";
/// Annotation on pods that were asked to have a sidecar and cannot: why.
pub const SKIPPED_ANNOTATION: &str = "proxy.leno.dev/not-injected";
/// Annotation that sets the life of this pod's certificates, such as `20s` or `12h`. Default 24 h.
pub const CERT_TTL_ANNOTATION: &str = "proxy.leno.dev/cert-ttl";
/// Annotation that turns Linkerd's series on or off for a pod.
pub const LINKERD_METRICS_ANNOTATION: &str = "proxy.leno.dev/linkerd-metrics";
/// `ConfigMap` with the mesh's root certificate in every namespace (Istio's), key `root-cert.pem`.
pub const ROOT_CONFIG_MAP: &str = "istio-ca-root-cert";

/// What a namespace says about its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
        /// Whether a sidecar was asked for and cannot be; else nobody asks, it is not to have one, or it has one.
        impossible: bool,
    },
}

/// Adds the sidecar to `pod` (a whole Pod object: `metadata` and `spec`) if it or its namespace asks for it.
///
/// The pod is changed only if the outcome is [`InjectOutcome::Injected`]. See [`decision`] for who decides.
pub fn inject(pod: &mut Value, namespace: &NamespaceMeta, settings: &InjectSettings) -> InjectOutcome {
    inject_named(pod, "", namespace, settings)
}

/// [`inject`] for a template: `name` is that of the workload, where the pod has none.
pub fn inject_named(
    pod: &mut Value,
    name: &str,
    namespace: &NamespaceMeta,
    settings: &InjectSettings,
) -> InjectOutcome {
    let mut meta = PodMeta::of(pod);
    if meta.name.is_empty() {
        name.clone_into(&mut meta.name);
    }
    let mut warnings = Vec::new();
    match decision::decide(pod, &meta, namespace, settings, &mut warnings) {
        Verdict::Skip(reason) => return InjectOutcome::Skipped { reason, impossible: false },
        Verdict::Impossible(reason) => return InjectOutcome::Skipped { reason, impossible: true },
        Verdict::Inject => {}
    }
    let mut reader = Reader::new(&meta, namespace, &mut warnings);
    let traffic = Traffic::read(&mut reader, settings);
    let sidecar = Sidecar::read(&mut reader, settings);
    reader.warn_of_unread();
    warn_of_risks(pod, &sidecar, &mut warnings);

    let mut injected = pod.clone();
    let app_probes = if sidecar.rewrite_probes {
        AppProbes::Rewritten(probes::rewrite(&mut injected))
    } else {
        AppProbes::Admitted(probes::declared(&mut injected))
    };
    let parts = Parts {
        init: containers::init(settings, &sidecar, &traffic),
        proxy: containers::proxy(settings, &sidecar, &app_probes),
        sidecar,
    };
    if parts.put_into(&mut injected, &meta, settings, &warnings).is_none() {
        let reason = "the pod has no shape to put a sidecar into (metadata and spec.containers)".into();
        return InjectOutcome::Skipped { reason, impossible: true };
    }
    *pod = injected;
    InjectOutcome::Injected { warnings }
}

/// Labels and annotations of a pod, copied out so that the pod can be changed while they are read.
#[derive(Clone, Debug, Default)]
pub struct PodMeta {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The workload's name as far as the pod shows it: that of its owner without a hash, or the pod's own.
    pub name: String,
}

impl PodMeta {
    /// Reads them from a Pod object.
    #[must_use]
    pub fn of(pod: &Value) -> Self {
        let meta = &pod["metadata"];
        let labels = strings(&meta["labels"]);
        let owners = meta["ownerReferences"].as_array();
        let owner = owners.into_iter().flatten().find(|o| o["controller"].as_bool() == Some(true));
        let own = || meta["name"].as_str().or_else(|| meta["generateName"].as_str());
        let name = owner.and_then(|o| o["name"].as_str()).or_else(own).unwrap_or_default().trim_end_matches('-');
        // A ReplicaSet is called as its Deployment, with the hash of the template after it.
        let hash = labels.get("pod-template-hash");
        let name = hash.and_then(|h| name.strip_suffix(h.as_str())).map_or(name, |n| n.trim_end_matches('-'));
        Self { name: name.to_owned(), annotations: strings(&meta["annotations"]), labels }
    }
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    let Some(map) = value.as_object() else { return BTreeMap::new() };
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

fn warn_of_risks(pod: &Value, sidecar: &Sidecar, warnings: &mut Vec<String>) {
    let spec = &pod["spec"];
    let uid = |v: &Value| v["securityContext"]["runAsUser"].as_u64();
    for container in spec["containers"].as_array().into_iter().flatten() {
        if uid(container).or_else(|| uid(spec)) == Some(PROXY_UID.into()) {
            let name = container["name"].as_str().unwrap_or_default();
            warnings.push(format!(
                "container {name} runs as user {PROXY_UID}, the proxy's: its connections pass by the sidecar"
            ));
        }
    }
    let owners = pod["metadata"]["ownerReferences"].as_array();
    if !sidecar.native && owners.into_iter().flatten().any(|o| o["kind"].as_str() == Some("Job")) {
        warnings.push(
            "the sidecar is not a native one, so the Job ends only if the application asks the proxy to \
             (POST http://127.0.0.1:15020/quitquitquit)"
                .into(),
        );
    }
}

/// What goes into the pod.
struct Parts {
    init: Value,
    proxy: Value,
    sidecar: Sidecar,
}

impl Parts {
    /// `None` if the pod has no shape to put it into.
    fn put_into(
        mut self,
        pod: &mut Value,
        meta: &PodMeta,
        settings: &InjectSettings,
        warnings: &[String],
    ) -> Option<()> {
        let scraped = self.sidecar.prometheus.then(|| scrape::wanted(meta, port::STATUS)).flatten();
        if let Some(said) = &scraped
            && let Some(env) = self.proxy["env"].as_array_mut()
        {
            let value = Value::Object(said.clone()).to_string().replace('$', "$$");
            env.push(json!({"name": scrape::ENV, "value": value}));
        }
        let root = pod.as_object_mut()?;
        let spec = root.get_mut("spec")?.as_object_mut()?;
        let mut status = Status { revision: settings.revision.clone(), ..Status::default() };
        self.put_containers(spec, &mut status)?;
        for volume in containers::volumes() {
            status.volumes.push(volume["name"].as_str().unwrap_or_default().to_owned());
            array(spec, "volumes", Made::Volumes, &mut status)?.push(volume);
        }
        for name in &settings.image_pull_secrets {
            let secrets = array(spec, "imagePullSecrets", Made::ImagePullSecrets, &mut status)?;
            if !secrets.iter().any(|s| s["name"].as_str() == Some(name)) {
                secrets.push(json!({"name": name}));
                status.image_pull_secrets.push(name.clone());
            }
        }
        let mut names = spec["containers"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str());
        let app = names.find(|name| *name != PROXY_CONTAINER).unwrap_or_default().to_owned();

        let metadata = entry(root, "metadata", Made::Metadata, &mut status)?;
        let labels = entry(metadata, "labels", Made::Labels, &mut status)?;
        for (key, value) in mesh_labels(meta) {
            if !labels.contains_key(key) {
                labels.insert(key.to_owned(), Value::String(value));
                status.labels.push(key.to_owned());
            }
        }
        let annotations = entry(metadata, "annotations", Made::Annotations, &mut status)?;
        let mut added: Vec<(&str, String)> = Vec::new();
        if !warnings.is_empty() {
            added.push((WARNINGS_ANNOTATION, warnings.join("\n")));
        }
        // An application that does not want to be scraped is not; one that does is scraped by way of the proxy.
        let said = scrape::ANNOTATIONS.iter().any(|k| annotations.contains_key(*k));
        if self.sidecar.prometheus && (scraped.is_some() || !said) {
            let values = ["true".to_owned(), port::STATUS.to_string(), "/stats/prometheus".to_owned()];
            for (key, value) in scrape::ANNOTATIONS.into_iter().zip(values) {
                match annotations.get_mut(key) {
                    Some(slot) => *slot = Value::String(value),
                    None => added.push((key, value)),
                }
            }
        }
        // Else `kubectl logs` and `kubectl exec` would take the first one, which is the proxy.
        if !self.sidecar.native && !annotations.contains_key(DEFAULT_CONTAINER) {
            added.push((DEFAULT_CONTAINER, app));
        }
        for (key, value) in added {
            status.annotations.push(key.to_owned());
            annotations.insert(key.to_owned(), Value::String(value));
        }
        annotations.insert(STATUS_ANNOTATION.into(), Value::String(status.to_json().to_string()));
        Some(())
    }

    fn put_containers(&self, spec: &mut Map<String, Value>, status: &mut Status) -> Option<()> {
        // A pod without containers is none.
        if spec.get("containers")?.as_array()?.is_empty() {
            return None;
        }
        status.init_containers.push(INIT_CONTAINER.to_owned());
        let inits = array(spec, "initContainers", Made::InitContainers, status)?;
        if self.sidecar.native {
            // Right after the redirect, before the application's own init containers: these have a network that works,
            // and a Job's pod ends when its application does.
            inits.insert(0, self.init.clone());
            inits.insert(1, self.proxy.clone());
            status.init_containers.push(PROXY_CONTAINER.to_owned());
        } else {
            // The application's init containers run before the proxy, so nothing may be redirected to it yet.
            inits.push(self.init.clone());
            array(spec, "containers", Made::InitContainers, status)?.insert(0, self.proxy.clone());
            status.containers.push(PROXY_CONTAINER.to_owned());
        }
        Some(())
    }
}

/// Istio's labels of an injected pod. What the user wrote stays.
fn mesh_labels(meta: &PodMeta) -> [(&'static str, String); 3] {
    let first = |keys: &[&str]| keys.iter().find_map(|k| meta.labels.get(*k).filter(|v| !v.is_empty()).cloned());
    let name = first(&["app.kubernetes.io/name", "app"]).unwrap_or_else(|| as_label(&meta.name));
    let revision = first(&["app.kubernetes.io/version", "version"]).unwrap_or_else(|| "latest".into());
    [
        ("security.istio.io/tlsMode", "istio".into()),
        ("service.istio.io/canonical-name", name),
        ("service.istio.io/canonical-revision", revision),
    ]
}

/// A name as the value of a label, which has at most 63 characters and no dot or dash at its ends.
fn as_label(name: &str) -> String {
    let cut: String = name.chars().filter(char::is_ascii).take(63).collect();
    cut.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

fn array<'a>(
    map: &'a mut Map<String, Value>,
    key: &str,
    made: Made,
    status: &mut Status,
) -> Option<&'a mut Vec<Value>> {
    let slot = map.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = json!([]);
        status.made.insert(made);
    }
    slot.as_array_mut()
}

fn entry<'a>(
    map: &'a mut Map<String, Value>,
    key: &str,
    made: Made,
    status: &mut Status,
) -> Option<&'a mut Map<String, Value>> {
    let slot = map.entry(key).or_insert(Value::Null);
    if slot.is_null() {
        *slot = json!({});
        status.made.insert(made);
    }
    slot.as_object_mut()
}

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

#[cfg(test)]
mod tests;
