//! What people name: `deploy/web`, `web-abcd`, `svc/web`.

use anyhow::{anyhow, bail};
use leno_local::object::kind_of_word;
use leno_local::protocol::{PodStatus, Status};

/// `deploy/NAME` or `sts/NAME`.
///
/// # Errors
/// Anything else.
pub(super) fn workload(target: &str) -> anyhow::Result<(&'static str, &str)> {
    let Some((word, name)) = target.split_once('/') else { return Ok(("Deployment", target)) };
    match kind_of_word(word) {
        Some(kind @ ("Deployment" | "StatefulSet")) => Ok((kind, name)),
        _ => bail!("{target}: only deploy/NAME, sts/NAME and system/NAME can be restarted"),
    }
}

/// The pod that is meant: by name, or a ready one of a workload or service. Names of pods need not be whole where only one
/// begins so.
///
/// # Errors
/// There is none; the error says what there is.
pub(super) fn pod<'s>(status: &'s Status, namespace: &str, target: &str) -> anyhow::Result<&'s PodStatus> {
    let inside: Vec<&PodStatus> = status.pods.iter().filter(|p| p.namespace == namespace).collect();
    let (kind, name) = match target.split_once('/') {
        Some((word, name)) => (kind_of_word(word).ok_or_else(|| anyhow!("{target}: {word} is no kind"))?, name),
        None => ("Pod", target),
    };
    let best = |mut of: Vec<&'s PodStatus>| {
        of.sort_by_key(|p| (!p.ready, p.status == "Terminating", p.age));
        of.first().copied()
    };
    let found = match kind {
        "Pod" => inside.iter().find(|p| p.name == name).copied().or_else(|| {
            let begin: Vec<&PodStatus> = inside.iter().filter(|p| p.name.starts_with(name)).copied().collect();
            if begin.len() == 1 { begin.first().copied() } else { None }
        }),
        "Service" => {
            let service = status.services.iter().find(|s| s.namespace == namespace && s.name == name);
            let service = service.ok_or_else(|| anyhow!("there is no service {name} in namespace {namespace}"))?;
            let of = inside.iter().filter(|p| service.endpoints.contains(&p.ip)).copied().collect();
            return best(of).ok_or_else(|| anyhow!("service {namespace}/{name} has no ready pod"));
        }
        "Deployment" | "StatefulSet" | "Job" => {
            let of = inside.iter().filter(|p| p.owner == format!("{kind}/{name}")).copied().collect();
            best(of)
        }
        other => bail!("{target}: a {} has no pods", other.to_lowercase()),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = inside.iter().map(|p| p.name.as_str()).collect();
        let have = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        anyhow!("there is no {target} with pods in namespace {namespace}; pods there: {have}")
    })
}
