//! One service as this pod sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use leno_core::id::ServiceId;
use leno_core::merge::{self, Viewer};
use leno_core::model::{DestinationRule, Endpoints, RouteTable, Routes, Service};
use tokio::sync::watch;

/// One consistent state of a service, already merged for this pod. Replaced whole, never changed.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// Grows with every change of this service.
    pub generation: u64,
    /// The service.
    pub service: Arc<Service>,
    /// Its endpoints; none while the control plane knows none.
    pub endpoints: Arc<Endpoints>,
    /// The route table that this pod sees, if any.
    pub routes: Option<Arc<RouteTable>>,
    /// The destination rule that holds for this pod, if any.
    pub rule: Option<Arc<DestinationRule>>,
}

impl ServiceView {
    /// Selects what `viewer` sees. Parts that are equal to those of `previous` keep their identity (`Arc::ptr_eq`), so
    /// that a change of endpoints alone makes nobody rebuild what depends on routes.
    pub(super) fn merge(
        service: &Arc<Service>,
        endpoints: Option<&Arc<Endpoints>>,
        routes: Option<&Routes>,
        viewer: &Viewer,
        previous: Option<&Self>,
    ) -> Self {
        let endpoints = endpoints
            .map_or_else(|| Arc::new(Endpoints { service: service.id.clone(), endpoints: Vec::new() }), Arc::clone);
        let table = routes.and_then(|r| merge::route_table(r, viewer));
        let rule = merge::destination_rule(service, viewer);
        Self {
            generation: previous.map_or(1, |p| p.generation + 1),
            service: Arc::clone(service),
            endpoints,
            routes: keep(table, previous.and_then(|p| p.routes.as_ref())),
            rule: keep(rule, previous.and_then(|p| p.rule.as_ref())),
        }
    }
}

fn keep<T: Clone + PartialEq>(new: Option<&T>, old: Option<&Arc<T>>) -> Option<Arc<T>> {
    match (new, old) {
        (Some(new), Some(old)) if **old == *new => Some(Arc::clone(old)),
        (new, _) => new.map(|n| Arc::new(n.clone())),
    }
}

/// A service that is kept up to date as long as somebody uses it.
#[derive(Debug)]
pub struct ServiceHandle {
    id: ServiceId,
    view: ArcSwap<ServiceView>,
    /// That of `view`, stored after it: who has built something on a view need not load it to see that it is the last.
    generation: AtomicU64,
    changes: watch::Sender<u64>,
    closed: AtomicBool,
    used: AtomicU64,
    tick: Arc<AtomicU64>,
}

impl ServiceHandle {
    pub(super) fn new(id: ServiceId, view: ServiceView, tick: Arc<AtomicU64>) -> Self {
        let generation = view.generation;
        Self {
            id,
            view: ArcSwap::from_pointee(view),
            generation: AtomicU64::new(generation),
            changes: watch::Sender::new(generation),
            closed: AtomicBool::new(false),
            used: AtomicU64::new(tick.load(Ordering::Relaxed)),
            tick,
        }
    }

    /// Which service.
    #[must_use]
    pub const fn id(&self) -> &ServiceId {
        &self.id
    }

    /// Its state now. Neither locks nor counts references: do not hold the guard across an await, take
    /// [`ServiceHandle::current`] for that. Counts as use.
    #[must_use]
    pub fn view(&self) -> Guard<Arc<ServiceView>> {
        self.touch();
        self.view.load()
    }

    /// The generation of its state now. Counts as use.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.touch();
        self.generation.load(Ordering::Acquire)
    }

    /// Its state now, to keep. Counts as use.
    #[must_use]
    pub fn current(&self) -> Arc<ServiceView> {
        self.touch();
        self.view.load_full()
    }

    /// Resolves at the next change after the call, or when the handle is closed.
    pub async fn changed(&self) {
        let mut changes = self.changes.subscribe();
        if !self.is_closed() {
            let _ = changes.changed().await;
        }
    }

    /// A receiver of generations, for a task that must not miss a change between two waits.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether it is no longer kept up to date: the service is gone, or nobody used it for five minutes. Look it up again
    /// and drop what was built on it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Its state now, without counting as use.
    pub(super) fn current_unused(&self) -> Arc<ServiceView> {
        self.view.load_full()
    }

    pub(super) fn replace(&self, view: ServiceView) {
        let generation = view.generation;
        self.view.store(Arc::new(view));
        self.generation.store(generation, Ordering::Release);
        self.changes.send_replace(generation);
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.changes.send_modify(|n| *n += 1);
    }

    pub(super) fn touch(&self) {
        self.used.store(self.tick.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}
