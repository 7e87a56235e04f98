//! The text that Prometheus scrapes (exposition format 0.0.4, as Envoy and Istio's agent serve it).

use std::fmt::{self, Display, Write};
use std::sync::Arc;

use leno_core::names::metric;

use super::histogram::Histogram;
use super::process::Process;
use super::series::{RequestMetric, RequestValues, TcpMetric};

/// Media type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything one scrape shows.
pub(super) struct Scrape<'a> {
    pub(super) version: &'a str,
    pub(super) requests: Vec<(Arc<RequestMetric>, RequestValues)>,
    pub(super) tcp: Vec<Arc<TcpMetric>>,
    pub(super) overflow: u64,
    pub(super) log_lines_dropped: u64,
    pub(super) process: Process,
}

/// Hands the text to `give` in pieces of about 64 KiB: a series takes 50 KiB of text, so the whole may be large.
/// `give` says whether anyone still listens.
pub(super) fn render(scrape: &Scrape<'_>, give: impl FnMut(String) -> bool) {
    let mut out = Pieces { text: String::with_capacity(PIECE + 4096), give };
    // An error means that nobody listens any more.
    let _ = write(&mut out, scrape).map(|()| out.flush());
}

fn write(out: &mut impl Write, scrape: &Scrape<'_>) -> fmt::Result {
    build(out, scrape.version)?;
    requests(out, &scrape.requests)?;
    tcp(out, &scrape.tcp)?;
    counter(out, OVERFLOW, OVERFLOW_HELP, scrape.overflow)?;
    counter(out, LOG_DROPPED, LOG_DROPPED_HELP, scrape.log_lines_dropped)?;
    process(out, &scrape.process)
}

struct Pieces<G> {
    text: String,
    give: G,
}

impl<G: FnMut(String) -> bool> Pieces<G> {
    fn flush(&mut self) -> bool {
        (self.give)(std::mem::replace(&mut self.text, String::with_capacity(PIECE + 4096)))
    }
}

impl<G: FnMut(String) -> bool> Write for Pieces<G> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.text.push_str(s);
        if self.text.len() < PIECE || self.flush() { Ok(()) } else { Err(fmt::Error) }
    }
}

fn build(out: &mut impl Write, version: &str) -> fmt::Result {
    head(out, metric::BUILD, "gauge", "Version of this proxy.")?;
    writeln!(out, "{}{{component=\"proxy\",tag=\"{version}\"}} 1", metric::BUILD)
}

fn requests(out: &mut impl Write, series: &[(Arc<RequestMetric>, RequestValues)]) -> fmt::Result {
    let total = |name: &str| format!("{name}_total");
    let all = || series.iter().map(|(m, v)| (&*m.labels, v));
    counters(out, &total(metric::REQUESTS), "Requests.", all().map(|(l, v)| (l, v.duration.count())))?;
    histograms(out, metric::DURATION, "Request durations in milliseconds.", all().map(|(l, v)| (l, &v.duration)))?;
    histograms(out, metric::REQUEST_BYTES, "Request body sizes.", all().map(|(l, v)| (l, &v.request_bytes)))?;
    histograms(out, metric::RESPONSE_BYTES, "Response body sizes.", all().map(|(l, v)| (l, &v.response_bytes)))?;
    let grpc = || series.iter().filter(|(m, _)| m.grpc).map(|(m, v)| (&*m.labels, v));
    let name = total(metric::REQUEST_MESSAGES);
    counters(out, &name, "gRPC messages from clients.", grpc().map(|(l, v)| (l, v.request_messages)))?;
    let name = total(metric::RESPONSE_MESSAGES);
    counters(out, &name, "gRPC messages to clients.", grpc().map(|(l, v)| (l, v.response_messages)))
}

fn tcp(out: &mut impl Write, series: &[Arc<TcpMetric>]) -> fmt::Result {
    let values: Vec<_> = series.iter().map(|m| (&*m.labels, m.counts.load())).collect();
    let families = [
        (metric::TCP_OPENED, "Opaque connections opened."),
        (metric::TCP_CLOSED, "Opaque connections closed."),
        (metric::TCP_SENT, "Bytes sent to clients of opaque connections."),
        (metric::TCP_RECEIVED, "Bytes received from clients of opaque connections."),
    ];
    for (i, (name, help)) in families.into_iter().enumerate() {
        counters(out, &format!("{name}_total"), help, values.iter().map(|(labels, counts)| (*labels, counts[i])))?;
    }
    Ok(())
}

fn process(out: &mut impl Write, process: &Process) -> fmt::Result {
    head(out, "process_cpu_seconds_total", "counter", "CPU time used, in seconds.")?;
    writeln!(out, "process_cpu_seconds_total {}", process.cpu_seconds)?;
    head(out, "process_resident_memory_bytes", "gauge", "Resident memory.")?;
    writeln!(out, "process_resident_memory_bytes {}", process.resident_bytes)?;
    head(out, "process_start_time_seconds", "gauge", "Start of the process since 1970, in seconds.")?;
    writeln!(out, "process_start_time_seconds {}", process.started_seconds)?;
    head(out, "process_open_fds", "gauge", "Open file descriptors.")?;
    writeln!(out, "process_open_fds {}", process.open_fds)
}

fn head(out: &mut impl Write, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn counter(out: &mut impl Write, name: &str, help: &str, value: u64) -> fmt::Result {
    head(out, name, "counter", help)?;
    writeln!(out, "{name} {value}")
}

/// A family without series is left out whole.
fn counters<'a>(
    out: &mut impl Write,
    name: &str,
    help: &str,
    series: impl Iterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    let mut series = series.peekable();
    if series.peek().is_some() {
        head(out, name, "counter", help)?;
    }
    for (labels, value) in series {
        writeln!(out, "{name}{{{labels}}} {value}")?;
    }
    Ok(())
}

fn histograms<'a>(
    out: &mut impl Write,
    name: &str,
    help: &str,
    series: impl Iterator<Item = (&'a str, &'a Histogram)>,
) -> fmt::Result {
    let mut series = series.peekable();
    if series.peek().is_some() {
        head(out, name, "histogram", help)?;
    }
    for (labels, histogram) in series {
        let mut bucket = |le: &dyn Display, count: u64| writeln!(out, "{name}_bucket{{{labels},le=\"{le}\"}} {count}");
        for (bound, count) in histogram.cumulative() {
            bucket(&bound, count)?;
        }
        bucket(&"+Inf", histogram.count())?;
        writeln!(out, "{name}_sum{{{labels}}} {}", histogram.sum())?;
        writeln!(out, "{name}_count{{{labels}}} {}", histogram.count())?;
    }
    Ok(())
}

/// Size of one piece of the text.
const PIECE: usize = 64 * 1024;
const OVERFLOW: &str = "leno_telemetry_overflow_total";
const OVERFLOW_HELP: &str = "Label sets that were counted under `overflow`, as the budget of 2000 was used up.";
const LOG_DROPPED: &str = "leno_access_log_dropped_total";
const LOG_DROPPED_HELP: &str = "Access log lines that were dropped, as standard output took too long.";
