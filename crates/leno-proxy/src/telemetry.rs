//! What this proxy saw: Istio's standard metrics, the access log, and the samples of the live window.
//!
//! The data path fills a [`RequestRecord`] or holds a [`TcpGuard`]; everything else happens here, without waiting:
//! [`series`] finds and counts, [`labels`] names, [`exposition`] is what Prometheus reads, [`access_log`] the log.

mod access_log;
mod changes;
mod exposition;
mod failures;
mod flow;
mod histogram;
mod key;
mod labels;
mod linkerd;
pub(crate) mod otlp;
mod plan;
pub mod record;
mod samples;
mod series;
mod span;
mod tap;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod time;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use leno_core::Reason;
use leno_core::cel::Message;
use leno_core::id::Direction;
use leno_core::merge::telemetry::Reporting;
use leno_core::model::{MeshConfig, Workload};
use leno_core::samples::Samples;
use leno_core::tap::{Failures, Taps};
use leno_http::Fields;

use access_log::view::View;
use access_log::{AccessLog, Connection};
use otlp::{Item, Pending, What};
use plan::{Bits, MetricsPlan, Plan, Target};
use series::{Registry, TcpPair};

pub use exposition::Exposition;
pub use leno_kit::process::resident_bytes;
pub use record::{
    Captured, Headers, HttpVersion, PeerInfo, PolicyRef, ReqProtocol, RequestRecord, ServiceRef, SpanRef, TcpLabels,
};
pub use text::Text;

/// The one sink of everything the data path reports. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    own: Mutex<Arc<Workload>>,
    started: SystemTime,
    registry: Registry,
    log: AccessLog,
    tap: tap::Tap,
    failures: failures::Memory,
    plan: ArcSwap<Plan>,
    bits: AtomicU8,
    linkerd: AtomicBool,
    queue: otlp::Queue,
    pending: Mutex<Option<Pending>>,
}

impl Telemetry {
    /// Starts empty. `own` is what is known of this pod so far (namespace and pod name from the settings). The access
    /// log goes to standard output.
    #[must_use]
    pub fn new(own: Arc<Workload>) -> Self {
        Self::with_log(own, std::io::stdout())
    }

    /// The same with an access log that goes to `sink`.
    #[must_use]
    pub fn with_log(own: Arc<Workload>, sink: impl std::io::Write + Send + 'static) -> Self {
        let plan = Plan::compile(&MeshConfig::default(), &Reporting::default());
        let (queue, pending) = otlp::queue();
        Self {
            inner: Arc::new(Inner {
                own: Mutex::new(own),
                started: SystemTime::now(),
                registry: Registry::new(Instant::now()),
                log: AccessLog::new(sink),
                tap: tap::Tap::new(Instant::now()),
                failures: failures::Memory::default(),
                bits: AtomicU8::new(plan.bits().0),
                linkerd: AtomicBool::new(false),
                plan: ArcSwap::from_pointee(plan),
                queue,
                pending: Mutex::new(Some(pending)),
            }),
        }
    }

    /// Replaces what is known of this pod, once the control plane has told.
    pub fn set_own(&self, own: Arc<Workload>) {
        *self.inner.own.lock().unwrap_or_else(PoisonError::into_inner) = own;
    }

    /// Takes over what is to be reported; call at every change of the mesh's settings or of `Telemetry` objects.
    pub fn configure(&self, mesh: &MeshConfig, reporting: &Reporting) {
        let plan = Plan::compile(mesh, reporting);
        let old = self.inner.plan.load();
        let relabelled = [Direction::Inbound, Direction::Outbound]
            .into_iter()
            .any(|side| old.side(side).metrics != plan.side(side).metrics);
        let bits = plan.bits();
        self.inner.plan.store(Arc::new(plan));
        self.inner.bits.store(bits.0, Ordering::Relaxed);
        if relabelled {
            self.inner.registry.forget_metrics();
        }
    }

    /// Shows Linkerd's series too.
    pub fn show_linkerd(&self) {
        self.inner.linkerd.store(true, Ordering::Relaxed);
    }

    /// Whether the access log or a watcher keeps everything: if not, texts that only those show (path, user agent …) may be
    /// left empty in the record of a request that did not fail.
    #[must_use]
    pub fn logs_all(&self) -> bool {
        self.bits().has(Bits::LOG_ALL | Bits::TRACE_CLIENT | Bits::TRACE_SERVER | Bits::METRICS)
            || self.inner.tap.is_on()
    }

