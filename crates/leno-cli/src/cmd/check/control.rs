//! The control plane.

use serde_json::Value;

use super::outcome::{Category, Status};
use super::state::{ClusterState, list, name, text};

/// Deployments of the control plane, one for each revision.
pub(crate) fn deployments(state: &ClusterState) -> Vec<&Value> {
    let own = |d: &&Value| {
        let name = text(&d["metadata"]["name"]);
        d["metadata"]["namespace"] == state.install_namespace.as_str()
            && (name == "leno-control" || name.starts_with("leno-control-"))
    };
    state.of("Deployment").filter(own).collect()
}

pub(crate) fn check(state: &ClusterState) -> Category {
    let mut out = Category::new("control-plane");
    let all = deployments(state);
    let missing = all.is_empty().then(|| format!("there is no Deployment leno-control in {}", state.install_namespace));
    let hint = "`leno install` (or name its namespace with --install-namespace)";
    let is_missing = missing.is_some();
    out.add("the control plane is installed", Status::Failure, missing.into_iter().collect(), hint);
    if is_missing {
        return out;
    }
    let not_ready: Vec<String> = all.iter().filter_map(|d| not_ready(state, d)).collect();
    let hint =
        format!("`kubectl get pods,events -n {}`; `kubectl logs -n {0} deploy/leno-control`", state.install_namespace);
    out.add("the control plane is ready", Status::Failure, not_ready, hint);
    let restarts = pods(state).filter_map(|pod| {
        let count: u64 =
            list(&pod["status"]["containerStatuses"]).iter().filter_map(|c| c["restartCount"].as_u64()).sum();
        (count >= RESTARTS).then(|| format!("pod {} has restarted {count} times", name(pod)))
    });
    let hint = "`kubectl logs --previous` of it";
    out.add("the control plane runs without restarts", Status::Warning, restarts.collect(), hint);
    let other = all.iter().filter_map(|d| {
        let version = version_of(d)?;
        (version != state.own_version)
            .then(|| format!("Deployment {} is {version}, this program is {}", name(d), state.own_version))
    });
    let hint = "use the `leno` of the control plane's version, or `leno upgrade`";
    out.add("the control plane has this program's version", Status::Warning, other.collect(), hint);
    out
}

const RESTARTS: u64 = 3;

fn not_ready(state: &ClusterState, deployment: &Value) -> Option<String> {
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let ready = deployment["status"]["readyReplicas"].as_u64().unwrap_or(0);
    if wanted == 0 {
        return Some(format!("Deployment {} is scaled to 0", name(deployment)));
    }
    (ready < wanted).then(|| {
        let why = pods(state).find_map(why_waiting).map(|why| format!(": {why}")).unwrap_or_default();
        format!("Deployment {}: {ready} of {wanted} pods are ready{why}", name(deployment))
    })
}

fn pods(state: &ClusterState) -> impl Iterator<Item = &Value> {
    state.of("Pod").filter(|p| {
        p["metadata"]["namespace"] == state.install_namespace.as_str()
            && text(&p["metadata"]["name"]).starts_with("leno-control")
    })
}

/// Why a container of a pod does not run.
fn why_waiting(pod: &Value) -> Option<String> {
    list(&pod["status"]["containerStatuses"]).iter().find_map(|c| {
        let waiting = &c["state"]["waiting"];
        let reason = waiting["reason"].as_str()?;
        let message = text(&waiting["message"]);
        Some(format!("pod {} {reason} {message}", text(&pod["metadata"]["name"])).trim_end().to_owned())
    })
}

/// The tag of the control plane's image, without digest, where it is a version (and not `latest` or a branch).
fn version_of(deployment: &Value) -> Option<String> {
    let containers = list(&deployment["spec"]["template"]["spec"]["containers"]);
    let image = containers.iter().map(|c| text(&c["image"])).find(|i| i.contains("leno-control"))?;
    let tag = image.split('@').next()?.rsplit('/').next()?.split_once(':')?.1;
    let version = tag.trim_start_matches('v');
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}
