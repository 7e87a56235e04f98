//! What the watches tell, as batches for the hub.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use leno_config::LowerContext;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::kinds::KINDS;
use super::namespaces::Namespaces;
use super::object::{Reported, Seen};
use crate::serve::monitor::Readiness;
use crate::source::{Batch, Change, judge, key_of};
use crate::world::ObjectKey;

/// Objects that one batch may hold: the hub can push in between.
const AT_ONCE: usize = 1024;

/// What a watch tells.
#[derive(Debug)]
pub enum Told {
    /// The kind is served: its list is waited for.
    Expect,
    /// The list begins.
    Init,
    /// An object of the list.
    Listed(Box<Seen>),
    /// The list is complete: what was not in it is gone.
    InitDone,
    /// An object came or changed.
    Applied(Box<Seen>),
    /// An object went.
    Deleted {
        /// Namespace, empty for cluster-scoped kinds.
        namespace: String,
        /// Name.
        name: String,
    },
    /// The kind is not served any more.
    Gone,
}

/// News of a watch.
#[derive(Debug)]
pub enum News {
    /// Of the kind at this place in [`KINDS`].
    Kind(usize, Told),
    /// All definitions are known: no further kind is expected.
    DefinitionsListed,
}

/// What objects say of their own state, by object: for the leader, who writes it.
#[derive(Debug, Default)]
pub struct Reports(Mutex<BTreeMap<ObjectKey, Reported>>);

impl Reports {
    /// All of them.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Reported>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Known {
    keys: BTreeSet<ObjectKey>,
    /// Objects of the list that is under way.
    listing: Option<BTreeSet<ObjectKey>>,
    expected: bool,
    listed: bool,
}

/// Keeps track of what each watch has told.
#[derive(Debug)]
pub struct Feed {
    context: LowerContext,
    kinds: Vec<Known>,
    definitions_listed: bool,
    /// The namespaces.
    pub namespaces: Arc<Namespaces>,
    /// States that objects say of themselves.
    pub reports: Arc<Reports>,
    /// Key `values` of the `ConfigMap` `leno`, what the injector goes by; empty before it is seen, and kept when it goes.
    pub values: watch::Sender<String>,
}

impl Feed {
    /// One that has heard nothing.
    #[must_use]
    pub fn new(context: LowerContext) -> Self {
        let known = |built_in| Known { expected: built_in, ..Known::default() };
        Self {
            context,
            kinds: KINDS.iter().map(|k| known(k.built_in)).collect(),
            definitions_listed: false,
            namespaces: Arc::default(),
            reports: Arc::default(),
            values: watch::channel(String::new()).0,
        }
    }

    /// What is still waited for before the world is known; empty when it is.
    #[must_use]
    pub fn waits_for(&self) -> Vec<&'static str> {
        let kinds = self.kinds.iter().zip(&KINDS);
        let lists = kinds.filter(|(known, _)| known.expected && !known.listed).map(|(_, kind)| kind.kind);
        lists.chain((!self.definitions_listed).then_some("CustomResourceDefinition")).collect()
    }

    /// Takes news in; what it changes goes to `changes`.
    pub fn take(&mut self, news: News, changes: &mut Vec<Change>) {
        let (at, told) = match news {
            News::Kind(at, told) => (at, told),
            News::DefinitionsListed => {
                self.definitions_listed = true;
                return;
            }
        };
        match told {
            Told::Expect => self.kinds[at].expected = true,
            Told::Init => self.kinds[at].listing = Some(BTreeSet::new()),
            Told::Listed(seen) | Told::Applied(seen) => self.put(at, *seen, changes),
            Told::InitDone => {
                let known = &mut self.kinds[at];
                known.listed = true;
                let listed = known.listing.take().unwrap_or_default();
                let gone: Vec<_> = known.keys.difference(&listed).cloned().collect();
                gone.into_iter().for_each(|key| self.delete(at, key, changes));
            }
            Told::Deleted { namespace, name } => {
                let key = ObjectKey { group: KINDS[at].group.into(), kind: KINDS[at].kind.into(), namespace, name };
                self.delete(at, key, changes);
            }
            Told::Gone => {
                let known = std::mem::take(&mut self.kinds[at]);
                known.keys.into_iter().for_each(|key| self.delete(at, key, changes));
            }
        }
    }

    fn put(&mut self, at: usize, seen: Seen, changes: &mut Vec<Change>) {
        let Seen { object, reported } = seen;
        let key = key_of(&object);
        if KINDS[at].kind == "Namespace" {
            self.namespaces.set(&object);
        }
        if let Some(values) = object.json.pointer("/data/values").and_then(Value::as_str)
            && KINDS[at].kind == "ConfigMap"
        {
            let is_news = *self.values.borrow() != values;
            if is_news {
                self.values.send_replace(values.to_owned());
            }
        }
        let known = &mut self.kinds[at];
        if let Some(listing) = &mut known.listing {
            listing.insert(key.clone());
        }
        known.keys.insert(key.clone());
        if let Some(reported) = reported {
            self.reports.lock().insert(key, reported);
        }
        let mut change = judge(&object, &self.context);
        // Of the cluster's own kinds the cluster is the judge; what the mesh has no use for is no news.
        if let Some(Change::Accepted { status, .. }) = &mut change
            && KINDS[at].built_in
            && KINDS[at].kind != "ConfigMap"
        {
            status.messages.clear();
        }
        changes.extend(change);
    }

    fn delete(&mut self, at: usize, key: ObjectKey, changes: &mut Vec<Change>) {
        if KINDS[at].kind == "Namespace" {
            self.namespaces.remove(&key.name);
        }
        self.kinds[at].keys.remove(&key);
        self.reports.lock().remove(&key);
        changes.push(Change::Deleted { key });
    }

    /// Gathers news until the world is known; `None` when the watches end before. Says in `ready` what it waits for.
    pub async fn first(&mut self, news: &mut mpsc::Receiver<News>, ready: &Readiness) -> Option<Batch> {
        let mut batch = Batch { at: Instant::now(), changes: Vec::new(), faults: Vec::new() };
        loop {
            let waits_for = self.waits_for();
            if waits_for.is_empty() {
                return Some(batch);
            }
            ready.wait_for(format!("the lists of {}", waits_for.join(", ")));
            let one = news.recv().await?;
            self.take(one, &mut batch.changes);
            while batch.changes.len() % AT_ONCE != 0
                && let Ok(more) = news.try_recv()
            {
                self.take(more, &mut batch.changes);
            }
        }
    }

    /// Sends on what is told from now on, together what comes together, until either side ends.
    pub async fn follow(mut self, mut news: mpsc::Receiver<News>, batches: mpsc::Sender<Batch>) {
        while let Some(one) = news.recv().await {
            let mut batch = Batch { at: Instant::now(), changes: Vec::new(), faults: Vec::new() };
            self.take(one, &mut batch.changes);
            while batch.changes.len() < AT_ONCE
                && let Ok(more) = news.try_recv()
            {
                self.take(more, &mut batch.changes);
            }
            if !batch.is_empty() && batches.send(batch).await.is_err() {
                return;
            }
        }
    }
}
