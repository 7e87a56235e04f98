//! Why a Deployment's pods are not ready, from what Kubernetes and the pods themselves say.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cluster::{Cluster, Kind};

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// A few words, for the line of progress.
    pub(super) short: String,
    /// The whole.
    pub(super) long: String,
    /// What to do.
    pub(super) hint: Option<String>,
    /// Waiting alone will not mend it.
    pub(super) hopeless: bool,
    /// `(pod, container, of the run before)` whose output says more.
    log: Option<(String, String, bool)>,
}

impl Finding {
    fn new(short: impl Into<String>, long: impl Into<String>) -> Self {
        Self { short: short.into(), long: long.into(), hint: None, hopeless: false, log: None }
    }
}

/// What keeps it from being ready.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn deployment(cluster: &Cluster, object: &Value) -> anyhow::Result<Vec<Finding>> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let labels = object["spec"]["selector"]["matchLabels"].as_object().cloned().unwrap_or_default();
    let selector: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    let mut selector = selector.join(",");
    // Pods of the form before this one say nothing about it.
    let sets = cluster.list(&Kind::namespaced("apps", "v1", "ReplicaSet"), Some(namespace), Some(&selector)).await?;
    if let Some(hash) = newest(&sets) {
        let _ = write!(selector, ",{HASH}={hash}");
    }
    let pods = cluster.list(&Kind::namespaced("", "v1", "Pod"), Some(namespace), Some(&selector)).await?;
    let mut findings: Vec<Finding> = pods.iter().flat_map(of_pod).collect();
    if pods.is_empty() {
        findings.extend(of_conditions(object));
    }
    let events = cluster.list(&Kind::namespaced("", "v1", "Event"), Some(namespace), None).await.unwrap_or_default();
    for pod in pods.iter().filter(|p| !is_ready(p)) {
        findings.extend(of_events(pod, &events));
    }
    findings.sort_by_key(|f| !f.hopeless);
    findings.dedup_by(|a, b| a.long == b.long);
    Ok(findings)
}

/// The findings as lines, with the end of the log of what crashed.
pub(super) async fn text(cluster: &Cluster, namespace: &str, findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let _ = writeln!(out, "  {}", finding.long);
        if let Some((pod, container, previous)) = &finding.log {
            let tail = cluster.log_tail(namespace, pod, container, 8, *previous).await.unwrap_or_default();
            for line in tail.lines() {
                let _ = writeln!(out, "    | {line}");
            }
        }
        if let Some(hint) = &finding.hint {
            let _ = writeln!(out, "    {hint}");
        }
    }
    if out.is_empty() {
        let _ = writeln!(out, "  Kubernetes says nothing; see kubectl -n {namespace} describe pods");
    }
    out.trim_end().to_owned()
}

/// Label value of the pods of a Deployment's newest form.
fn newest(sets: &[Value]) -> Option<&str> {
    let revision = |set: &Value| {
        let text = set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str();
        text.and_then(|t| t.parse::<u64>().ok()).unwrap_or(0)
    };
    sets.iter().max_by_key(|s| revision(s)).and_then(|s| s["metadata"]["labels"][HASH].as_str())
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|c| c.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// No pod was made: quotas, admission.
fn of_conditions(deployment: &Value) -> Vec<Finding> {
    let conditions = deployment["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let failed = conditions.iter().filter(|c| c["type"] == "ReplicaFailure" && c["status"] == "True");
    failed
        .map(|c| {
            let message = c["message"].as_str().unwrap_or("no pod can be made");
            Finding { hopeless: true, ..Finding::new("no pod can be made", format!("no pod can be made: {message}")) }
        })
        .collect()
}

fn of_pod(pod: &Value) -> Vec<Finding> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let mut findings = Vec::new();
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    for condition in conditions.iter().filter(|c| c["type"] == "PodScheduled" && c["status"] == "False") {
        let message = condition["message"].as_str().unwrap_or("no node takes it");
        findings.push(Finding {
            hint: Some("make room, or lower control.resources or control.nodeSelector by --set".to_owned()),
            ..Finding::new("no node takes the pod", format!("pod {name} is not placed: {message}"))
        });
    }
    for key in ["initContainerStatuses", "containerStatuses"] {
        for status in pod["status"][key].as_array().into_iter().flatten() {
            findings.extend(of_container(name, status));
        }
    }
    findings
}

fn of_container(pod: &str, status: &Value) -> Option<Finding> {
    let container = status["name"].as_str().unwrap_or_default();
    let image = status["image"].as_str().unwrap_or_default();
    let waiting = &status["state"]["waiting"];
    let reason = waiting["reason"].as_str().unwrap_or_default();
    let message = waiting["message"].as_str().unwrap_or_default();
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError" => Some(Finding {
            hopeless: true,
            hint: Some(
                "is there such an image, and may the nodes pull it? Other places: --set hub=REGISTRY --set tag=TAG; \
                 credentials: --set imagePullSecrets={NAME}"
                    .to_owned(),
            ),
            ..Finding::new(format!("cannot pull {image}"), format!("pod {pod}: cannot pull the image {image} ({reason}): {}", trimmed(message)))
        }),
        "CrashLoopBackOff" => {
            let last = &status["lastState"]["terminated"];
            let code = last["exitCode"].as_i64().unwrap_or_default();
            let why = last["reason"].as_str().unwrap_or("it ended");
            let hint = (why == "OOMKilled").then(|| "it needs more memory: --set control.resources.limits.memory=…".to_owned());
            Some(Finding {
                hopeless: true,
                hint,
                log: Some((pod.to_owned(), container.to_owned(), true)),
                ..Finding::new(
                    format!("{container} crashes"),
                    format!("pod {pod}: {container} crashes again and again ({why}, exit code {code}); its last words:"),
                )
            })
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Some(Finding {
            hopeless: true,
            ..Finding::new(format!("{container} cannot be made"), format!("pod {pod}: {container} cannot be made: {}", trimmed(message)))
        }),
        "" => {
            let running = !status["state"]["running"].is_null() && status["ready"] == false;
            let restarts = status["restartCount"].as_u64().unwrap_or(0);
            running.then(|| Finding {
                log: Some((pod.to_owned(), container.to_owned(), false)),
                ..Finding::new(
                    format!("{container} runs and is not ready"),
                    format!("pod {pod}: {container} runs and is not ready (restarts: {restarts}); its last words:"),
                )
            })
        }
        _ => None,
    }
}

