//! Routes of the Gateway API say what became of them: `status.parents`, an entry for each parent and each controller that has
//! something to say of it.

use leno_config::gateway::{Condition, ParentVerdict};
use serde_json::{Value, json};

use super::status::{Fate, cut};
use crate::kube::object::RouteReport;
use crate::source::{ObjectState, ObjectStatus};

/// Under which name Leno speaks of its parents: the services of the mesh.
pub const CONTROLLER: &str = "leno.dev/mesh-controller";

/// All entries as they have to be; `None` where they are so already. Those of other controllers stay, each in its place.
pub(in crate::kube) fn parents(
    fate: &Fate,
    verdicts: &[ParentVerdict],
    report: &RouteReport,
    generation: i64,
    now: &str,
) -> Option<Vec<Value>> {
    let is_ours = |entry: &Value| entry["controllerName"] == CONTROLLER;
    let services = report.parent_refs.iter().enumerate().filter(|(_, parent)| is_service(parent));
    let mut ours: Vec<Value> = Vec::new();
    for (index, parent) in services {
        let before = report.parents.iter().find(|e| is_ours(e) && e["parentRef"] == *parent);
        let verdict = verdicts.iter().find(|v| v.index == index);
        let conditions = conditions(&fate.status, fate.in_force, verdict, before, generation, now);
        ours.push(json!({ "parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions }));
    }
    let mut all = Vec::new();
    for entry in &report.parents {
        if !is_ours(entry) {
            all.push(entry.clone());
        } else if let Some(at) = ours.iter().position(|o| o["parentRef"] == entry["parentRef"]) {
            all.push(ours.remove(at));
        }
    }
    all.append(&mut ours);
    (all != report.parents).then_some(all)
}

fn is_service(parent: &Value) -> bool {
    parent["kind"] == "Service" && matches!(parent["group"].as_str(), Some("" | "core"))
}

fn conditions(
    status: &ObjectStatus,
    in_force: bool,
    verdict: Option<&ParentVerdict>,
    before: Option<&Value>,
    generation: i64,
    now: &str,
) -> Vec<Value> {
    let findings = status.messages.join("\n");
    let word = |holds: bool| if holds { "True" } else { "False" };
    let said = |c: &Condition, more: &str| {
        let message = if more.is_empty() { c.message.clone() } else { format!("{}\n{more}", c.message) };
        (word(c.status), c.reason, message)
    };
    let (accepted, resolved) = match (status.state, verdict) {
        (ObjectState::Accepted, Some(verdict)) => (said(&verdict.accepted, &findings), said(&verdict.resolved, "")),
        (ObjectState::Refused, _) => {
            let kept = if in_force { "\nthe last good version stays in force" } else { "" };
            let refused = ("False", "UnsupportedValue", format!("{findings}{kept}"));
            (refused, ("Unknown", "Pending", "the route is refused: see Accepted".to_owned()))
        }
        (ObjectState::Accepted, None) => {
            let pending = || ("Unknown", "Pending", "not looked at yet".to_owned());
            (pending(), pending())
        }
    };
    let condition = |(kind, (status, reason, message)): (&str, (&str, &str, String))| {
        let old = before.and_then(|b| b["conditions"].as_array()?.iter().find(|c| c["type"] == kind));
        let since = old.filter(|o| o["status"] == status).and_then(|o| o["lastTransitionTime"].as_str()).unwrap_or(now);
        json!({
            "type": kind, "status": status, "reason": reason, "message": cut(&message),
            "observedGeneration": generation, "lastTransitionTime": since,
        })
    };
    [("Accepted", accepted), ("ResolvedRefs", resolved)].into_iter().map(condition).collect()
}
