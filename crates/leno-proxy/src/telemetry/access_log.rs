//! The access log: Istio's default line for every request or connection, with Leno's reason in words behind it.
//!
//! Nothing here waits: a line goes into a buffer in memory, a thread of its own writes the buffer to standard output,
//! and when that takes too long lines are dropped and counted.

mod json;
mod text;
mod writer;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use leno_core::Reason;
use leno_core::model::MeshConfig;
use leno_core::model::mesh::{AccessLog as Which, LogFormat};

use super::record::{RequestRecord, TcpLabels};
use writer::Writer;

/// The access log of this proxy.
#[derive(Debug)]
pub(super) struct AccessLog {
    writer: Writer,
    which: AtomicU8,
    format: AtomicU8,
}

impl AccessLog {
    /// A log that writes to `sink`. Until it is configured it keeps failures, as text.
    pub(super) fn new(sink: impl std::io::Write + Send + 'static) -> Self {
        let log = Self { writer: Writer::new(sink), which: AtomicU8::new(0), format: AtomicU8::new(0) };
        log.configure(&MeshConfig::default());
        log
    }

    pub(super) fn configure(&self, mesh: &MeshConfig) {
        let which = match mesh.access_log {
            Which::Off => OFF,
            Which::Errors => ERRORS,
            Which::All => ALL,
        };
        let format = match mesh.access_log_format {
            LogFormat::Text => TEXT,
            LogFormat::Json => JSON,
        };
        self.which.store(which, Ordering::Relaxed);
        self.format.store(format, Ordering::Relaxed);
    }

    pub(super) fn request(&self, record: &RequestRecord) {
        if self.keeps(record.is_error()) {
            self.write(&Line::of_request(record));
        }
    }

    pub(super) fn tcp(&self, connection: &Connection<'_>) {
        if self.keeps(connection.reason.is_failure()) {
            self.write(&Line::of_tcp(connection));
        }
    }

    /// Whether lines are kept of everything, not of failures only.
    pub(super) fn keeps_all(&self) -> bool {
        self.keeps(false)
    }

    /// Waits until everything is written, at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        self.writer.flush(patience);
    }

    /// Lines that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    fn keeps(&self, error: bool) -> bool {
        match self.which.load(Ordering::Relaxed) {
            OFF => false,
            ERRORS => error,
            _ => true,
        }
    }

    fn write(&self, line: &Line<'_>) {
        let json = self.format.load(Ordering::Relaxed) == JSON;
        self.writer.line(|out| if json { json::write(out, line) } else { text::write(out, line) });
    }
}

/// An opaque connection that ended.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    pub(super) labels: &'a TcpLabels,
    pub(super) start: SystemTime,
    pub(super) duration: Duration,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) reason: Reason,
    pub(super) detail: &'a str,
}

/// The operators of Istio's format. An empty text or `None` is absent.
#[derive(Debug)]
struct Line<'a> {
    start: SystemTime,
    method: &'a str,
    path: &'a str,
    protocol: &'a str,
    status: u16,
    flags: &'a str,
    code_details: &'a str,
    /// Why the proxy ended the connection, where it did so itself.
    termination_details: &'a str,
    /// What went wrong below HTTP towards the endpoint.
    transport_failure: &'a str,
    received: u64,
    sent: u64,
    duration: Duration,
    service_time: Option<Duration>,
    forwarded_for: &'a str,
    user_agent: &'a str,
    request_id: &'a str,
    authority: &'a str,
    upstream_host: Option<SocketAddr>,
    upstream_cluster: &'a str,
    upstream_local: Option<SocketAddr>,
    downstream_local: Option<SocketAddr>,
    downstream_remote: Option<SocketAddr>,
    sni: &'a str,
    route: &'a str,
    /// The reason in words and its detail, when the mesh made it fail.
    reason: Option<(&'a str, &'a str)>,
}

impl<'a> Line<'a> {
    fn of_request(r: &'a RequestRecord) -> Self {
        Self {
            start: r.start,
            method: &r.method,
            path: &r.path,
            protocol: r.http_version.as_str(),
            status: r.status,
            flags: r.reason.flag(),
            code_details: r.reason.detail(),
            termination_details: "",
            transport_failure: transport_failure(r.reason, &r.detail),
            received: r.request_bytes,
            sent: r.response_bytes,
            duration: r.duration,
            service_time: r.upstream_time,
            forwarded_for: &r.forwarded_for,
            user_agent: &r.user_agent,
            request_id: &r.request_id,
            authority: &r.authority,
            upstream_host: r.upstream_addr,
            upstream_cluster: &r.upstream_cluster,
            upstream_local: r.upstream_local,
            downstream_local: r.downstream_local,
            downstream_remote: r.downstream_remote,
            sni: &r.sni,
            route: &r.route_name,
            reason: in_words(r.reason, &r.detail),
        }
    }

    fn of_tcp(c: &'a Connection<'_>) -> Self {
        let failed = c.reason.is_failure();
        let transport_failure = transport_failure(c.reason, c.detail);
        Self {
            start: c.start,
            method: "",
            path: "",
            protocol: "",
            status: 0,
            flags: c.reason.flag(),
            code_details: "",
            termination_details: if failed && transport_failure.is_empty() { c.reason.detail() } else { "" },
            transport_failure,
            received: c.received,
            sent: c.sent,
            duration: c.duration,
            service_time: None,
            forwarded_for: "",
            user_agent: "",
            request_id: "",
            authority: "",
            upstream_host: c.labels.upstream_addr,
            upstream_cluster: &c.labels.upstream_cluster,
            upstream_local: c.labels.upstream_local,
            downstream_local: c.labels.downstream_local,
            downstream_remote: c.labels.downstream_remote,
            sni: &c.labels.sni,
            route: "",
            reason: in_words(c.reason, c.detail),
        }
    }
}

/// Envoy's `%UPSTREAM_TRANSPORT_FAILURE_REASON%`: the error's own words, for failures to get a connection.
fn transport_failure(reason: Reason, detail: &str) -> &str {
    use Reason::{AppUnreachable, ConnectFailure, ConnectTimeout, IdentityMismatch, TlsFailure};
    let connecting = matches!(reason, AppUnreachable | ConnectFailure | ConnectTimeout | IdentityMismatch | TlsFailure);
    match (connecting, detail) {
        (false, _) => "",
        (true, "") => reason.sentence(),
        (true, detail) => detail,
    }
}

fn in_words(reason: Reason, detail: &str) -> Option<(&'static str, &str)> {
    reason.is_failure().then(|| (reason.sentence(), detail))
}

const OFF: u8 = 0;
const ERRORS: u8 = 1;
const ALL: u8 = 2;
const TEXT: u8 = 0;
const JSON: u8 = 1;
