//! Objects say what became of them: `status.conditions` in Istio's form, `Accepted` and `Reconciled`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use leno_config::gateway::ParentVerdict;
use serde_json::{Value, json};

use super::route_status::parents;
use super::{Duties, MANAGER};
use crate::kube::connect::words;
use crate::kube::kinds::KINDS;
use crate::kube::object::Reported;
use crate::serve::monitor::live_of;
use crate::source::{ObjectState, ObjectStatus};
use crate::world::ObjectKey;

/// Between looks.
const EVERY: Duration = Duration::from_secs(2);
/// Objects that are written after one look.
const AT_ONCE: usize = 50;
/// What was written is not written again for so long, whatever became of it; and numbers alone may wait so long.
const CALM: Duration = Duration::from_secs(10);
/// Longest message: objects are small.
const LONGEST: usize = 1024;

/// What one object is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kube) struct Fate {
    /// Whether it was taken, and the findings.
    pub status: ObjectStatus,
    /// Whether some version of it is in force.
    pub in_force: bool,
    /// Proxies that live by it.
    pub live: usize,
    /// Proxies that use it.
    pub of: usize,
    /// Of routes of the Gateway API: by parent.
    pub verdicts: Vec<ParentVerdict>,
}

/// Writes what changed.
pub(super) async fn keep(duties: &Duties) {
    let mut written: BTreeMap<ObjectKey, Instant> = BTreeMap::new();
    let mut without_status = BTreeSet::new();
    let mut pause = EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let start = Instant::now();
        written.retain(|_, at| at.elapsed() < CALM);
        let fates = fates(duties).await;
        let now = now();
        let news = fates.into_iter().filter_map(|(key, reported, fate)| {
            let status = patch(&fate, &reported, &now)?;
            let calm =
                written.contains_key(&key) || without_status.contains(&(key.kind.clone(), reported.version.clone()));
            (!calm).then_some((key, reported, status))
        });
        let news: Vec<_> = news.take(AT_ONCE).collect();
        for (key, reported, status) in news {
            if write(duties, &key, &reported, status).await {
                written.insert(key, Instant::now());
            } else {
                tracing::info!(kind = key.kind, version = reported.version, "its definition has no status");
                without_status.insert((key.kind, reported.version));
            }
        }
        // A large mesh is looked at less often.
        pause = EVERY.max(start.elapsed() * 10);
    }
}

/// In whole seconds, as Kubernetes writes times.
fn now() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// Of every object that can say it: what it says, and what it is to say.
async fn fates(duties: &Duties) -> Vec<(ObjectKey, Reported, Fate)> {
    let reports: Vec<(ObjectKey, Reported)> =
        duties.reports.lock().iter().map(|(key, reported)| (key.clone(), reported.clone())).collect();
    if reports.is_empty() {
        return Vec::new();
    }
    let elsewhere = duties.peers.live(&duties.hub).await;
    let state = duties.hub.state();
    let names: Vec<_> = reports.iter().map(|(key, _)| state.world.resources_of(key)).collect();
    let here = live_of(&duties.hub, &duties.proxies, &names);
    let fate = |((key, reported), (live, of)): ((ObjectKey, Reported), (usize, usize))| {
        let status = state.objects.get(&key)?.clone();
        let (more_live, more_of) = elsewhere.get(&key).copied().unwrap_or_default();
        let in_force = status.state == ObjectState::Accepted || state.world.has(&key);
        let verdicts = state.world.route_verdicts(&key);
        let fate = Fate { status, in_force, live: live + more_live, of: of + more_of, verdicts };
        Some((key, reported, fate))
    };
    reports.into_iter().zip(here).filter_map(fate).collect()
}

/// What is to be written; `None` where it is so already.
fn patch(fate: &Fate, reported: &Reported, now: &str) -> Option<Value> {
    let generation = reported.generation;
    match &reported.route {
        Some(route) => {
            let parents = parents(fate, &fate.verdicts, route, generation, now)?;
            Some(json!({ "metadata": { "resourceVersion": route.resource_version }, "status": { "parents": parents } }))
        }
        None => {
            let conditions = conditions(fate, &reported.conditions, now)?;
            Some(json!({ "status": { "conditions": conditions, "observedGeneration": generation } }))
        }
    }
}

/// All conditions as they have to be; `None` where they are so already. Those of others stay.
pub(in crate::kube) fn conditions(fate: &Fate, present: &[Value], now: &str) -> Option<Vec<Value>> {
    let findings = cut(&fate.status.messages.join("\n"));
    let accepted = match fate.status.state {
        ObjectState::Accepted if findings.is_empty() => ("True", "Accepted", "in force".to_owned()),
        ObjectState::Accepted => ("True", "AcceptedWithWarnings", findings),
        ObjectState::Refused if fate.in_force => {
            ("False", "Invalid", format!("{findings}\nthe last good version stays in force"))
        }
        ObjectState::Refused => ("False", "Invalid", findings),
    };
    let live = format!("live on {} of {} proxies that use it", fate.live, fate.of);
    let reconciled = match (fate.status.state, fate.live < fate.of) {
        (ObjectState::Refused, _) => ("False", "Invalid", "refused: see Accepted".to_owned()),
        (ObjectState::Accepted, true) => ("False", "Pending", live),
        (ObjectState::Accepted, false) => ("True", "Live", live),
    };
    let mut changed = false;
    let mut ours = Vec::new();
    for (kind, (status, reason, message)) in [("Accepted", accepted), ("Reconciled", reconciled)] {
        let before = present.iter().find(|c| c["type"] == kind);
        let same_status = before.is_some_and(|b| b["status"] == status);
        changed |= !before.is_some_and(|b| same_status && b["reason"] == reason && b["message"] == message.as_str());
        let since = before.filter(|_| same_status).and_then(|b| b["lastTransitionTime"].as_str()).unwrap_or(now);
        ours.push(json!({
            "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
        }));
    }
    if !changed {
        return None;
    }
    let others = present.iter().filter(|c| c["type"] != "Accepted" && c["type"] != "Reconciled");
    Some(others.cloned().chain(ours).collect())
}

pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// False: the kind has no status to write.
async fn write(duties: &Duties, key: &ObjectKey, reported: &Reported, patch: Value) -> bool {
    let Some(kind) = KINDS.iter().find(|k| k.group == key.group && k.kind == key.kind) else { return true };
    let resource = kind.resource(&reported.version);
    let api: Api<DynamicObject> = Api::namespaced_with(duties.client.clone(), &key.namespace, &resource);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_status(&key.name, &params, &Patch::Merge(patch)).await {
        Ok(_) => true,
        // Either the object is gone, or its definition has no status: the answer is the same.
        Err(kube::Error::Api(status)) if status.code == 404 => !matches!(api.get_opt(&key.name).await, Ok(Some(_))),
        // Somebody else wrote to it meanwhile: what it says now will be seen, and looked at again.
        Err(kube::Error::Api(status)) if status.code == 409 => true,
        Err(error) => {
            tracing::warn!(object = %key, error = %words(&error), "its status cannot be written");
            true
        }
    }
}