    /// Notes a request's place in its trace and the headers that are asked for. Where traces are off and no header is asked
    /// for, this is one load and one branch.
    pub fn begin(&self, record: &mut RequestRecord, headers: &mut Fields) {
        let bits = self.bits();
        if !bits.traces(record.direction) && !bits.has(Bits::HEADERS) {
            return;
        }
        let plan = self.inner.plan.load();
        Captured::take(&mut record.headers, Message::Request, headers, &plan.request_headers);
        if let Some(tracing) = &plan.side(record.direction).tracing {
            let draw = rand::random::<f64>() * 100.0;
            record.span = Some(Box::new(span::begin(tracing, headers, draw)));
        }
    }

    /// Notes the answer's headers that are asked for.
    pub fn answered(&self, record: &mut RequestRecord, headers: &Fields) {
        if self.bits().has(Bits::HEADERS) {
            Captured::take(&mut record.headers, Message::Response, headers, &self.inner.plan.load().response_headers);
        }
    }

    /// Counts and logs one request that ended at `now`.
    pub fn request(&self, record: &RequestRecord, now: Instant) {
        let bits = self.bits();
        if bits.has(Bits::METRICS) {
            let plan = self.inner.plan.load();
            self.inner.registry.request(record, changed(&plan.side(record.direction).metrics), now);
        } else {
            self.inner.registry.request(record, None, now);
        }
        if bits.has(Bits::LOG_ALL) || bits.has(Bits::LOG_ERRORS) && record.is_error() {
            self.log(&View::of_request(record), record.is_error());
        }
        if let Some(span) = record.span.as_deref().filter(|s| s.sampled)
            && let Some(tracing) = &self.inner.plan.load().side(record.direction).tracing
        {
            let made = Box::new(otlp::record::span(record, span, tracing));
            self.inner.queue.put(Item::Send(Arc::clone(&tracing.collector), What::Span(made)));
        }
        self.inner.tap.request(record, now);
        self.inner.failures.request(record);
    }

    fn bits(&self) -> Bits {
        Bits(self.inner.bits.load(Ordering::Relaxed))
    }

    /// Writes to each log that keeps it.
    fn log(&self, view: &View<'_>, error: bool) {
        let plan = self.inner.plan.load();
        for sink in &plan.side(view.direction).logs {
            if sink.errors && !error || sink.filter.as_ref().is_some_and(|f| !f.holds(view)) {
                continue;
            }
            match &sink.to {
                Target::File(layout) => self.inner.log.write(layout, view),
                Target::Otlp { collector, log_name, body, labels } => {
                    let record = Box::new(otlp::record::log(view, body, labels));
                    self.inner.queue.put(Item::Send(Arc::clone(collector), What::Log(Arc::clone(log_name), record)));
                }
            }
        }
    }

    /// The exporter's end of the queue, once.
    #[must_use]
    pub fn pending(&self) -> Option<Pending> {
        self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Resolves once what waits for collectors is sent or given up.
    pub async fn flush_exports(&self) {
        self.inner.queue.flush().await;
    }

    /// Requests that ended since number `from`, for a person who watches; see [`Taps`].
    #[must_use]
    pub fn tap(&self, from: Option<u64>, headers: bool) -> Taps {
        self.inner.tap.fetch(from, headers, Instant::now())
    }

    /// Whether somebody watches headers, so that a record should have them.
    #[must_use]
    pub fn wants_headers(&self) -> bool {
        self.inner.tap.wants_headers()
    }

    /// What failed lately.
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.inner.failures.all()
    }

    /// Counts one opaque connection as open; the guard counts its bytes and its end.
    #[must_use]
    pub fn tcp_open(&self, labels: TcpLabels) -> TcpGuard {
        let plan = self.inner.plan.load();
        let changes = changed(&plan.side(labels.direction).metrics);
        TcpGuard {
            pair: self.inner.registry.tcp_open(&labels, changes, Instant::now()),
            telemetry: self.clone(),
            labels,
            start: SystemTime::now(),
            opened: Instant::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            closed: false,
        }
    }

    /// The text that is scraped, in pieces that are made as they are asked for.
    pub fn exposition(&self, form: Exposition) -> impl Iterator<Item = String> + Send + use<> {
        self.scrape(form, false)
    }

