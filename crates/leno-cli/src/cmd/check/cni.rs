//! Networks that undo interception.

use serde_json::Value;

use super::outcome::{Category, Status};
use super::state::{ClusterState, name, text};

pub(crate) fn check(state: &ClusterState) -> Category {
    let mut out = Category::new("network");
    let hint = "set `socketLB.hostNamespaceOnly=true` (bpf-lb-sock-hostns-only) in Cilium: else it picks the pod behind a service \
                at the app's own connect call, and the sidecar never sees which service was meant";
    out.add("the network leaves services to the sidecars", Status::Failure, cilium(state), hint);
    let hint =
        "let the network's policies allow what the mesh allows, or turn the eBPF data plane off for meshed nodes";
    out.add("the network does not go past iptables", Status::Warning, calico(state), hint);
    out
}

fn settings<'s>(state: &'s ClusterState, wanted: &str) -> Option<&'s Value> {
    state.of("ConfigMap").find(|m| m["metadata"]["name"] == wanted)
}

/// Cilium's balancing at the socket.
fn cilium(state: &ClusterState) -> Vec<String> {
    let daemons = state.of("DaemonSet").filter(|d| d["metadata"]["labels"]["k8s-app"] == "cilium");
    let Some(daemon) = daemons.into_iter().next() else { return Vec::new() };
    let Some(data) = settings(state, "cilium-config").map(|m| &m["data"]) else { return Vec::new() };
    let on = |key: &str| text(&data[key]) == "true";
    let replaces = matches!(text(&data["kube-proxy-replacement"]), "true" | "strict");
    if (replaces || on("bpf-lb-sock") || on("enable-socket-lb")) && !on("bpf-lb-sock-hostns-only") {
        return vec![format!("DaemonSet {}: Cilium balances services at the socket, inside pods too", name(daemon))];
    }
    Vec::new()
}

/// Calico's eBPF data plane.
fn calico(state: &ClusterState) -> Vec<String> {
    let on = state.of("FelixConfiguration").filter(|f| f["spec"]["bpfEnabled"] == true);
    on.map(|f| format!("FelixConfiguration {}: Calico's eBPF data plane is on", text(&f["metadata"]["name"]))).collect()
}
