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
//! word of the configuration it came with. Before all that, pods that cannot have a sidecar are skipped: those in the
//! host's network, those that have one already, and Kubernetes' own namespaces.

use serde_json::Value;

use super::{InjectSettings, NamespaceMeta, PROXY_CONTAINER, PodMeta, STATUS_ANNOTATION};

/// Inject, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Give it a sidecar.
    Inject,
    /// Leave it, for this reason.
    Skip(String),
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
    if let Some(reason) = impossible(pod, meta, namespace) {
        return Verdict::Skip(reason);
    }
    let istio = istio(meta, namespace, settings, warnings);
    let linkerd = linkerd(meta, namespace, warnings);
    match (istio, linkerd) {
        (Word::No(reason), _) | (_, Word::No(reason)) => Verdict::Skip(reason),
        (Word::Yes, _) | (_, Word::Yes) => Verdict::Inject,
        (Word::Silent, Word::Silent) => Verdict::Skip("neither the pod nor its namespace asks for a sidecar".into()),
    }
}

fn impossible(pod: &Value, meta: &PodMeta, namespace: &NamespaceMeta) -> Option<String> {
    let spec = &pod["spec"];
    if spec["hostNetwork"].as_bool() == Some(true) {
        return Some("the pod uses the host's network (hostNetwork: true)".into());
    }
    if meta.annotations.contains_key(STATUS_ANNOTATION) {
        return Some(format!("the pod has a sidecar already (annotation {STATUS_ANNOTATION})"));
    }
    let named = |list: &str, name: &str| {
        spec[list].as_array().is_some_and(|items| items.iter().any(|c| c["name"].as_str() == Some(name)))
    };
    for name in [PROXY_CONTAINER, "linkerd-proxy"] {
        if named("containers", name) || named("initContainers", name) {
            return Some(format!("the pod has a container named {name} already"));
        }
    }
    if IGNORED_NAMESPACES.contains(&namespace.name.as_str()) {
        return Some(format!("namespace {} belongs to Kubernetes itself", namespace.name));
    }
    None
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