    /// The same beside an application's own text: without the series of the process, which both would name alike.
    pub fn exposition_beside(&self, form: Exposition) -> impl Iterator<Item = String> + Send + use<> {
        self.scrape(form, true)
    }

    fn scrape(&self, form: Exposition, beside: bool) -> exposition::Scrape {
        let now = Instant::now();
        let tcp = self.inner.registry.tcp_metrics(now).into_iter();
        exposition::Scrape {
            form,
            beside,
            version: VERSION,
            requests: exposition::Rows::of_requests(self.inner.registry.request_metrics(now)),
            tcp: exposition::Rows::of_tcp(tcp.map(|m| (Arc::clone(&m), m.counts.load())).collect()),
            exported: self.inner.queue.counts(),
            linkerd: self.inner.linkerd.load(Ordering::Relaxed).then(|| {
                let (requests, tcp) = self.inner.registry.samples(now);
                linkerd::Rows::new(&requests, &tcp)
            }),
            overflow: self.inner.registry.overflow(),
            log_lines_dropped: self.inner.log.dropped(),
            process: leno_kit::process::Process::read(self.inner.started),
            at: exposition::Cursor::default(),
        }
    }

    /// What the live window asks for.
    #[must_use]
    pub fn samples(&self) -> Samples {
        let own = Arc::clone(&self.inner.own.lock().unwrap_or_else(PoisonError::into_inner));
        let (requests, tcp) = self.inner.registry.samples(Instant::now());
        let started = self.inner.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Samples {
            namespace: own.namespace.clone(),
            pod: own.pod.clone(),
            workload: own.name.clone(),
            kind: own.kind.clone(),
            version: VERSION.to_owned(),
            started_ms: u64::try_from(started.as_millis()).unwrap_or_default(),
            requests,
            tcp,
        }
    }

    /// The same as JSON, in pieces that are made as they are asked for.
    pub fn samples_json(&self) -> impl Iterator<Item = String> + Send + use<> {
        samples::pieces(self.samples())
    }

    /// Waits until the access log is written, at most `patience`: the last thing before the process ends.
    pub fn flush(&self, patience: Duration) {
        self.inner.log.flush(patience);
    }
}

/// An opaque connection while it is open. Dropping it without [`TcpGuard::close`] counts it as closed normally.
#[derive(Debug)]
pub struct TcpGuard {
    telemetry: Telemetry,
    pair: TcpPair,
    labels: TcpLabels,
    start: SystemTime,
    opened: Instant,
    sent: AtomicU64,
    received: AtomicU64,
    closed: bool,
}

impl TcpGuard {
    /// Bytes sent to the client (Istio's `istio_tcp_sent_bytes_total`: response direction).
    pub fn add_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.pair.0.counts.sent.fetch_add(bytes, Ordering::Relaxed);
        self.pair.1.counts.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes received from the client.
    pub fn add_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.pair.0.counts.received.fetch_add(bytes, Ordering::Relaxed);
        self.pair.1.counts.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Learned after opening: which endpoint it reached and by which local address.
    pub fn set_upstream(&mut self, addr: SocketAddr, local: Option<SocketAddr>) {
        self.labels.upstream_addr = Some(addr);
        self.labels.upstream_local = local;
    }

    /// Counts the end. `detail` adds words for the log (the error's text); may be empty.
    pub fn close(mut self, reason: Reason, detail: &str) {
        self.end(reason, detail);
    }

    fn end(&mut self, reason: Reason, detail: &str) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let inner = &self.telemetry.inner;
        {
            let plan = inner.plan.load();
            let changes = changed(&plan.side(self.labels.direction).metrics);
            inner.registry.tcp_close(&self.pair, &self.labels, reason, changes, Instant::now());
        }
        let connection = Connection {
            labels: &self.labels,
            start: self.start,
            duration: self.opened.elapsed(),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            reason,
            detail,
        };
        inner.failures.connection(&connection);
        self.telemetry.log(&View::of_tcp(&connection), reason.is_failure());
    }
}

impl Drop for TcpGuard {
    fn drop(&mut self) {
        self.end(Reason::Closed, "");
    }
}

/// What there is to change, if anything.
fn changed(plan: &MetricsPlan) -> Option<&MetricsPlan> {
    (*plan != MetricsPlan::default()).then_some(plan)
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
