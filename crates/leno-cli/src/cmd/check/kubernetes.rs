//! The cluster itself: version, clocks, permissions, kinds, other meshes.

use serde_json::Value;

use super::outcome::{Category, Check, Status};
use super::state::{ClusterState, list, name, text};

/// Where no cluster answers.
pub(crate) fn unreachable(error: &anyhow::Error) -> Category {
    let check = Check {
        description: "the Kubernetes API can be queried".to_owned(),
        result: Status::Failure,
        error: vec![format!("{error:#}")],
        hint: Some("check --kubeconfig, --context and KUBECONFIG with `kubectl version`".to_owned()),
    };
    Category { name: "kubernetes-api", checks: vec![check] }
}

/// Webhooks that choose by expression.
const LEAST: (u32, u32) = (1, 28);
/// Native sidecars.
const NATIVE: (u32, u32) = (1, 29);

pub(crate) fn version(state: &ClusterState) -> Category {
    let mut out = Category::new("kubernetes-api");
    out.add(format!("the Kubernetes API at {} can be queried", state.url), Status::Failure, Vec::new(), "");
    let (major, minor, version) = &state.version;
    let old = (*major, *minor) < LEAST;
    let found = old.then(|| format!("it is {version}, the oldest that Leno runs on is {}.{}", LEAST.0, LEAST.1));
    out.add("Kubernetes is recent enough", Status::Failure, found.into_iter().collect(), "upgrade the cluster");
    if !old {
        let found = ((*major, *minor) < NATIVE).then(|| {
            format!(
                "it is {version}: sidecars are ordinary containers, and init containers of apps are outside the mesh"
            )
        });
        let hint = format!("upgrade to {}.{} or later", NATIVE.0, NATIVE.1);
        out.add("Kubernetes has native sidecars", Status::Warning, found.into_iter().collect(), hint);
    }
    if !state.unreadable.is_empty() {
        let hint = "ask for a role that may read these (ClusterRole `view` for most), or expect less to be found";
        out.add("everything can be read", Status::Warning, state.unreadable.clone(), hint);
    }
    out
}

/// Seconds; certificates allow for as much.
const SKEW: i64 = 30;
/// Seconds after which a node that said nothing is not heard of: four renewals of its lease.
const SILENCE: i64 = 60;

pub(crate) fn clocks(state: &ClusterState) -> Category {
    let mut out = Category::new("clocks");
    let hint = "set the clocks by NTP: certificates are judged by time, and the mesh's are valid for a day";
    if let Some(server) = state.server_time {
        let skew = server - state.now;
        let found = (skew.abs() > SKEW).then(|| format!("the API server's clock is {} this machine's", ahead(skew)));
        out.add(
            "this machine's clock agrees with the API server's",
            Status::Failure,
            found.into_iter().collect(),
            hint,
        );
    }
    let now = state.server_time.unwrap_or(state.now);
    let (mut ahead_of, mut silent) = (Vec::new(), Vec::new());
    for lease in state.of("Lease").filter(|l| l["metadata"]["namespace"] == "kube-node-lease") {
        let Some(renewed) = leno_config_time(text(&lease["spec"]["renewTime"])) else { continue };
        let node = text(&lease["metadata"]["name"]);
        if renewed - now > SKEW {
            ahead_of.push(format!("node {node}: its clock is {} the API server's", ahead(renewed - now)));
        } else if now - renewed > SILENCE {
            silent.push(format!("node {node}: last heard of {}s ago, or its clock is behind by that", now - renewed));
        }
    }
    out.add("the nodes' clocks agree with the API server's", Status::Failure, ahead_of, hint);
    out.add("the nodes are heard of", Status::Warning, silent, "see `kubectl describe node` and the node's kubelet");
    out
}

fn ahead(seconds: i64) -> String {
    if seconds > 0 { format!("{seconds}s ahead of") } else { format!("{}s behind", -seconds) }
}

/// Seconds since the epoch of an RFC 3339 time.
fn leno_config_time(text: &str) -> Option<i64> {
    let seconds = leno_config::quantity::unix_seconds(text);
    (seconds > 0).then_some(seconds)
}

