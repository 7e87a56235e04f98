//! How series are found, and forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::telemetry::key::{ByAddress, Kept, Key};

/// An idle series is forgotten after this long; Linkerd's choice.
pub(in crate::telemetry) const IDLE: Duration = Duration::from_secs(600);
/// Series per family of metrics, and flows per kind of traffic.
pub(in crate::telemetry) const BUDGET: usize = 2000;
/// Keys kept before all are dropped and found again: addresses change with every configuration change and, for
/// identities, with every connection.
const KEYS: usize = 2 * BUDGET;
/// When the budget is used up, idle series are looked for at most this often.
const SWEEP: Duration = Duration::from_secs(10);

/// Flows and metrics of one kind of traffic.
#[derive(Debug)]
pub(super) struct Table<L, F, M> {
    by_key: HashMap<Key, (Arc<F>, Arc<M>, Kept), ByAddress>,
    flows: HashMap<L, Arc<F>>,
    metrics: HashMap<Arc<str>, Arc<M>>,
    swept: Instant,
}

impl<L: Eq + Hash + Clone, F: Series, M: Series> Table<L, F, M> {
    pub(super) fn new(now: Instant) -> Self {
        Self { by_key: HashMap::default(), flows: HashMap::new(), metrics: HashMap::new(), swept: now }
    }

    pub(super) fn get(&self, key: &Key) -> Option<(Arc<F>, Arc<M>)> {
        self.by_key.get(key).map(|(flow, metric, _)| (Arc::clone(flow), Arc::clone(metric)))
    }

    pub(super) fn bind(&mut self, key: Key, kept: Kept, flow: Arc<F>, metric: Arc<M>) -> (Arc<F>, Arc<M>) {
        if self.by_key.len() >= KEYS {
            self.by_key.clear();
        }
        self.by_key.insert(key, (Arc::clone(&flow), Arc::clone(&metric), kept));
        (flow, metric)
    }

    /// The metric with these labels, or the labels to make it with; and whether the budget forced other labels.
    pub(super) fn metric(
        &mut self,
        text: String,
        at: u64,
        now: Instant,
        overflow: impl FnOnce() -> String,
    ) -> (Result<Arc<M>, Arc<str>>, bool) {
        if let Some(metric) = self.metrics.get(text.as_str()) {
            return (Ok(Arc::clone(metric)), false);
        }
        if (self.metrics.len() >= BUDGET || self.flows.len() >= BUDGET)
            && now.saturating_duration_since(self.swept) >= SWEEP
        {
            self.sweep(at, now);
        }
        let full = self.metrics.len() >= BUDGET;
        let text: Arc<str> = if full { overflow().into() } else { text.into() };
        (self.metrics.get(&text).cloned().ok_or(text), full)
    }

    pub(super) fn add_metric(&mut self, text: Arc<str>, make: impl FnOnce(Arc<str>) -> M) -> Arc<M> {
        let metric = Arc::new(make(Arc::clone(&text)));
        self.metrics.insert(text, Arc::clone(&metric));
        metric
    }

    pub(super) fn flow(&mut self, labels: L, overflow: impl FnOnce() -> L, make: impl FnOnce() -> F) -> (Arc<F>, bool) {
        if let Some(flow) = self.flows.get(&labels) {
            return (Arc::clone(flow), false);
        }
        let full = self.flows.len() >= BUDGET;
        let labels = if full { overflow() } else { labels };
        (Arc::clone(self.flows.entry(labels).or_insert_with(|| Arc::new(make()))), full)
    }

    pub(super) fn metrics(&mut self, at: u64, now: Instant) -> Vec<Arc<M>> {
        self.sweep(at, now);
        let mut metrics: Vec<_> = self.metrics.iter().collect();
        metrics.sort_unstable_by(|a, b| a.0.cmp(b.0));
        metrics.into_iter().map(|(_, metric)| Arc::clone(metric)).collect()
    }

    pub(super) fn flows(&mut self, at: u64, now: Instant) -> Vec<(L, Arc<F>)> {
        self.sweep(at, now);
        self.flows.iter().map(|(labels, flow)| (labels.clone(), Arc::clone(flow))).collect()
    }

    /// Forgets how keys find their series, and the series.
    pub(super) fn forget_metrics(&mut self) {
        self.by_key.clear();
        self.metrics.clear();
    }

    /// Forgets what is idle.
    fn sweep(&mut self, at: u64, now: Instant) {
        self.swept = now;
        self.flows.retain(|_, flow| !flow.is_idle(at));
        self.metrics.retain(|_, metric| !metric.is_idle(at));
        // A key whose flow or metric is gone must not keep counting into it.
        self.by_key.retain(|_, (flow, metric, _)| !flow.is_idle(at) && !metric.is_idle(at));
    }
}

/// Something that is forgotten when it is idle.
pub(super) trait Series {
    fn touched(&self) -> &Touched;

    /// Connections under way.
    fn live(&self) -> u64 {
        0
    }

    fn is_idle(&self, at: u64) -> bool {
        let last = self.touched().0.load(Ordering::Relaxed);
        self.live() == 0 && u128::from(at.saturating_sub(last)) >= IDLE.as_millis()
    }
}

/// When something was last used, in milliseconds since the registry began.
#[derive(Debug, Default)]
pub(super) struct Touched(AtomicU64);

impl Touched {
    pub(super) fn touch(&self, at: u64) {
        self.0.store(at, Ordering::Relaxed);
    }
}
