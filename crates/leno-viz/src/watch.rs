//! What is followed besides requests: each sidecar's certificate and ejected endpoints, and whether the control plane answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leno_core::names::port;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::api::now;
use crate::events::Event;
use crate::gather::{self, Control, Listed, fetch};
use crate::window::ProxyId;

/// What sidecars said last, and what changed.
#[derive(Debug, Default)]
pub struct Watch {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    states: BTreeMap<ProxyId, State>,
    events: VecDeque<Event>,
    control_lost_ms: Option<u64>,
}

/// `GET :15020/leno/v1/state` of a sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its certificate; `None` while it has none.
    pub certificate: Option<Certificate>,
    /// Why it has none, or cannot renew it.
    pub problem: Option<String>,
    /// Endpoints that its outlier detection has ejected.
    #[serde(default)]
    pub ejected: BTreeSet<Ejected>,
}

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// SPIFFE ID.
    pub identity: String,
    /// Serial number.
    pub serial: String,
    /// When it was issued, milliseconds since 1970.
    pub issued_ms: u64,
    /// When it ends.
    pub not_after_ms: u64,
}

/// An endpoint that gets no requests for a while.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ejected {
    /// `outbound|PORT||HOST`.
    pub cluster: String,
    /// Its address.
    pub address: String,
    /// Its pod.
    pub pod: String,
}

impl Watch {
    /// What each sidecar said last.
    #[must_use]
    pub fn states(&self) -> BTreeMap<ProxyId, State> {
        self.lock().states.clone()
    }

    /// Ejections and renewals, the oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.iter().cloned().collect()
    }

    /// Since when the control plane does not answer, if it does not.
    #[must_use]
    pub fn control_lost(&self) -> Option<u64> {
        self.lock().control_lost_ms
    }

    /// Takes in what a sidecar said, and notes what is new.
    fn take(&self, id: ProxyId, state: State, now: u64) {
        let mut inner = self.lock();
        if let Some(before) = inner.states.get(&id) {
            let news = news(&id, before, &state, now);
            inner.events.extend(news);
            while inner.events.len() > MOST_EVENTS {
                inner.events.pop_front();
            }
        }
        inner.states.insert(id, state);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is new in a sidecar's state.
fn news(id: &ProxyId, before: &State, after: &State, now: u64) -> Vec<Event> {
    let event = |what, kind: &str, name: &str, text| Event {
        at_ms: now,
        what,
        namespace: id.namespace.clone(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        text,
    };
    let mut events = Vec::new();
    if let (Some(old), Some(new)) = (&before.certificate, &after.certificate)
        && old.serial != new.serial
    {
        events.push(event("certificate", "pod", &id.pod, format!("certificate of {} was renewed", id.pod)));
    }
    for gone in after.ejected.difference(&before.ejected) {
        let text = format!("{} ejected {} ({})", id.pod, gone.pod, gone.cluster);
        events.push(event("ejection", "pod", &gone.pod, text));
    }
    for back in before.ejected.difference(&after.ejected) {
        let text = format!("{} takes {} back ({})", id.pod, back.pod, back.cluster);
        events.push(event("ejection", "pod", &back.pod, text));
    }
    events
}

/// Follows the sidecars until the task is dropped.
pub async fn run(control: Control, watch: Arc<Watch>) {
    loop {
        match gather::list(&control).await {
            Ok(listed) => {
                watch.lock().control_lost_ms = None;
                follow(&listed, &watch).await;
                let there: BTreeSet<ProxyId> = listed.iter().map(Listed::id).collect();
                watch.lock().states.retain(|id, _| there.contains(id));
            }
            Err(_) => {
                watch.lock().control_lost_ms.get_or_insert(now());
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Asks them one after the other, a few at once: nobody waits for it.
async fn follow(listed: &[Listed], watch: &Watch) {
    for some in listed.chunks(AT_ONCE) {
        let mut asked = JoinSet::new();
        for proxy in some {
            let (id, address) = (proxy.id(), SocketAddr::new(proxy.ip, port::STATUS).to_string());
            asked.spawn(async move { (id, fetch::get(&address, "/leno/v1/state", PATIENCE).await) });
        }
        for (id, body) in asked.join_all().await {
            if let Some(state) = body.ok().and_then(|b| serde_json::from_slice::<State>(&b).ok()) {
                watch.take(id, state, now());
            }
        }
    }
}

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Sidecars asked at once.
const AT_ONCE: usize = 16;
/// Events that are kept.
const MOST_EVENTS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_and_ejections_are_events_once() {
        let watch = Watch::default();
        let id = ProxyId { namespace: "a".to_owned(), pod: "web-1".to_owned() };
        let state = |serial: &str, ejected: &[&str]| State {
            certificate: Some(Certificate { serial: serial.to_owned(), ..Certificate::default() }),
            problem: None,
            ejected: ejected
                .iter()
                .map(|pod| Ejected {
                    cluster: "outbound|80||s".to_owned(),
                    address: "10.0.0.1:80".to_owned(),
                    pod: (*pod).to_owned(),
                })
                .collect(),
        };
        for (now, state) in
            [(1, state("1", &[])), (2, state("1", &["s-1"])), (3, state("1", &["s-1"])), (4, state("2", &[]))]
        {
            watch.take(id.clone(), state, now);
        }
        let said: Vec<_> = watch.events().into_iter().map(|e| (e.at_ms, e.what, e.text)).collect();
        assert_eq!(
            said,
            [
                (2, "ejection", "web-1 ejected s-1 (outbound|80||s)".to_owned()),
                (4, "certificate", "certificate of web-1 was renewed".to_owned()),
                (4, "ejection", "web-1 takes s-1 back (outbound|80||s)".to_owned()),
            ]
        );
        assert_eq!(watch.states()[&id].certificate.as_ref().map(|c| c.serial.as_str()), Some("2"));
    }
}
