//! Where requests and connections go: the endpoints behind one backend, and everything remembered about them.
//!
//! A [`Cluster`] stands for one service, subset and port (or one fixed address). Its [`EndpointSet`] is derived once per
//! change of the service; an [`Endpoint`] keeps its connections, latency and health as long as its address stays.

pub mod admission;
pub mod endpoint;
pub mod http_pool;
pub mod mux;
mod registry;
mod set;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use leno_core::Reason;
use leno_core::decide::balance::RoundRobin;
use leno_core::decide::outlier::{Outcome, OutlierDetector};
use leno_core::decide::retry::RetryBudget;
use leno_core::id::ServiceId;
use leno_core::model::traffic::OutlierDetection;
use tokio::time::Instant;

use crate::discovery::ServiceHandle;
use crate::http::client::{Dispatch, SendError};
use crate::http::upstream::Answer;
use crate::telemetry::ServiceRef;
use crate::tls::Dialer;

pub use admission::{Admission, Admitted, Limits, Permit};
pub use endpoint::{Endpoint, Wire};
pub use registry::Clusters;
pub use set::EndpointSet;

/// Which endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClusterKey {
    /// Those of a service, by its port, and of a subset of it.
    Service {
        /// The service.
        id: ServiceId,
        /// The subset.
        subset: Option<String>,
        /// The service's port.
        port: u16,
    },
    /// One pod that the application dialled itself.
    Pod(SocketAddr),
    /// An address outside of the mesh.
    Outside(SocketAddr),
    /// The application of this pod.
    App(SocketAddr),
}

/// The endpoints behind one backend.
#[derive(Debug)]
pub struct Cluster {
    /// Which.
    pub key: ClusterKey,
    /// Istio's name: `outbound|PORT|SUBSET|HOST`.
    pub name: Arc<str>,
    /// The service as metrics name it.
    pub service: Option<Arc<ServiceRef>>,
    /// Limits of the circuit breaker.
    pub admission: Admission,
    handle: Option<Arc<ServiceHandle>>,
    dialer: Dialer,
    set: ArcSwap<EndpointSet>,
    /// Serialises rebuilds of `set`.
    rebuild: Mutex<()>,
    choice: Mutex<Choice>,
    budget: Mutex<RetryBudget>,
    epoch: Instant,
    /// Milliseconds after `epoch` when it was used last.
    used: AtomicU64,
}

/// What a choice between endpoints goes by, beside what each endpoint knows of itself.
#[derive(Debug)]
struct Choice {
    outlier: Option<OutlierDetector<SocketAddr>>,
    round: RoundRobin,
}

impl Cluster {
    /// The endpoints as of now.
    pub fn set(&self) -> arc_swap::Guard<Arc<EndpointSet>> {
        let set = self.set.load();
        let Some(handle) = &self.handle else { return set };
        if set.generation == handle.generation() {
            return set;
        }
        drop(set);
        self.refresh(handle);
        self.set.load()
    }

    /// The same, to keep.
    #[must_use]
    pub fn current(&self) -> Arc<EndpointSet> {
        Arc::clone(&self.set())
    }

    /// An endpoint for the next try out of `set`, other than those in `tried` where there is another. `hash` is what a consistent
    /// hash is taken of.
    ///
    /// # Errors
    /// Where the service has no such port or subset, or no endpoint takes requests.
    pub fn pick(
        &self,
        set: &EndpointSet,
        tried: &[SocketAddr],
        hash: Option<u64>,
        now: Instant,
    ) -> Result<Arc<Endpoint>, Reason> {
        if !set.exists {
            return Err(Reason::ClusterNotFound);
        }
        let now = self.since(now);
        let picked = {
            let mut choice = lock(&self.choice);
            let Choice { outlier, round } = &mut *choice;
            let healthy =
                |addr: &SocketAddr| outlier.as_ref().is_none_or(|o| !o.is_ejected(addr, now) || o.in_panic(now));
            let usable = |i: usize| set.endpoints.get(i).is_some_and(|e| healthy(&e.addr));
            let fresh = |i: usize| usable(i) && set.endpoints.get(i).is_some_and(|e| !tried.contains(&e.addr));
            let first = if tried.is_empty() { None } else { set.choose(round, hash, now, fresh) };
            first.or_else(|| set.choose(round, hash, now, usable))
        };
        picked.and_then(|i| set.endpoints.get(i).map(Arc::clone)).ok_or(Reason::NoHealthyUpstream)
    }