pub(crate) fn permissions(state: &ClusterState) -> Category {
    let mut out = Category::new("permissions");
    let hint = "install as a cluster administrator, or have one give you a ClusterRole with these rights";
    out.add("this user may install Leno", Status::Failure, state.refused.clone(), hint);
    out
}

/// `(name, version that must be served)`
const DEFINITIONS: &[(&str, &str)] = &[
    ("virtualservices.networking.istio.io", "v1"),
    ("destinationrules.networking.istio.io", "v1"),
    ("peerauthentications.security.istio.io", "v1"),
    ("authorizationpolicies.security.istio.io", "v1"),
    ("trafficsplits.split.smi-spec.io", "v1alpha2"),
];

/// Kinds: before an installation only those that are there and too old matter.
pub(crate) fn definitions(state: &ClusterState, pre: bool) -> Category {
    let mut out = Category::new("custom-resources");
    let (mut missing, mut old) = (Vec::new(), Vec::new());
    for (wanted, version) in DEFINITIONS {
        match state.of("CustomResourceDefinition").find(|c| c["metadata"]["name"] == *wanted) {
            None => missing.push(format!("{wanted} is not there")),
            Some(definition) => {
                let versions = list(&definition["spec"]["versions"]);
                if !versions.iter().any(|v| v["name"] == *version && v["served"] == true) {
                    let served: Vec<&str> =
                        versions.iter().filter(|v| v["served"] == true).map(|v| text(&v["name"])).collect();
                    old.push(format!("{wanted} does not serve {version} (it has {})", served.join(", ")));
                }
            }
        }
    }
    if !pre {
        let hint = "`leno install --crds | kubectl apply -f -`";
        out.add("the kinds of the mesh are there", Status::Failure, missing, hint);
    }
    let hint = "another mesh made them: upgrade that, or `leno install --crds --force` to replace them";
    out.add("the kinds of the mesh are recent enough", Status::Failure, old, hint);
    out
}

/// What other meshes have left, or do.
pub(crate) fn others(state: &ClusterState) -> Category {
    let mut out = Category::new("other-meshes");
    let mut found = Vec::new();
    for deployment in state.of("Deployment") {
        let image = |part: &str| {
            list(&deployment["spec"]["template"]["spec"]["containers"]).iter().any(|c| text(&c["image"]).contains(part))
        };
        let labels = &deployment["metadata"]["labels"];
        if labels["app"] == "istiod" || image("istio/pilot:") {
            found.push(format!("Istio's control plane: Deployment {}", name(deployment)));
        } else if labels["linkerd.io/control-plane-component"] == "destination" {
            found.push(format!("Linkerd's control plane: Deployment {}", name(deployment)));
        }
    }
    for webhook in state.of("MutatingWebhookConfiguration").chain(state.of("ValidatingWebhookConfiguration")) {
        let foreign = list(&webhook["webhooks"]).iter().find(|w| {
            let service = text(&w["clientConfig"]["service"]["name"]);
            service.starts_with("istiod") || service.starts_with("linkerd-")
        });
        if let Some(entry) = foreign {
            let service = &entry["clientConfig"]["service"];
            let there = state.of("Service").any(|s| {
                s["metadata"]["name"] == service["name"] && s["metadata"]["namespace"] == service["namespace"]
            });
            let left = if there { "" } else { ", whose service is gone" };
            found.push(format!("{} {}{left}", text(&webhook["kind"]), text(&webhook["metadata"]["name"])));
        }
    }
    let pods: Vec<&Value> = state.pods().filter(|p| has_container(p, "linkerd-proxy")).collect();
    if let Some(first) = pods.first() {
        found.push(format!("{} pods with Linkerd's sidecar, such as {}", pods.len(), name(first)));
    }
    let hint = "two injectors would both add a sidecar: uninstall the other mesh, or keep each to its own namespaces, and \
                delete webhooks whose service is gone";
    out.add("no other mesh is here", Status::Warning, found, hint);
    out
}

/// Whether a pod has a container of this name.
pub(crate) fn has_container(pod: &Value, name: &str) -> bool {
    ["containers", "initContainers"].iter().any(|l| list(&pod["spec"][*l]).iter().any(|c| c["name"] == name))
}
