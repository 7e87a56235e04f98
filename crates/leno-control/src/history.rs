//! What changed lately in the configuration, for the time line of the dashboard. Bounded, in memory: it is no audit log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::world::ObjectKey;

/// One change of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When it took effect, milliseconds since 1970.
    pub at_ms: u64,
    /// Kind of the object.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `created`, `changed`, `refused`, `deleted`.
    pub what: &'static str,
    /// Why it was refused.
    pub message: String,
}

/// The last changes.
#[derive(Debug, Default)]
pub struct History {
    entries: Mutex<VecDeque<Entry>>,
}

impl History {
    /// Notes a change. Pods and endpoints come and go by themselves, and are not noted.
    pub fn note(&self, key: &ObjectKey, what: &'static str, message: &str) {
        if PASSING.contains(&key.kind.as_str()) {
            return;
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut entries = self.lock();
        if entries.len() == MOST {
            entries.pop_front();
        }
        entries.push_back(Entry {
            at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            what,
            message: message.to_owned(),
        });
    }

    /// Forgets all: what was there at the start is no change.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// All, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Entry> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PASSING: [&str; 2] = ["Pod", "EndpointSlice"];
/// Changes that are kept.
const MOST: usize = 500;

#[cfg(test)]
mod tests {
    use super::{History, MOST};
    use crate::world::ObjectKey;

    fn key(kind: &str, name: &str) -> ObjectKey {
        ObjectKey { group: String::new(), kind: kind.into(), namespace: "a".into(), name: name.into() }
    }

    #[test]
    fn the_last_changes_are_kept_and_pods_are_none() {
        let history = History::default();
        history.note(&key("Service", "first"), "created", "");
        history.clear();
        history.note(&key("Pod", "p"), "created", "");
        for n in 0..=MOST {
            history.note(&key("Service", &n.to_string()), "changed", "");
        }
        let all = history.all();
        assert_eq!((all.len(), all[0].name.as_str(), all[0].what), (MOST, "1", "changed"));
    }
}
