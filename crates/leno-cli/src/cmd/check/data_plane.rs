//! Pods: have they their sidecars, do these intercept, and do they have the newest configuration?

use std::collections::{BTreeMap, BTreeSet};

use leno_analyze::{Options, analyze, object_from_json};
use serde_json::Value;

use super::kubernetes::has_container;
use super::outcome::{Category, Status};
use super::state::{ClusterState, list, name, text};

pub(crate) fn injection(state: &ClusterState) -> Category {
    let mut out = Category::new("injection");
    let objects: Vec<_> = state.objects.iter().cloned().filter_map(object_from_json).collect();
    let options = Options { install_namespace: state.install_namespace.clone(), ..Options::default() };
    let missing: BTreeSet<String> =
        analyze(&objects, &options).into_iter().filter(|f| f.code.id == "IST0103").map(|f| f.origin).collect();
    let mut by_owner: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for pod in state.pods().filter(|p| missing.contains(&format!("Pod {}", name(p)))) {
        let owner = owner(pod);
        by_owner.entry((text(&pod["metadata"]["namespace"]).to_owned(), owner)).or_default().push(name(pod));
    }
    let found = by_owner.iter().map(|((namespace, owner), pods)| {
        let more = if pods.len() > 1 { format!(" and {} more", pods.len() - 1) } else { String::new() };
        let first = pods.first().map(String::as_str).unwrap_or_default();
        format!("pod {first}{more} has no sidecar: {}", restart(owner, namespace))
    });
    let hint =
        "they were made before injection was turned on, and running pods are never changed: restart what made them";
    out.add("all pods that should be in the mesh are", Status::Warning, found.collect(), hint);
    out
}

/// `deploy/web`, `statefulset/db`, `job/x`; empty for a pod that nobody owns.
fn owner(pod: &Value) -> String {
    let owners = list(&pod["metadata"]["ownerReferences"]);
    let Some(owner) = owners.iter().find(|o| o["controller"] == true) else { return String::new() };
    let (kind, owner_name) = (text(&owner["kind"]), text(&owner["name"]));
    let hash = text(&pod["metadata"]["labels"]["pod-template-hash"]);
    match kind {
        "ReplicaSet" => {
            match owner_name.strip_suffix(hash).and_then(|n| n.strip_suffix('-')).filter(|_| !hash.is_empty()) {
                Some(deployment) => format!("deploy/{deployment}"),
                None => format!("replicaset/{owner_name}"),
            }
        }
        _ => format!("{}/{owner_name}", kind.to_ascii_lowercase()),
    }
}

fn restart(owner: &str, namespace: &str) -> String {
    match owner.split_once('/') {
        Some(("deploy" | "statefulset" | "daemonset", _)) => format!("kubectl rollout restart {owner} -n {namespace}"),
        Some(("job", _)) => format!("it ends with its {owner}"),
        Some(_) => format!("delete it, and {owner} makes a new one"),
        None => "nobody owns it: delete it and make it anew".to_owned(),
    }
}

pub(crate) fn interception(state: &ClusterState) -> Category {
    let mut out = Category::new("interception");
    let (mut without, mut failed) = (Vec::new(), Vec::new());
    for pod in state.pods().filter(|p| has_container(p, "istio-proxy")) {
        if !has_container(pod, "istio-init") && !is_gateway(pod) {
            without.push(format!("pod {} has a sidecar and no container istio-init", name(pod)));
            continue;
        }
        let status = list(&pod["status"]["initContainerStatuses"]).iter().find(|c| c["name"] == "istio-init");
        let ended = status.map(|s| (&s["state"]["terminated"], &s["state"]["waiting"], &s["lastState"]["terminated"]));
        if let Some((now, waiting, before)) = ended {
            let code = [now, before].iter().find_map(|s| s["exitCode"].as_i64()).filter(|c| *c != 0);
            if let Some(code) = code.filter(|_| !now.is_object() || now["exitCode"] != 0) {
                let why = text(&waiting["reason"]);
                failed.push(format!("pod {}: istio-init failed with {code} {why}", name(pod)).trim_end().to_owned());
            }
        }
    }
    let hint =
        "its traffic goes past the mesh, in plaintext: remove what keeps the container out, and make the pod anew";
    out.add("sidecars have their interception rules", Status::Failure, without, hint);
    let hint = "`kubectl logs POD -c istio-init -n NS` says why; it needs NET_ADMIN (Pod Security `privileged`) and nftables or \
                iptables in the node's kernel";
    out.add("interception could be set up", Status::Failure, failed, hint);
    out
}

/// Gateways take connections that are made to them, and intercept none.
fn is_gateway(pod: &Value) -> bool {
    list(&pod["spec"]["containers"]).len() == 1
        && list(&pod["spec"]["containers"]).first().is_some_and(|c| c["name"] == "istio-proxy")
}

pub(crate) fn proxies(state: &ClusterState) -> Category {
    let mut out = Category::new("data-plane");
    let Some(answer) = &state.proxies else { return out };
    let hint = "the control plane is asked through the API server (port-forward to 15014): see that it runs, and that this user \
                may `create pods/portforward` there";
    let proxies = match answer {
        Ok(proxies) => proxies,
        Err(why) => {
            out.add("the control plane says which sidecars are connected", Status::Failure, vec![why.clone()], hint);
            return out;
        }
    };
    let in_scope = |namespace: &str| state.namespace.as_deref().is_none_or(|n| n == namespace);
    let meshed: Vec<&Value> = state.pods().filter(|p| has_container(p, "istio-proxy") && has_address(p)).collect();
    let lost = meshed.iter().filter(|pod| {
        !proxies
            .iter()
            .any(|p| pod["metadata"]["name"] == p.pod.as_str() && pod["metadata"]["namespace"] == p.namespace.as_str())
    });
    let lost = lost.map(|pod| format!("the sidecar of pod {} is not connected", name(pod))).collect();
    let hint = "`leno logs POD -n NS` of the sidecar; a NetworkPolicy may keep it from port 15012 of the control plane";
    out.add("all sidecars are connected to the control plane", Status::Failure, lost, hint);
    let (mut refused, mut behind, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for proxy in proxies.iter().filter(|p| in_scope(&p.namespace)) {
        let pod = format!("{}/{}", proxy.namespace, proxy.pod);
        let nacks = proxy.sync.values().flat_map(|s| &s.nacked);
        refused.extend(nacks.map(|n| format!("pod {pod} refuses {}: {}", n.name, n.message)));
        if !proxy.synced {
            behind.push(format!("pod {pod} has not acknowledged what it was sent"));
        }
        if proxy.version != state.own_version {
            other.push(format!("pod {pod} has {}, this program is {}", proxy.version, state.own_version));
        }
    }
    let hint = "it keeps the last good configuration; see `leno proxy-status`";
    out.add("no sidecar refuses its configuration", Status::Failure, refused, hint);
    out.add(
        "all sidecars have the newest configuration",
        Status::Warning,
        behind,
        "look again in a moment (--wait 30s)",
    );
    let hint = "`kubectl rollout restart` of the workloads gives them the control plane's version";
    out.add("all sidecars have this program's version", Status::Warning, other, hint);
    out
}

/// A pod without an address has not got to its sidecar yet.
fn has_address(pod: &Value) -> bool {
    !text(&pod["status"]["podIP"]).is_empty() && pod["metadata"]["deletionTimestamp"].is_null()
}
