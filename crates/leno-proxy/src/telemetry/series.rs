//! Every series that is alive: found by key, made on first use, forgotten when idle, and never more than the budget.
//!
//! A request counts in a *flow* (what the live window shows: which pod, which route, which reason) and in a *metric*
//! (what Prometheus scrapes: Istio's labels). Many flows share a metric, and either may be forgotten before the other.

use std::collections::HashMap;
use std::hash::{Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use leno_core::Reason;
use leno_core::samples::{self, RequestSample, TcpSample};
use leno_core::sketch::Sketch;
use leno_core::trace::{SpanId, TraceId};

use super::access_log::Connection;
use super::access_log::view::View;
use super::changes::{self, Tags};
use super::histogram::Histogram;
use super::key::{ByAddress, Kept, Key};
use super::plan::MetricsPlan;
use super::record::{ReqProtocol, RequestRecord, SpanRef, TcpLabels};
use super::{flow, labels};

/// An idle series is forgotten after this long; Linkerd's choice.
pub(super) const IDLE: Duration = Duration::from_secs(600);
/// Series per family of metrics, and flows per kind of traffic.
pub(super) const BUDGET: usize = 2000;
/// Keys kept before all are dropped and found again: addresses change with every configuration change and, for
/// identities, with every connection.
const KEYS: usize = 2 * BUDGET;
/// When the budget is used up, idle series are looked for at most this often.
const SWEEP: Duration = Duration::from_secs(10);

/// All series.
#[derive(Debug)]
pub(super) struct Registry {
    started: Instant,
    requests: Mutex<RequestTable>,
    tcp: Mutex<TcpTable>,
    overflow: AtomicU64,
    random: RandomState,
}

impl Registry {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            requests: Mutex::new(Table::new(now)),
            tcp: Mutex::new(Table::new(now)),
            overflow: AtomicU64::new(0),
            random: RandomState::new(),
        }
    }

    /// Counts one request. `changes` is what the Telemetry API changes of metrics, if anything.
    pub(super) fn request(&self, record: &RequestRecord, changes: Option<&MetricsPlan>, now: Instant) {
        let tags = changes.map(|plan| Tags::of(plan, &View::of_request(record), &self.random));
        let (flow, metric) = self.bound_request(record, tags.as_ref(), now);
        {
            let mut values = lock(&flow.values);
            values.count += 1;
            values.tries += u64::from(record.attempts);
            values.retries += u64::from(record.attempts.saturating_sub(1));
            values.sketch.record(record.duration);
        }
        let mut values = lock(&metric.values);
        let millis = record.duration.as_secs_f64() * 1000.0;
        values.duration.observe(millis);
        if let Some(span) = record.span.as_deref().filter(|s| s.sampled) {
            values.exemplar(span, millis, record.start + record.duration);
        }
        values.request_bytes.observe(record.request_bytes as f64);
        values.response_bytes.observe(record.response_bytes as f64);
        values.request_messages += record.request_messages;
        values.response_messages += record.response_messages;
    }

    /// Counts a connection as open.
    pub(super) fn tcp_open(&self, labels: &TcpLabels, changes: Option<&MetricsPlan>, now: Instant) -> TcpPair {
        let pair = self.bound_tcp(labels, Reason::Closed, changes, now);
        for counts in [&pair.0.counts, &pair.1.counts] {
            counts.opened.fetch_add(1, Ordering::Relaxed);
        }
        pair.1.live.fetch_add(1, Ordering::Relaxed);
        pair.0.live.fetch_add(1, Ordering::Relaxed);
        pair
    }

    /// Counts its end, in the metric of its response flag.
    pub(super) fn tcp_close(
        &self,
        pair: &TcpPair,
        labels: &TcpLabels,
        reason: Reason,
        changes: Option<&MetricsPlan>,
        now: Instant,
    ) {
        let at = self.since_start(now);
        pair.0.counts.closed.fetch_add(1, Ordering::Relaxed);
        pair.0.live.fetch_sub(1, Ordering::Relaxed);
        pair.1.live.fetch_sub(1, Ordering::Relaxed);
        pair.0.touched.touch(at);
        pair.1.touched.touch(at);
        if reason.flag() == Reason::Closed.flag() {
            pair.1.counts.closed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.bound_tcp(labels, reason, changes, now).1.counts.closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The HTTP families by label set, without idle ones.
    pub(super) fn request_metrics(&self, now: Instant) -> Vec<(Arc<RequestMetric>, RequestValues)> {
        let metrics = lock(&self.requests).metrics(self.since_start(now), now);
        metrics.into_iter().map(|m| (Arc::clone(&m), lock(&m.values).clone())).collect()
    }

    /// The TCP families by label set, without idle ones.
    pub(super) fn tcp_metrics(&self, now: Instant) -> Vec<Arc<TcpMetric>> {
        lock(&self.tcp).metrics(self.since_start(now), now)
    }

    /// Everything for the live window, without what is idle.
    pub(super) fn samples(&self, now: Instant) -> (Vec<RequestSample>, Vec<TcpSample>) {
        let at = self.since_start(now);
        let requests = lock(&self.requests).flows(at, now);
        let tcp = lock(&self.tcp).flows(at, now);
        let requests = requests.into_iter().map(|(labels, flow)| flow.sample(labels)).collect();
        (requests, tcp.into_iter().map(|(labels, flow)| flow.sample(labels)).collect())
    }

    /// Label sets that found the budget used up.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow.load(Ordering::Relaxed)
    }

    fn since_start(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// Forgets how requests find their series, and the series: the Telemetry API has changed their labels.
    pub(super) fn forget_metrics(&self) {
        lock(&self.requests).forget_metrics();
        lock(&self.tcp).forget_metrics();
    }

    fn bound_request(
        &self,
        record: &RequestRecord,
        tags: Option<&Tags<'_>>,
        now: Instant,
    ) -> (Arc<RequestFlow>, Arc<RequestMetric>) {
        let key = Key::of_request(record, tags.map_or(0, |t| t.hash));
        let at = self.since_start(now);
        let mut table = lock(&self.requests);
        let pair = table.get(&key).unwrap_or_else(|| self.bind_request(&mut table, key, record, tags, now));
        // Under the lock, so that no sweep comes in between.
        pair.0.touched.touch(at);
        pair.1.touched.touch(at);
        pair
    }

    fn bind_request(
        &self,
        table: &mut RequestTable,
        key: Key,
        record: &RequestRecord,
        tags: Option<&Tags<'_>>,
        now: Instant,
    ) -> (Arc<RequestFlow>, Arc<RequestMetric>) {
        let at = self.since_start(now);
        let protocol = record.protocol;
        let base = labels::of_request(record);
        let families = tags.map(|t| t.families(changes::HTTP, &base));
        let (metric, full_metrics) = table.metric(identity(base, families.as_deref()), at, now, || {
            labels::overflow(record.direction, protocol.as_str(), Some(record.status))
        });
        let (flow, full_flows) =
            table.flow(flow::of_request(record), || flow::overflow_request(record), || RequestFlow::new(record.reason));
        let families = families.filter(|_| !full_metrics);
        let make = |l| RequestMetric::new(l, protocol, families);
        let metric = metric.unwrap_or_else(|text| table.add_metric(text, make));
        self.overflow.fetch_add(u64::from(full_metrics || full_flows), Ordering::Relaxed);
        table.bind(key, Kept::of_request(record), flow, metric)
    }

    fn bound_tcp(&self, labels: &TcpLabels, reason: Reason, changes: Option<&MetricsPlan>, now: Instant) -> TcpPair {
        let connection = Connection::of(labels, reason);
        let tags = changes.map(|plan| Tags::of(plan, &View::of_tcp(&connection), &self.random));
        let key = Key::of_tcp(labels, reason, tags.as_ref().map_or(0, |t| t.hash));
        let at = self.since_start(now);
        let mut table = lock(&self.tcp);
        let pair = table.get(&key).unwrap_or_else(|| self.bind_tcp(&mut table, key, labels, (reason, tags), now));
        pair.0.touched.touch(at);
        pair.1.touched.touch(at);
        pair
    }

    fn bind_tcp(
        &self,
        table: &mut TcpTable,
        key: Key,
        labels: &TcpLabels,
        (reason, tags): (Reason, Option<Tags<'_>>),
        now: Instant,
    ) -> TcpPair {
        let overflow = || labels::overflow(labels.direction, "tcp", None);
        let at = self.since_start(now);
        let base = labels::of_tcp(labels, reason);
        let families = tags.map(|t| t.families(changes::TCP, &base));
        let (metric, full_metrics) = table.metric(identity(base, families.as_deref()), at, now, overflow);
        let (flow, full_flows) = table.flow(flow::of_tcp(labels), || flow::overflow_tcp(labels), TcpFlow::default);
        let families = families.filter(|_| !full_metrics);
        let metric = metric.unwrap_or_else(|text| table.add_metric(text, |l| TcpMetric::new(l, families)));
        self.overflow.fetch_add(u64::from(full_metrics || full_flows), Ordering::Relaxed);
        table.bind(key, Kept::of_tcp(labels), flow, metric)
    }
}

/// What tells a series from others: its labels, and those of each metric where they differ.
fn identity<const N: usize>(base: String, families: Option<&[Option<Arc<str>>; N]>) -> String {
    match families {
        None => base,
        Some(families) => {
            let all: Vec<&str> = families.iter().map(|f| f.as_deref().unwrap_or_default()).collect();
            format!("{base}\n{}", all.join("\n"))
        }
    }
}

type RequestTable = Table<samples::RequestLabels, RequestFlow, RequestMetric>;
type TcpTable = Table<samples::TcpLabels, TcpFlow, TcpMetric>;

/// Flows and metrics of one kind of traffic.
#[derive(Debug)]
struct Table<L, F, M> {
    by_key: HashMap<Key, (Arc<F>, Arc<M>, Kept), ByAddress>,
    flows: HashMap<L, Arc<F>>,
    metrics: HashMap<Arc<str>, Arc<M>>,
    swept: Instant,
}

impl<L: Eq + Hash + Clone, F: Series, M: Series> Table<L, F, M> {
    fn new(now: Instant) -> Self {
        Self { by_key: HashMap::default(), flows: HashMap::new(), metrics: HashMap::new(), swept: now }
    }

    fn get(&self, key: &Key) -> Option<(Arc<F>, Arc<M>)> {
        self.by_key.get(key).map(|(flow, metric, _)| (Arc::clone(flow), Arc::clone(metric)))
    }

    fn bind(&mut self, key: Key, kept: Kept, flow: Arc<F>, metric: Arc<M>) -> (Arc<F>, Arc<M>) {
        if self.by_key.len() >= KEYS {
            self.by_key.clear();
        }
        self.by_key.insert(key, (Arc::clone(&flow), Arc::clone(&metric), kept));
        (flow, metric)
    }

    /// The metric with these labels, or the labels to make it with; and whether the budget forced other labels.
    fn metric(
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

    fn add_metric(&mut self, text: Arc<str>, make: impl FnOnce(Arc<str>) -> M) -> Arc<M> {
        let metric = Arc::new(make(Arc::clone(&text)));
        self.metrics.insert(text, Arc::clone(&metric));
        metric
    }

    fn flow(&mut self, labels: L, overflow: impl FnOnce() -> L, make: impl FnOnce() -> F) -> (Arc<F>, bool) {
        if let Some(flow) = self.flows.get(&labels) {
            return (Arc::clone(flow), false);
        }
        let full = self.flows.len() >= BUDGET;
        let labels = if full { overflow() } else { labels };
        (Arc::clone(self.flows.entry(labels).or_insert_with(|| Arc::new(make()))), full)
    }

    fn metrics(&mut self, at: u64, now: Instant) -> Vec<Arc<M>> {
        self.sweep(at, now);
        let mut metrics: Vec<_> = self.metrics.iter().collect();
        metrics.sort_unstable_by(|a, b| a.0.cmp(b.0));
        metrics.into_iter().map(|(_, metric)| Arc::clone(metric)).collect()
    }

    fn flows(&mut self, at: u64, now: Instant) -> Vec<(L, Arc<F>)> {
        self.sweep(at, now);
        self.flows.iter().map(|(labels, flow)| (labels.clone(), Arc::clone(flow))).collect()
    }

    /// Forgets how keys find their series, and the series.
    fn forget_metrics(&mut self) {
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
trait Series {
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
    fn touch(&self, at: u64) {
        self.0.store(at, Ordering::Relaxed);
    }
}

/// Requests between two pods with one outcome.
#[derive(Debug)]
pub(super) struct RequestFlow {
    reason: Reason,
    touched: Touched,
    values: Mutex<FlowValues>,
}

#[derive(Debug, Default)]
struct FlowValues {
    count: u64,
    tries: u64,
    retries: u64,
    sketch: Sketch,
}

impl RequestFlow {
    fn new(reason: Reason) -> Self {
        Self { reason, touched: Touched::default(), values: Mutex::default() }
    }

    fn sample(&self, labels: samples::RequestLabels) -> RequestSample {
        let values = lock(&self.values);
        let flags = self.reason.flag().to_owned();
        let FlowValues { count, tries, retries, ref sketch } = *values;
        RequestSample { labels, flags, count, tries, retries, sketch: sketch.clone() }
    }
}

impl Series for RequestFlow {
    fn touched(&self) -> &Touched {
        &self.touched
    }
}

/// One label set of the HTTP families.
#[derive(Debug)]
pub(super) struct RequestMetric {
    pub(super) labels: Arc<str>,
    /// Whether it has message counts.
    pub(super) grpc: bool,
    /// Labels by metric, where the Telemetry API changes them; `None` in it = left out.
    pub(super) families: Option<Box<[Option<Arc<str>>; 6]>>,
    touched: Touched,
    values: Mutex<RequestValues>,
}

/// Values of the HTTP families.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestValues {
    pub(super) duration: Histogram,
    pub(super) request_bytes: Histogram,
    pub(super) response_bytes: Histogram,
    pub(super) request_messages: u64,
    pub(super) response_messages: u64,
    /// The last sampled trace in each bucket of `duration`.
    pub(super) exemplars: Option<Box<Exemplars>>,
}

/// By bucket.
pub(super) type Exemplars = [Option<Exemplar>; Histogram::BUCKETS];

/// A trace that stands for a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) value: f64,
    pub(super) at: SystemTime,
}

impl RequestValues {
    fn exemplar(&mut self, span: &SpanRef, value: f64, at: SystemTime) {
        let all = self.exemplars.get_or_insert_with(|| Box::new([None; Histogram::BUCKETS]));
        all[Histogram::bucket(value)] = Some(Exemplar { trace: span.trace, span: span.span, value, at });
    }

    /// Adds what another series with the same labels counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.duration.add(&other.duration);
        self.request_bytes.add(&other.request_bytes);
        self.response_bytes.add(&other.response_bytes);
        self.request_messages += other.request_messages;
        self.response_messages += other.response_messages;
        if self.exemplars.is_none() {
            self.exemplars.clone_from(&other.exemplars);
        }
    }
}

impl RequestMetric {
    fn new(labels: Arc<str>, protocol: ReqProtocol, families: Option<Box<[Option<Arc<str>>; 6]>>) -> Self {
        let grpc = protocol == ReqProtocol::Grpc;
        Self { labels, grpc, families, touched: Touched::default(), values: Mutex::default() }
    }
}

impl Series for RequestMetric {
    fn touched(&self) -> &Touched {
        &self.touched
    }
}

/// A connection's flow and the metric it opened under.
pub(super) type TcpPair = (Arc<TcpFlow>, Arc<TcpMetric>);

/// Opaque connections between two pods.
#[derive(Debug, Default)]
pub(super) struct TcpFlow {
    touched: Touched,
    live: AtomicU64,
    pub(super) counts: TcpCounts,
}

impl TcpFlow {
    fn sample(&self, labels: samples::TcpLabels) -> TcpSample {
        let [opened, closed, sent, received] = self.counts.load();
        TcpSample { labels, opened, closed, sent, received }
    }
}

impl Series for TcpFlow {
    fn touched(&self) -> &Touched {
        &self.touched
    }

    fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }
}

/// One label set of the TCP families.
#[derive(Debug)]
pub(super) struct TcpMetric {
    pub(super) labels: Arc<str>,
    /// Labels by metric, where the Telemetry API changes them; `None` in it = left out.
    pub(super) families: Option<Box<[Option<Arc<str>>; 4]>>,
    touched: Touched,
    /// Connections that opened under this label set and are open; they may end under another.
    live: AtomicU64,
    pub(super) counts: TcpCounts,
}

impl TcpMetric {
    fn new(labels: Arc<str>, families: Option<Box<[Option<Arc<str>>; 4]>>) -> Self {
        let (touched, live) = (Touched::default(), AtomicU64::new(0));
        Self { labels, families, touched, live, counts: TcpCounts::default() }
    }
}

impl Series for TcpMetric {
    fn touched(&self) -> &Touched {
        &self.touched
    }

    fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }
}

/// Values of the TCP families. Bytes are counted while a connection lives, so these are shared.
#[derive(Debug, Default)]
pub(super) struct TcpCounts {
    opened: AtomicU64,
    closed: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

impl TcpCounts {
    /// Opened, closed, sent, received.
    pub(super) fn load(&self) -> [u64; 4] {
        [&self.opened, &self.closed, &self.sent, &self.received].map(|n| n.load(Ordering::Relaxed))
    }
}

/// A panic elsewhere leaves numbers behind, nothing that could be half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
