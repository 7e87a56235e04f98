//! Who wants to hear of which resource, and a mailbox for each: a change wakes those whom it concerns and nobody else.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use leno_xds::wire::{ResourceKind, ResourceName};
use tokio::sync::Notify;

#[cfg(test)]
mod tests;

/// Names that may wait in one mailbox; its owner compares everything instead of more.
const MOST: usize = 4096;

/// All listeners, by what they want.
#[derive(Debug, Default)]
pub struct Interest {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    mailboxes: HashMap<u32, Arc<Mailbox>>,
    /// Listeners by resource, in the order of their numbers.
    wanted: [HashMap<Arc<str>, Vec<u32>>; ResourceKind::ALL.len()],
    next: u32,
}

#[derive(Debug, Default)]
struct Mailbox {
    news: Mutex<Option<News>>,
    bell: Notify,
}

/// What has changed since a listener last heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Which of the resources that it wants.
    pub names: BTreeSet<ResourceName>,
    /// There were too many: it has to compare everything.
    pub everything: bool,
    /// When the source learned of the first of them.
    pub at: Instant,
}

impl News {
    const fn since(at: Instant) -> Self {
        Self { names: BTreeSet::new(), everything: false, at }
    }
}

impl Interest {
    /// A listener that wants nothing yet.
    pub fn enter(self: &Arc<Self>) -> Listener {
        let mailbox = Arc::<Mailbox>::default();
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.mailboxes.insert(id, Arc::clone(&mailbox));
        Listener { interest: Arc::clone(self), id, mailbox }
    }

    /// Tells all who want any of `names`, which changed when the source said so at `at`. Returns how many were told.
    pub fn tell(&self, names: &[ResourceName], at: Instant) -> usize {
        let state = self.lock();
        if names.len() > MOST {
            // To find out who wants which would take longer than for each to compare.
            state.mailboxes.values().for_each(|mailbox| mailbox.everything(at));
            return state.mailboxes.len();
        }
        let mut told = BTreeSet::new();
        for name in names {
            for id in state.wanted[name.kind.index()].get(&name.key).into_iter().flatten() {
                let Some(mailbox) = state.mailboxes.get(id) else { continue };
                mailbox.put(name, at);
                told.insert(*id);
            }
        }
        // Whoever is woken finds all of them.
        for id in &told {
            if let Some(mailbox) = state.mailboxes.get(id) {
                mailbox.bell.notify_one();
            }
        }
        told.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    fn put(&self, name: &ResourceName, at: Instant) {
        let mut news = self.lock();
        let news = news.get_or_insert_with(|| News::since(at));
        if news.everything {
            return;
        }
        news.names.insert(name.clone());
        if news.names.len() > MOST {
            (news.names, news.everything) = (BTreeSet::new(), true);
        }
    }

    fn everything(&self, at: Instant) {
        let mut news = self.lock();
        let news = news.get_or_insert_with(|| News::since(at));
        (news.names, news.everything) = (BTreeSet::new(), true);
        self.bell.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Option<News>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who listens. What it wants it has to give up with [`Listener::forget`] before it goes.
#[derive(Debug)]
pub struct Listener {
    interest: Arc<Interest>,
    id: u32,
    mailbox: Arc<Mailbox>,
}

impl Listener {
    /// Hears of these from now on. Want first and read the snapshot then: nothing is missed. Returns the keys, in the same
    /// order, as all share them who want them.
    pub fn want<'n>(&self, kind: ResourceKind, keys: impl IntoIterator<Item = &'n str>) -> Vec<Arc<str>> {
        let mut state = self.interest.lock();
        let wanted = &mut state.wanted[kind.index()];
        let mut shared = Vec::new();
        for key in keys {
            let held = wanted.get_key_value(key).map(|(held, _)| Arc::clone(held));
            let key = held.unwrap_or_else(|| key.into());
            let listeners = wanted.entry(Arc::clone(&key)).or_default();
            if let Err(at) = listeners.binary_search(&self.id) {
                listeners.insert(at, self.id);
            }
            shared.push(key);
        }
        shared
    }

    /// Hears of these no more.
    pub fn forget<'n>(&self, kind: ResourceKind, keys: impl IntoIterator<Item = &'n str>) {
        let mut state = self.interest.lock();
        let wanted = &mut state.wanted[kind.index()];
        for key in keys {
            let Some(listeners) = wanted.get_mut(key) else { continue };
            if let Ok(at) = listeners.binary_search(&self.id) {
                listeners.remove(at);
            }
            if listeners.is_empty() {
                wanted.remove(key);
            }
        }
    }

    /// What has changed since the last call; waits until something has. Dropping the future loses nothing.
    pub async fn news(&self) -> News {
        loop {
            if let Some(news) = self.mailbox.lock().take() {
                return news;
            }
            self.mailbox.bell.notified().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.interest.lock().mailboxes.remove(&self.id);
    }
}
