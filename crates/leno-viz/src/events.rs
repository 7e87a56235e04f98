//! What happened, for the time line: so that a person sees that the errors began with the change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::window::Window;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// `config`, `rollout`, `ejection`, `certificate`.
    pub what: &'static str,
    /// Namespace that it concerns.
    pub namespace: String,
    /// Kind of the object or workload.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// In words.
    pub text: String,
}

/// A change as the control plane tells it: `GET /leno/v1/changes`.
#[derive(Debug, Deserialize)]
pub struct Change {
    at_ms: u64,
    kind: String,
    namespace: String,
    name: String,
    what: String,
    #[serde(default)]
    message: String,
}

/// A change of an object.
#[must_use]
pub fn of_change(change: &Change) -> Event {
    let mut text = format!("{} {} was {}", change.kind, change.name, change.what);
    if !change.message.is_empty() {
        text.push_str(": ");
        text.push_str(&change.message);
    }
    let Change { at_ms, kind, namespace, name, .. } = change;
    Event { at_ms: *at_ms, what: "config", namespace: namespace.clone(), kind: kind.clone(), name: name.clone(), text }
}

/// Pods that started since the window began: one event for all pods of a workload that were made from one template.
#[must_use]
pub fn rollouts(window: &Window) -> Vec<Event> {
    // By namespace, kind, workload, template: when the first started, and how many there are.
    let mut templates: BTreeMap<(String, String, String, String), (u64, usize)> = BTreeMap::new();
    for (id, proxy) in window.proxies() {
        let template = template(&id.pod, &proxy.workload);
        let key = (id.namespace.clone(), proxy.kind.clone(), proxy.workload.clone(), template.to_owned());
        let (started, count) = templates.entry(key).or_insert((u64::MAX, 0));
        *started = (*started).min(proxy.times().0);
        *count += 1;
    }
    let oldest = |namespace: &str, workload: &str| {
        let of = templates.iter().filter(|((ns, _, w, _), _)| ns == namespace && w == workload);
        of.map(|(_, (started, _))| *started).min().unwrap_or(0)
    };
    let event = |((namespace, kind, name, _), (started, count)): (&(String, String, String, String), &(u64, usize))| {
        if *started < window.began() {
            return None;
        }
        let pods = if *count == 1 { "1 pod".to_owned() } else { format!("{count} pods") };
        // The first pods of a workload are no rollout: nothing was there before.
        let word = if *started > oldest(namespace, name) { "rollout" } else { "start" };
        Some(Event {
            at_ms: *started,
            what: "rollout",
            namespace: namespace.clone(),
            kind: kind.clone(),
            name: name.clone(),
            text: format!("{word} of {kind} {name}: {pods}"),
        })
    };
    templates.iter().filter_map(event).collect()
}

/// What pods of one template have in common: of `web-5d4-x7` of `web` it is `5d4`; a pod without one is its own.
fn template<'p>(pod: &'p str, workload: &str) -> &'p str {
    let rest = pod.strip_prefix(workload).and_then(|r| r.strip_prefix('-'));
    rest.and_then(|r| r.split_once('-')).map_or("", |(hash, _)| hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leno_core::samples::Samples;
    use std::time::Duration;

    fn window(pods: &[(&str, u64)]) -> Window {
        let mut window = Window::new(Duration::from_secs(600), 1000);
        for (pod, started_ms) in pods {
            let samples = Samples {
                namespace: "a".to_owned(),
                pod: (*pod).to_owned(),
                workload: "web".to_owned(),
                kind: "deployment".to_owned(),
                started_ms: *started_ms,
                ..Samples::default()
            };
            window.record(samples, 9000);
        }
        window
    }

    #[test]
    fn a_new_template_is_a_rollout() {
        let found = rollouts(&window(&[("web-aa-1", 500), ("web-aa-2", 500), ("web-bb-1", 5000), ("web-bb-2", 6000)]));
        let [event] = &found[..] else { panic!("{found:?}") };
        assert_eq!((event.at_ms, event.text.as_str()), (5000, "rollout of deployment web: 2 pods"));
    }

    #[test]
    fn what_was_there_before_is_no_event_and_what_starts_is_said_so() {
        assert!(rollouts(&window(&[("web-aa-1", 500), ("web-aa-2", 5000)])).is_empty());
        let found = rollouts(&window(&[("web-aa-1", 5000)]));
        assert_eq!(found[0].text, "start of deployment web: 1 pod");
        assert_eq!(template("db-0", "db"), "");
    }

    #[test]
    fn a_refusal_says_why() {
        let change = |json| of_change(&serde_json::from_value(json).unwrap());
        let event = change(
            serde_json::json!({"at_ms": 1, "kind": "VirtualService", "namespace": "a", "name": "web", "what": "refused", "message": "no"}),
        );
        assert_eq!((event.what, event.text.as_str()), ("config", "VirtualService web was refused: no"));
    }
}
