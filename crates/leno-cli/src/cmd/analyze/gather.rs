//! The objects of a cluster that the checks look at.

use leno_analyze::{Options, object_from_json};
use leno_config::Object;
use serde_json::Value;

use crate::cluster::{Cluster, ClusterOptions, Kind};

/// What a cluster has.
pub(crate) struct Gathered {
    /// Its objects.
    pub(crate) objects: Vec<Object>,
    /// What is known of it.
    pub(crate) options: Options,
    /// Namespace of the context.
    pub(crate) namespace: String,
    /// Kinds that could not be read, and why.
    pub(crate) missing: Vec<String>,
}

/// Reads everything of a cluster that the checks look at.
///
/// # Errors
/// When no cluster is named or none answers.
pub(crate) async fn gather(options: &ClusterOptions) -> anyhow::Result<Gathered> {
    let cluster = Cluster::connect(options).await?;
    let (objects, missing) = objects(&cluster).await;
    let version = cluster.version();
    let mesh = mesh_settings(&objects);
    let domain = mesh.as_ref().and_then(|m| m.get("trustDomain")).and_then(Value::as_str).unwrap_or("cluster.local");
    let options = Options {
        // What may not be read would seem not to exist.
        complete: missing.is_empty(),
        trust_domain: Some(domain.to_owned()),
        native_sidecars: (version.major, version.minor) >= (1, 29),
        ..Options::default()
    };
    let namespace = cluster.default_namespace().to_owned();
    Ok(Gathered { objects: objects.into_iter().filter_map(object_from_json).collect(), options, namespace, missing })
}

/// All objects of the kinds below, and what could not be read.
pub(crate) async fn objects(cluster: &Cluster) -> (Vec<Value>, Vec<String>) {
    let mut kinds: Vec<Kind> = FIXED
        .iter()
        .map(|(group, kind, namespaced)| match namespaced {
            true => Kind::namespaced(group, "v1", kind),
            false => Kind::cluster(group, "v1", kind),
        })
        .collect();
    let (mut objects, mut missing) = (Vec::new(), Vec::new());
    for (group, names) in CUSTOM {
        for kind in *names {
            match cluster.served(group, kind).await {
                Ok(served) => kinds.extend(served),
                Err(error) => missing.push(format!("{kind}: {error:#}")),
            }
        }
    }
    for kind in kinds {
        match cluster.list(&kind, None, None).await {
            Ok(found) => objects.extend(found),
            Err(error) => missing.push(format!("{}: {error:#}", kind.plural)),
        }
    }
    // The mesh's settings only: other ConfigMaps are nobody's business here.
    let map = Kind::namespaced("", "v1", "ConfigMap");
    for (namespace, name) in SETTINGS {
        if let Ok(Some(settings)) = cluster.get(&map, Some(namespace), name).await {
            objects.push(settings);
        }
    }
    (objects, missing)
}

/// `mesh` of the settings' `ConfigMap`.
fn mesh_settings(objects: &[Value]) -> Option<Value> {
    let is =
        |o: &&Value| SETTINGS.iter().any(|(ns, n)| o["metadata"]["name"] == *n && o["metadata"]["namespace"] == *ns);
    let text = objects.iter().filter(is).find_map(|o| o["data"]["mesh"].as_str())?;
    serde_yaml_ng::from_str(text).ok()
}

const SETTINGS: &[(&str, &str)] = &[("leno-system", "leno"), ("istio-system", "istio")];

/// `(group, kind, namespaced)` of Kubernetes' own kinds, all `v1`.
const FIXED: &[(&str, &str, bool)] = &[
    ("", "Namespace", false),
    ("", "Service", true),
    ("", "Pod", true),
    ("", "ServiceAccount", true),
    ("", "ResourceQuota", true),
    ("", "LimitRange", true),
    ("apps", "Deployment", true),
    ("apps", "StatefulSet", true),
    ("apps", "DaemonSet", true),
    ("batch", "Job", true),
    ("batch", "CronJob", true),
    ("networking.k8s.io", "Ingress", true),
    ("networking.k8s.io", "NetworkPolicy", true),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", false),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", false),
];

/// Kinds that may not be there, in whichever version.
const CUSTOM: &[(&str, &[&str])] = &[
    (
        "networking.istio.io",
        &["VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "EnvoyFilter", "WorkloadEntry"],
    ),
    ("security.istio.io", &["PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication"]),
    ("telemetry.istio.io", &["Telemetry"]),
    ("split.smi-spec.io", &["TrafficSplit"]),
    ("linkerd.io", &["ServiceProfile"]),
    ("policy.linkerd.io", &["Server", "ServerAuthorization", "AuthorizationPolicy"]),
    ("gateway.networking.k8s.io", &["Gateway", "HTTPRoute", "GRPCRoute"]),
];
