//! What is counted of one series.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use leno_core::Reason;
use leno_core::samples::{self, RequestSample, TcpSample};
use leno_core::sketch::Sketch;
use leno_core::trace::{SpanId, TraceId};

use super::table::{Series, Touched};
use crate::telemetry::histogram::Histogram;
use crate::telemetry::record::{ReqProtocol, SpanRef};

/// Requests between two pods with one outcome.
#[derive(Debug)]
pub(in crate::telemetry) struct RequestFlow {
    reason: Reason,
    pub(super) touched: Touched,
    pub(super) values: Mutex<FlowValues>,
}

#[derive(Debug, Default)]
pub(super) struct FlowValues {
    pub(super) count: u64,
    pub(super) tries: u64,
    pub(super) retries: u64,
    pub(super) sketch: Sketch,
}

impl RequestFlow {
    pub(super) fn new(reason: Reason) -> Self {
        Self { reason, touched: Touched::default(), values: Mutex::default() }
    }

    pub(super) fn sample(&self, labels: samples::RequestLabels) -> RequestSample {
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
pub(in crate::telemetry) struct RequestMetric {
    pub(in crate::telemetry) labels: Arc<str>,
    /// Whether it has message counts.
    pub(in crate::telemetry) grpc: bool,
    /// Labels by metric, where the Telemetry API changes them; `None` in it = left out.
    pub(in crate::telemetry) families: Option<Box<[Option<Arc<str>>; 6]>>,
    pub(super) touched: Touched,
    pub(super) values: Mutex<RequestValues>,
}

/// Values of the HTTP families.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct RequestValues {
    pub(in crate::telemetry) duration: Histogram,
    pub(in crate::telemetry) request_bytes: Histogram,
    pub(in crate::telemetry) response_bytes: Histogram,
    pub(in crate::telemetry) request_messages: u64,
    pub(in crate::telemetry) response_messages: u64,
    /// The last sampled trace in each bucket of `duration`.
    pub(in crate::telemetry) exemplars: Option<Box<Exemplars>>,
}

/// By bucket.
pub(in crate::telemetry) type Exemplars = [Option<Exemplar>; Histogram::BUCKETS];

/// A trace that stands for a bucket.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct Exemplar {
    pub(in crate::telemetry) trace: TraceId,
    pub(in crate::telemetry) span: SpanId,
    pub(in crate::telemetry) value: f64,
    pub(in crate::telemetry) at: SystemTime,
}

impl RequestValues {
    pub(super) fn exemplar(&mut self, span: &SpanRef, value: f64, at: SystemTime) {
        let all = self.exemplars.get_or_insert_with(|| Box::new([None; Histogram::BUCKETS]));
        all[Histogram::bucket(value)] = Some(Exemplar { trace: span.trace, span: span.span, value, at });
    }

    /// Adds what another series with the same labels counted.
    pub(in crate::telemetry) fn add(&mut self, other: &Self) {
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
    pub(super) fn new(labels: Arc<str>, protocol: ReqProtocol, families: Option<Box<[Option<Arc<str>>; 6]>>) -> Self {
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
pub(in crate::telemetry) type TcpPair = (Arc<TcpFlow>, Arc<TcpMetric>);

/// Opaque connections between two pods.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct TcpFlow {
    pub(super) touched: Touched,
    pub(super) live: AtomicU64,
    pub(in crate::telemetry) counts: TcpCounts,
}

impl TcpFlow {
    pub(super) fn sample(&self, labels: samples::TcpLabels) -> TcpSample {
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
pub(in crate::telemetry) struct TcpMetric {
    pub(in crate::telemetry) labels: Arc<str>,
    /// Labels by metric, where the Telemetry API changes them; `None` in it = left out.
    pub(in crate::telemetry) families: Option<Box<[Option<Arc<str>>; 4]>>,
    pub(super) touched: Touched,
    /// Connections that opened under this label set and are open; they may end under another.
    pub(super) live: AtomicU64,
    pub(in crate::telemetry) counts: TcpCounts,
}

impl TcpMetric {
    pub(super) fn new(labels: Arc<str>, families: Option<Box<[Option<Arc<str>>; 4]>>) -> Self {
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
pub(in crate::telemetry) struct TcpCounts {
    pub(super) opened: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(in crate::telemetry) sent: AtomicU64,
    pub(in crate::telemetry) received: AtomicU64,
}

impl TcpCounts {
    /// Opened, closed, sent, received.
    pub(in crate::telemetry) fn load(&self) -> [u64; 4] {
        [&self.opened, &self.closed, &self.sent, &self.received].map(|n| n.load(Ordering::Relaxed))
    }
}

/// A panic elsewhere leaves numbers behind, nothing that could be half-written.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
