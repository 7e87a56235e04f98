//! Whether a pod gets a sidecar.
//!
//! Two dialects ask, each by its own rules; then they are joined:
//!
//! | dialect | asks on | yes | no | if pod and namespace differ |
//! |---|---|---|---|---|
//! | Istio | namespace label `istio-injection`; pod label (or, older, annotation) `sidecar.istio.io/inject` | `enabled`, `true` | `disabled`, `false` | a no wins |
//! | Istio | label `istio.io/rev` on pod or namespace, where nothing above is said | our revision or `default` | another revision | the pod wins |
//! | Linkerd | annotation `linkerd.io/inject` on namespace or pod | `enabled`, `ingress` | `disabled` | the pod wins |
//!
//! Joined: a no of either dialect wins, then a yes of either, else nobody asked. So a pod is never meshed against the
//! word of the configuration it came with. Before all that, pods that have a sidecar already are skipped; after it, those
//! that cannot have one: in the host's network or with a port of it, for Windows, and in Kubernetes' own namespaces and
//! the control plane's.

use serde_json::Value;

use super::{INIT_CONTAINER, InjectSettings, NamespaceMeta, PROXY_CONTAINER, PodMeta, STATUS_ANNOTATION};

/// Inject, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Give it a sidecar.
    Inject,
    /// Leave it: it, or its namespace, does not ask for one, or asks for none.
    Skip(String),
    /// It is asked for and cannot be, for this reason.
    Impossible(String),
}

/// What one dialect says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Yes,
    No(String),
    Silent,
}

/// Decides. Values that no dialect knows are warned of and count as silence.
pub fn decide(
    pod: &Value,
    meta: &PodMeta,
    namespace: &NamespaceMeta,
    settings: &InjectSettings,
    warnings: &mut Vec<String>,
) -> Verdict {
    if let Some(reason) = already(pod, meta) {
        return Verdict::Skip(reason);
    }
    let istio = istio(meta, namespace, settings, warnings);
    let linkerd = linkerd(meta, namespace, warnings);
    match (istio, linkerd) {
        (Word::No(reason), _) | (_, Word::No(reason)) => Verdict::Skip(reason),
        (Word::Yes, _) | (_, Word::Yes) => {
            impossible(pod, namespace, settings).map_or(Verdict::Inject, Verdict::Impossible)
        }
        (Word::Silent, Word::Silent) => Verdict::Skip("neither the pod nor its namespace asks for a sidecar".into()),
    }
}

fn already(pod: &Value, meta: &PodMeta) -> Option<String> {
    if meta.annotations.contains_key(STATUS_ANNOTATION) {
        return Some(format!("the pod has a sidecar already (annotation {STATUS_ANNOTATION})"));
    }
    [PROXY_CONTAINER, INIT_CONTAINER, "linkerd-proxy", "linkerd-init"]
        .iter()
        .find(|name| containers(&pod["spec"]).any(|c| c["name"].as_str() == Some(**name)))
        .map(|name| format!("the pod has a container named {name} already"))
}

fn impossible(pod: &Value, namespace: &NamespaceMeta, settings: &InjectSettings) -> Option<String> {
    let spec = &pod["spec"];
    if spec["hostNetwork"].as_bool() == Some(true) {
        return Some("the pod uses the host's network (hostNetwork: true)".into());
    }
    if is_windows(spec) {
        return Some("the pod is for Windows, where traffic cannot be redirected".into());
    }
    for container in containers(spec) {
        let ports = container["ports"].as_array();
        if let Some(port) = ports.into_iter().flatten().filter_map(|p| p["hostPort"].as_u64()).find(|p| *p > 0) {
            let name = container["name"].as_str().unwrap_or_default();
            return Some(format!("container {name} has a port of the host (hostPort: {port})"));
        }
    }
    if IGNORED_NAMESPACES.contains(&namespace.name.as_str()) {
        return Some(format!("namespace {} belongs to Kubernetes itself", namespace.name));
    }
    if !namespace.name.is_empty() && control_namespace(settings) == Some(namespace.name.as_str()) {
        return Some(format!("namespace {} is the control plane's own", namespace.name));
    }
    None
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().filter_map(|list| spec[list].as_array()).flatten()
}