    /// The endpoint at `addr`, or at least on its pod, where the application chose it itself.
    #[must_use]
    pub fn at(&self, addr: SocketAddr) -> Option<Arc<Endpoint>> {
        let set = self.set();
        let exact = set.all.iter().find(|e| e.addr == addr);
        exact.or_else(|| set.all.iter().find(|e| e.addr.ip() == addr.ip())).map(Arc::clone)
    }

    /// Notes how a try ended, for the endpoint's latency and health.
    pub fn note(&self, endpoint: &Endpoint, outcome: Outcome, took: Option<Duration>, now: Instant) {
        let now = self.since(now);
        if let Some(took) = took {
            endpoint.record(took, now);
        }
        let mut choice = lock(&self.choice);
        let Some(detector) = choice.outlier.as_mut() else { return };
        if let Some(ejected) = detector.record(&endpoint.addr, outcome, now) {
            let seconds = ejected.until.saturating_sub(now).as_secs_f32();
            tracing::info!(cluster = %self.name, endpoint = %endpoint.addr, times = ejected.times,
                "ejected for {seconds:.1} s after failing too often in a row");
        }
    }

    /// Whether the endpoint is out for failing too often.
    #[must_use]
    pub fn is_ejected(&self, addr: SocketAddr) -> bool {
        lock(&self.choice).outlier.as_ref().is_some_and(|o| o.is_ejected(&addr, self.now()))
    }

    /// Counts a request towards the retries that it allows.
    pub fn deposit(&self, now: Instant) {
        let now = self.since(now);
        self.used.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        lock(&self.budget).deposit(now);
    }

    /// Takes a retry out of the budget.
    pub fn withdraw(&self) -> bool {
        lock(&self.budget).withdraw(self.now())
    }

    /// Sends a request to one of its endpoints, within its limits.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        &self,
        endpoint: &Arc<Endpoint>,
        request: &mut Dispatch,
        wire: Wire,
        limits: &Limits,
    ) -> Result<Answer, SendError> {
        endpoint.send(&self.dialer, request, wire, limits).await
    }

    /// Makes connections to endpoints.
    #[must_use]
    pub const fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Whether its service is no longer followed: look it up again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.handle.as_ref().is_some_and(|h| h.is_closed())
    }

    /// How long it has not been used.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.now().saturating_sub(Duration::from_millis(self.used.load(Ordering::Relaxed)))
    }

    /// Ends what has been idle for too long, and lets ejected endpoints come back.
    pub fn sweep(&self) {
        if let Some(detector) = lock(&self.choice).outlier.as_mut() {
            detector.sweep(self.now());
        }
        for endpoint in &self.set.load().all {
            endpoint.sweep(self.set.load().limits.http_idle);
        }
    }

    /// Time since the cluster was made: the clock of all its parts.
    fn now(&self) -> Duration {
        self.since(Instant::now())
    }

    fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    fn refresh(&self, handle: &ServiceHandle) {
        let _rebuilding = lock(&self.rebuild);
        let view = handle.current();
        let old = self.set.load_full();
        if old.generation == view.generation {
            return;
        }
        let new = EndpointSet::of_service(&self.key, &view, &old, self.dialer.own(), self.now());
        self.admission.configure(&new.limits);
        self.configure_outlier(new.outlier.as_ref(), &new);
        self.set.store(Arc::new(new));
    }

    fn configure_outlier(&self, config: Option<&OutlierDetection>, set: &EndpointSet) {
        let slot = &mut lock(&self.choice).outlier;
        match (config, slot.as_mut()) {
            (None, _) => *slot = None,
            (Some(config), Some(detector)) => detector.configure(config.clone()),
            (Some(config), None) => *slot = Some(OutlierDetector::new(config.clone(), self.now())),
        }
        if let Some(detector) = slot.as_mut() {
            detector.set_endpoints(set.endpoints.iter().map(|e| e.addr));
        }
    }
}

/// A panic while it was held cannot leave these half-changed in a way that matters: they are counters and lists.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
