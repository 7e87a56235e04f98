//! Kinds of objects and their addresses on the API server.

use anyhow::Context as _;
use serde_json::Value;

/// A kind in one version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    /// API group, empty for the core one.
    pub(crate) group: String,
    /// Version.
    pub(crate) version: String,
    /// Kind.
    pub(crate) kind: String,
    /// As in addresses.
    pub(crate) plural: String,
    /// Whether its objects are in namespaces.
    pub(crate) namespaced: bool,
}

impl Kind {
    /// A namespaced kind whose plural has the regular form.
    pub(crate) fn namespaced(group: &str, version: &str, kind: &str) -> Self {
        Self::regular(group, version, kind, true)
    }

    /// A kind of the whole cluster whose plural has the regular form.
    pub(crate) fn cluster(group: &str, version: &str, kind: &str) -> Self {
        Self::regular(group, version, kind, false)
    }

    fn regular(group: &str, version: &str, kind: &str, namespaced: bool) -> Self {
        let plural = plural(kind);
        Self { group: group.into(), version: version.into(), kind: kind.into(), plural, namespaced }
    }

    /// Kind of an object by its `apiVersion` and `kind`. Kinds that no table here has count as namespaced when the object names a namespace.
    ///
    /// # Errors
    /// When it has no `apiVersion` or `kind`.
    pub(crate) fn of(object: &Value) -> anyhow::Result<Self> {
        let text = |key: &str| object[key].as_str().filter(|t| !t.is_empty());
        let api = text("apiVersion").context("an object without apiVersion")?;
        let kind = text("kind").context("an object without kind")?;
        let (group, version) = api.split_once('/').unwrap_or(("", api));
        let named = !object["metadata"]["namespace"].is_null();
        let namespaced = if CLUSTER_KINDS.contains(&kind) { false } else { named || NAMESPACED_KINDS.contains(&kind) };
        Ok(Self::regular(group, version, kind, namespaced))
    }

    /// `apiVersion`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Address of the collection.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let space = match namespace {
            Some(namespace) if self.namespaced => format!("/namespaces/{namespace}"),
            _ => String::new(),
        };
        format!("{root}/{}{space}/{}", self.api_version(), self.plural)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)
    }
}

/// `Deployment leno-system/leno-control`
pub(crate) fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn plural(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    if matches!(lower.as_str(), "endpoints") || lower.ends_with("metrics") {
        return lower;
    }
    // policy -> policies, but gateway -> gateways.
    let vowel_before_y = lower.len() > 1 && "aeiou".contains(&lower[lower.len() - 2..lower.len() - 1]);
    match lower.strip_suffix('y') {
        Some(stem) if !vowel_before_y => format!("{stem}ies"),
        _ if lower.ends_with('s') || lower.ends_with('x') || lower.ends_with("ch") => format!("{lower}es"),
        _ => format!("{lower}s"),
    }
}

/// Kinds of the whole cluster that verbs meet.
const CLUSTER_KINDS: &[&str] = &[
    "APIService",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GatewayClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// Kinds in namespaces, for objects that leave theirs to the context.
const NAMESPACED_KINDS: &[&str] = &[
    "ConfigMap",
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Endpoints",
    "EndpointSlice",
    "HorizontalPodAutoscaler",
    "Job",
    "Lease",
    "NetworkPolicy",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
];

#[cfg(test)]
mod tests {
    use super::Kind;
    use serde_json::json;

    #[test]
    fn plurals_are_kubernetes() {
        for (kind, plural) in [
            ("Gateway", "gateways"),
            ("NetworkPolicy", "networkpolicies"),
            ("Ingress", "ingresses"),
            ("ServiceEntry", "serviceentries"),
            ("Endpoints", "endpoints"),
            ("EndpointSlice", "endpointslices"),
            ("ProxyConfig", "proxyconfigs"),
            ("Telemetry", "telemetries"),
        ] {
            assert_eq!(super::plural(kind), plural);
        }
    }

    #[test]
    fn addresses_of_objects() {
        let kind =
            Kind::of(&json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}})).unwrap();
        assert_eq!(kind.path(Some("x")), "/apis/apps/v1/namespaces/x/deployments");
        assert_eq!(kind.path(None), "/apis/apps/v1/deployments");
        let kind = Kind::of(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})).unwrap();
        assert_eq!(kind.path(Some("x")), "/api/v1/namespaces");
    }
}
