//! What this proxy saw: Istio's standard metrics, the access log, and the samples of the live window.
//!
//! The data path fills a [`RequestRecord`] or holds a [`TcpGuard`]; everything else happens here, without waiting:
//! [`series`] finds and counts, [`labels`] names, [`exposition`] is what Prometheus reads, [`access_log`] the log.

mod access_log;
mod exposition;
mod flow;
mod histogram;
mod key;
mod labels;
pub mod record;
mod samples;
mod series;
mod tap;
#[cfg(test)]
mod tests;
pub(crate) mod time;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leno_core::Reason;
use leno_core::model::{MeshConfig, Workload};
use leno_core::samples::Samples;
use leno_core::tap::Taps;

use access_log::{AccessLog, Connection};
use series::{Registry, TcpPair};

pub use exposition::CONTENT_TYPE;
pub use leno_kit::process::resident_bytes;
pub use record::{Headers, HttpVersion, PeerInfo, PolicyRef, ReqProtocol, RequestRecord, ServiceRef, TcpLabels};

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
        Self {
            inner: Arc::new(Inner {
                own: Mutex::new(own),
                started: SystemTime::now(),
                registry: Registry::new(Instant::now()),
                log: AccessLog::new(sink),
                tap: tap::Tap::new(Instant::now()),
            }),
        }
    }

    /// Replaces what is known of this pod, once the control plane has told.
    pub fn set_own(&self, own: Arc<Workload>) {
        *self.inner.own.lock().unwrap_or_else(PoisonError::into_inner) = own;
    }

    /// Takes over the access log settings; call at every change of the mesh's settings.
    pub fn configure(&self, mesh: &MeshConfig) {
        self.inner.log.configure(mesh);
    }

    /// Whether the access log or a watcher keeps everything: if not, texts that only those show (path, user agent …) may be
    /// left empty in the record of a request that did not fail.
    #[must_use]
    pub fn logs_all(&self) -> bool {
        self.inner.log.keeps_all() || self.inner.tap.is_on()
    }

    /// Counts and logs one request.
    pub fn request(&self, record: &RequestRecord) {
        let now = Instant::now();
        self.inner.registry.request(record, now);
        self.inner.log.request(record);
        self.inner.tap.request(record, now);
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

    /// Counts one opaque connection as open; the guard counts its bytes and its end.
    #[must_use]
    pub fn tcp_open(&self, labels: TcpLabels) -> TcpGuard {
        TcpGuard {
            pair: self.inner.registry.tcp_open(&labels, Instant::now()),
            telemetry: self.clone(),
            labels,
            start: SystemTime::now(),
            opened: Instant::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            closed: false,
        }
    }

    /// The Prometheus text ([`CONTENT_TYPE`]), in pieces that are made as they are asked for.
    pub fn exposition(&self) -> impl Iterator<Item = String> + Send + use<> {
        let now = Instant::now();
        let tcp = self.inner.registry.tcp_metrics(now).into_iter();
        exposition::Scrape {
            version: VERSION,
            requests: self.inner.registry.request_metrics(now),
            tcp: tcp.map(|m| (Arc::clone(&m), m.counts.load())).collect(),
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
        inner.registry.tcp_close(&self.pair, &self.labels, reason, Instant::now());
        inner.log.tcp(&Connection {
            labels: &self.labels,
            start: self.start,
            duration: self.opened.elapsed(),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            reason,
            detail,
        });
    }
}

impl Drop for TcpGuard {
    fn drop(&mut self) {
        self.end(Reason::Closed, "");
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
