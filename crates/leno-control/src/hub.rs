//! The one writer: takes batches of objects in, keeps the world, and pushes what changed.
//!
//! Everyone else reads: sessions read the snapshot and hear which names changed, the monitoring server reads the world
//! and the objects' states.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use leno_xds::snapshot::Snapshot;
use leno_xds::wire::{ResourceKind, ResourceName};
use tokio::sync::{broadcast, mpsc};

use crate::build::Refresher;
use crate::history::History;
use crate::metrics::{Metrics, Trigger};
use crate::source::{Batch, Change, ObjectState, ObjectStatus};
use crate::world::{ObjectKey, World};

#[cfg(test)]
mod tests;

/// A change that is not about endpoints waits so long for others to come, so that objects that are applied together
/// take effect together.
const QUIET: Duration = Duration::from_millis(3);
/// But not longer than this.
const PATIENCE: Duration = Duration::from_millis(10);
/// Pushes that a slow session may lag behind before it compares everything.
const PUSHES: usize = 256;

/// Names that changed.
#[derive(Debug)]
pub struct Push {
    /// Which.
    pub names: Vec<ResourceName>,
    /// When the source learned of it.
    pub at: Instant,
}

/// What is in force, for all who read.
#[derive(Debug)]
pub struct Hub {
    snapshot: ArcSwap<Snapshot>,
    pushes: broadcast::Sender<Arc<Push>>,
    state: RwLock<State>,
    /// Counters.
    pub metrics: Metrics,
    /// What changed lately.
    pub history: History,
}

/// What the writer changes and others read.
#[derive(Debug)]
pub struct State {
    /// The mesh.
    pub world: World,
    /// What became of each object.
    pub objects: BTreeMap<ObjectKey, ObjectStatus>,
    /// Problems of files that no object can be named for.
    pub faults: BTreeMap<String, Vec<String>>,
    refresher: Refresher,
}

impl State {
    /// Resources that could not be built, and why.
    #[must_use]
    pub fn unbuilt(&self) -> &BTreeMap<ResourceName, String> {
        self.refresher.faults()
    }
}

impl Hub {
    /// A hub with what the source found first in force.
    #[must_use]
    pub fn new(trust_domain: &str, first: Batch) -> Arc<Self> {
        let hub = Self::empty(World::new(trust_domain));
        hub.load(first);
        hub
    }

    /// A hub that waits for [`Hub::load`].
    #[must_use]
    pub fn empty(world: World) -> Arc<Self> {
        let state = State { world, objects: BTreeMap::new(), faults: BTreeMap::new(), refresher: Refresher::default() };
        Arc::new(Self {
            snapshot: ArcSwap::default(),
            pushes: broadcast::channel(PUSHES).0,
            state: RwLock::new(state),
            metrics: Metrics::default(),
            history: History::default(),
        })
    }

    /// Puts what the source found first in force, before anything is served.
    pub fn load(&self, first: Batch) {
        let start = Instant::now();
        self.apply(first);
        self.push(start);
        self.history.clear();
        let snapshot = self.snapshot();
        let resources: usize = ResourceKind::ALL.into_iter().map(|kind| snapshot.len(kind)).sum();
        tracing::info!(objects = self.state().objects.len(), resources, took = ?start.elapsed(), "configuration in force");
    }

    /// All resources as they are now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Hears of every push from now on. Subscribe first and read the snapshot then: nothing is missed.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Push>> {
        self.pushes.subscribe()
    }

    /// Reads the state; do not hold it across an await.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        // The writer's own bugs must not take the readers down with it.
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes batches until the source ends.
    pub async fn run(self: Arc<Self>, mut batches: mpsc::Receiver<Batch>) {
        while let Some(batch) = batches.recv().await {
            let at = batch.at;
            let start = tokio::time::Instant::now();
            let mut urgent = self.apply(batch);
            while !urgent {
                let left = PATIENCE.saturating_sub(start.elapsed());
                match tokio::time::timeout(QUIET.min(left), batches.recv()).await {
                    Ok(Some(more)) => urgent = self.apply(more),
                    Ok(None) | Err(_) => break,
                }
            }
            self.push(at);
        }
    }

    /// Puts a batch into the world. True: somebody waits for it (endpoints).
    fn apply(&self, batch: Batch) -> bool {
        let mut state = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut urgent = false;
        for change in batch.changes {
            urgent |= self.apply_one(&mut state, change);
        }
        for (file, problems) in batch.faults {
            for problem in &problems {
                tracing::error!("{problem}");
            }
            if problems.is_empty() {
                state.faults.remove(&file);
            } else {
                state.faults.insert(file, problems);
            }
        }
        urgent
    }

    fn apply_one(&self, state: &mut State, change: Change) -> bool {
        match change {
            Change::Accepted { key, pieces, status } => {
                let event = if state.objects.contains_key(&key) { "update" } else { "add" };
                let changed = state.world.set(&key, pieces);
                if changed {
                    self.metrics.config_event(&key.kind, event);
                    self.history.note(&key, if event == "add" { "created" } else { "changed" }, "");
                }
                let said = state.objects.get(&key) == Some(&status);
                for message in status.messages.iter().filter(|_| !said) {
                    tracing::warn!("{message}");
                }
                let urgent = changed && URGENT.contains(&key.kind.as_str());
                state.objects.insert(key, status);
                urgent
            }
            // Seen again for a part that is none of ours, such as its own status.
            Change::Refused { key, status } if state.objects.get(&key) == Some(&status) => false,
            Change::Refused { key, status } => {
                let last_good = state.world.has(&key);
                let kept = if last_good { "; its last good version stays in force" } else { "" };
                for message in &status.messages {
                    tracing::error!("{message}{kept}");
                }
                self.metrics.config_event(&key.kind, "refuse");
                self.history.note(&key, "refused", &status.messages.join("\n"));
                debug_assert_eq!(status.state, ObjectState::Refused);
                state.objects.insert(key, status);
                false
            }
            Change::Deleted { key } => {
                if state.objects.remove(&key).is_some() {
                    self.metrics.config_event(&key.kind, "delete");
                    self.history.note(&key, "deleted", "");
                }
                state.world.remove(&key) && URGENT.contains(&key.kind.as_str())
            }
        }
    }

    /// Builds what was touched and tells the sessions.
    fn push(&self, at: Instant) {
        let names = {
            let mut guard = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            let state = &mut *guard;
            let touched = state.world.take_touched();
            if touched.is_empty() {
                return;
            }
            let changes = state.refresher.refresh(&state.world, touched);
            self.metrics.set_services(state.world.services().len());
            let failed = u64::try_from(state.refresher.faults().len()).unwrap_or(u64::MAX);
            self.metrics.internal_errors.fetch_add(failed, Ordering::Relaxed);
            if changes.names.is_empty() {
                return;
            }
            self.snapshot.store(Arc::new(state.refresher.snapshot().clone()));
            changes.names
        };
        self.metrics.triggered(Trigger::of(names.iter().map(|n| n.kind)));
        tracing::debug!(resources = names.len(), took = ?at.elapsed(), "pushing");
        // Nobody connected: nobody to tell.
        let _ = self.pushes.send(Arc::new(Push { names, at }));
    }
}

/// Kinds that somebody waits for: the mesh must not send requests to a pod that is going away.
const URGENT: [&str; 2] = ["EndpointSlice", "Pod"];