fn is_windows(spec: &Value) -> bool {
    let selector = &spec["nodeSelector"];
    [&spec["os"]["name"], &selector["kubernetes.io/os"], &selector["beta.kubernetes.io/os"]]
        .iter()
        .any(|os| os.as_str() == Some("windows"))
}

/// The namespace in `leno-control.NAMESPACE.svc:15012`.
fn control_namespace(settings: &InjectSettings) -> Option<&str> {
    let (_, rest) = settings.control_address.split_once('.')?;
    rest.split_once(".svc").map(|(namespace, _)| namespace)
}

fn istio(meta: &PodMeta, namespace: &NamespaceMeta, settings: &InjectSettings, warnings: &mut Vec<String>) -> Word {
    let on_pod = meta.labels.get(POD_INJECT).or_else(|| meta.annotations.get(POD_INJECT));
    let pod = match on_pod.map(String::as_str) {
        // The spellings that Istio takes, from YAML 1.1's booleans.
        Some("true" | "y" | "yes" | "on" | "enabled") => Word::Yes,
        Some(v @ ("false" | "n" | "no" | "off" | "disabled")) => Word::No(format!("the pod says {POD_INJECT}: {v}")),
        Some(other) => {
            warnings.push(format!("{POD_INJECT}: `{other}` is neither true nor false, ignored"));
            Word::Silent
        }
        None => Word::Silent,
    };
    let space = match namespace.labels.get(NAMESPACE_INJECT).map(String::as_str) {
        Some("enabled") => Word::Yes,
        Some("disabled") => Word::No(format!("namespace {} says {NAMESPACE_INJECT}: disabled", namespace.name)),
        Some(other) => {
            warnings.push(format!(
                "namespace {}: {NAMESPACE_INJECT}: `{other}` is neither enabled nor disabled, ignored",
                namespace.name
            ));
            Word::Silent
        }
        None => Word::Silent,
    };
    match (pod, space) {
        (no @ Word::No(_), _) | (_, no @ Word::No(_)) => no,
        (Word::Yes, _) | (_, Word::Yes) => Word::Yes,
        (Word::Silent, Word::Silent) => revision(meta, namespace, settings),
    }
}

fn revision(meta: &PodMeta, namespace: &NamespaceMeta, settings: &InjectSettings) -> Word {
    match meta.labels.get(REVISION).or_else(|| namespace.labels.get(REVISION)) {
        None => Word::Silent,
        Some(rev) if rev == "default" || *rev == settings.revision => Word::Yes,
        Some(rev) => {
            Word::No(format!("{REVISION}: {rev} is another control plane's (this one is {})", settings.revision))
        }
    }
}

fn linkerd(meta: &PodMeta, namespace: &NamespaceMeta, warnings: &mut Vec<String>) -> Word {
    let pod = meta.annotations.get(LINKERD_INJECT).map(|v| (v, "the pod".to_owned()));
    let space = || namespace.annotations.get(LINKERD_INJECT).map(|v| (v, format!("namespace {}", namespace.name)));
    let Some((value, who)) = pod.or_else(space) else { return Word::Silent };
    match value.as_str() {
        // `ingress` also changes how linkerd-proxy picks destinations; ours always routes HTTP by its host's service.
        "enabled" | "ingress" => Word::Yes,
        "disabled" => Word::No(format!("{who} says {LINKERD_INJECT}: disabled")),
        other => {
            warnings.push(format!("{who}: {LINKERD_INJECT}: `{other}` is none of enabled, ingress, disabled; ignored"));
            Word::Silent
        }
    }
}

const POD_INJECT: &str = "sidecar.istio.io/inject";
const NAMESPACE_INJECT: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";
const LINKERD_INJECT: &str = "linkerd.io/inject";
/// Istio's list: nothing in them is the user's.
const IGNORED_NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