/// Warnings about a pod that its status does not have: a volume that is missing, a node without a network.
fn of_events(pod: &Value, events: &[Value]) -> Vec<Finding> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let known = ["Failed", "BackOff", "Unhealthy", "FailedScheduling", "InspectFailed"];
    let about = |e: &&Value| {
        e["type"] == "Warning"
            && e["involvedObject"]["uid"] == pod["metadata"]["uid"]
            && !known.contains(&e["reason"].as_str().unwrap_or_default())
    };
    let mut findings: Vec<Finding> = events
        .iter()
        .filter(about)
        .map(|e| {
            let (reason, message) =
                (e["reason"].as_str().unwrap_or_default(), e["message"].as_str().unwrap_or_default());
            Finding::new(reason, format!("pod {name}: {reason}: {}", trimmed(message)))
        })
        .collect();
    findings.dedup();
    findings.truncate(3);
    findings
}

/// Registries and runtimes are wordy.
fn trimmed(message: &str) -> String {
    let message = message.trim();
    match message.char_indices().nth(400) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

const HASH: &str = "pod-template-hash";

#[cfg(test)]
mod tests {
    use super::{HASH, newest, of_pod};
    use serde_json::json;

    #[test]
    fn the_newest_form_is_the_one_with_the_highest_number() {
        let set = |revision: &str, hash: &str| json!({"metadata": {"labels": {HASH: hash}, "annotations": {"deployment.kubernetes.io/revision": revision}}});
        assert_eq!(newest(&[set("9", "a"), set("10", "b"), set("2", "c")]), Some("b"));
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named_with_what_to_do() {
        let pod = json!({
            "metadata": {"name": "leno-control-1"},
            "status": {"containerStatuses": [{
                "name": "control", "image": "docker.io/leno/leno-control:9", "ready": false,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image: not found"}},
            }]},
        });
        let findings = of_pod(&pod);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].hopeless);
        assert!(
            findings[0].long.contains("cannot pull the image docker.io/leno/leno-control:9"),
            "{}",
            findings[0].long
        );
        assert!(findings[0].hint.as_deref().unwrap_or_default().contains("--set hub="));
    }

    #[test]
    fn a_crash_says_its_exit_code_and_asks_for_the_log_of_the_run_before() {
        let pod = json!({
            "metadata": {"name": "p"},
            "status": {"containerStatuses": [{
                "name": "control", "ready": false, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}},
            }]},
        });
        let findings = of_pod(&pod);
        assert!(findings[0].long.contains("exit code 2"), "{}", findings[0].long);
        assert_eq!(findings[0].log, Some(("p".to_owned(), "control".to_owned(), true)));
    }

    #[test]
    fn a_pod_without_a_node_repeats_what_the_scheduler_says() {
        let pod = json!({
            "metadata": {"name": "p"},
            "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu."}]},
        });
        assert!(of_pod(&pod)[0].long.contains("Insufficient cpu"));
    }
}
