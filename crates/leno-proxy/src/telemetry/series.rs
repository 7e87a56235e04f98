//! Every series that is alive: found by key, made on first use, forgotten when idle, and never more than the budget.
//!
//! A request counts in a *flow* (what the live window shows: which pod, which route, which reason) and in a *metric*
//! (what Prometheus scrapes: Istio's labels). Many flows share a metric, and either may be forgotten before the other.

mod table;
mod values;

use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use leno_core::Reason;
use leno_core::samples::{self, RequestSample, TcpSample};

use super::access_log::Connection;
use super::access_log::view::View;
use super::changes::{self, Tags};
use super::key::{Kept, Key};
use super::plan::MetricsPlan;
use super::record::{RequestRecord, TcpLabels};
use super::{flow, labels};
use table::Table;
#[cfg(test)]
pub(super) use table::{BUDGET, IDLE};
pub(super) use values::{Exemplars, RequestMetric, RequestValues, TcpMetric, TcpPair};
use values::{RequestFlow, TcpFlow, lock};

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
