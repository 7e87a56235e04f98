//! The text that Prometheus scrapes (exposition format 0.0.4, as Envoy and Istio's agent serve it).

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use leno_core::names::metric;

use super::histogram::Histogram;
use super::series::{RequestMetric, RequestValues, TcpMetric};
use leno_kit::process::Process;

/// Media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything one scrape shows, and how far it is written. Iterate for the text in pieces of about 16 KiB: a series takes
/// 50 KiB of text, so the whole may be large, and whoever writes it should do something else in between.
pub(super) struct Scrape {
    pub(super) version: &'static str,
    pub(super) requests: Vec<(Arc<RequestMetric>, RequestValues)>,
    pub(super) tcp: Vec<(Arc<TcpMetric>, [u64; 4])>,
    pub(super) overflow: u64,
    pub(super) log_lines_dropped: u64,
    pub(super) process: Process,
    pub(super) at: Cursor,
}

/// The family and the series that come next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    family: usize,
    series: usize,
}

impl Iterator for Scrape {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut out = String::with_capacity(PIECE + 8 * 1024);
        while out.len() < PIECE {
            match self.at.family {
                0 => self.process(&mut out),
                f if f <= HTTP.len() => self.http(&mut out, &HTTP[f - 1]),
                f if f <= HTTP.len() + TCP.len() => self.tcp(&mut out, f - 1 - HTTP.len()),
                _ => break,
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

impl Scrape {
    /// One series of one HTTP family.
    fn http(&mut self, out: &mut String, family: &Http) {
        let Some((metric, values)) = self.requests.get(self.at.series) else {
            return self.next_family();
        };
        if self.at.series == 0 {
            let kind = if matches!(family.part, Part::Counter(_)) { "counter" } else { "histogram" };
            head(out, family.name, family.suffix(), kind, family.help);
        }
        match family.part {
            // Only gRPC has messages.
            Part::Counter(_) if family.grpc_only && !metric.grpc => {}
            Part::Counter(part) => {
                let _ = writeln!(out, "{}_total{{{}}} {}", family.name, metric.labels, part(values));
            }
            Part::Histogram(part) => histogram(out, family.name, &metric.labels, part(values)),
        }
        self.at.series += 1;
    }

    /// One series of one TCP family.
    fn tcp(&mut self, out: &mut String, family: usize) {
        let Some((metric, counts)) = self.tcp.get(self.at.series) else {
            return self.next_family();
        };
        let (name, help) = TCP[family];
        if self.at.series == 0 {
            head(out, name, "_total", "counter", help);
        }
        let _ = writeln!(out, "{name}_total{{{}}} {}", metric.labels, counts[family]);
        self.at.series += 1;
    }

    fn next_family(&mut self) {
        self.at = Cursor { family: self.at.family + 1, series: 0 };
    }

    /// What does not depend on traffic.
    fn process(&mut self, out: &mut String) {
        head(out, metric::BUILD, "", "gauge", "Version of this proxy.");
        let _ = writeln!(out, "{}{{component=\"proxy\",tag=\"{}\"}} 1", metric::BUILD, self.version);
        let p = &self.process;
        one(out, "process_cpu_seconds", "_total", "counter", "CPU time used, in seconds.", &p.cpu_seconds);
        one(out, "process_resident_memory_bytes", "", "gauge", "Resident memory.", &p.resident_bytes);
        one(out, "process_start_time_seconds", "", "gauge", "Start since 1970, in seconds.", &p.started_seconds);
        one(out, "process_open_fds", "", "gauge", "Open file descriptors.", &p.open_fds);
        let help = "Label sets that were counted under `overflow`, as the budget of 2000 was used up.";
        one(out, "leno_telemetry_overflow", "_total", "counter", help, &self.overflow);
        let help = "Access log lines that were dropped, as standard output took too long.";
        one(out, "leno_access_log_dropped", "_total", "counter", help, &self.log_lines_dropped);
        self.next_family();
    }
}

/// A family of the HTTP series.
struct Http {
    name: &'static str,
    help: &'static str,
    grpc_only: bool,
    part: Part,
}

enum Part {
    Counter(fn(&RequestValues) -> u64),
    Histogram(fn(&RequestValues) -> &Histogram),
}

impl Http {
    const fn suffix(&self) -> &'static str {
        match self.part {
            Part::Counter(_) => "_total",
            Part::Histogram(_) => "",
        }
    }
}

fn one(out: &mut String, name: &str, suffix: &str, kind: &str, help: &str, value: &dyn Display) {
    head(out, name, suffix, kind, help);
    let _ = writeln!(out, "{name}{suffix} {value}");
}

fn head(out: &mut String, name: &str, suffix: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
}

fn histogram(out: &mut String, name: &str, labels: &str, histogram: &Histogram) {
    for (bound, count) in histogram.cumulative() {
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
    }
    let count = histogram.count();
    let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
    let _ = writeln!(out, "{name}_sum{{{labels}}} {}", histogram.sum());
    let _ = writeln!(out, "{name}_count{{{labels}}} {count}");
}

/// Size of one piece of the text.
const PIECE: usize = 16 * 1024;

const HTTP: [Http; 6] = [
    Http { name: metric::REQUESTS, help: "Requests.", grpc_only: false, part: Part::Counter(|v| v.duration.count()) },
    Http {
        name: metric::DURATION,
        help: "Request durations in milliseconds.",
        grpc_only: false,
        part: Part::Histogram(|v| &v.duration),
    },
    Http {
        name: metric::REQUEST_BYTES,
        help: "Request body sizes.",
        grpc_only: false,
        part: Part::Histogram(|v| &v.request_bytes),
    },
    Http {
        name: metric::RESPONSE_BYTES,
        help: "Response body sizes.",
        grpc_only: false,
        part: Part::Histogram(|v| &v.response_bytes),
    },
    Http {
        name: metric::REQUEST_MESSAGES,
        help: "gRPC messages from clients.",
        grpc_only: true,
        part: Part::Counter(|v| v.request_messages),
    },
    Http {
        name: metric::RESPONSE_MESSAGES,
        help: "gRPC messages to clients.",
        grpc_only: true,
        part: Part::Counter(|v| v.response_messages),
    },
];

/// In the order of [`super::series::TcpCounts::load`].
const TCP: [(&str, &str); 4] = [
    (metric::TCP_OPENED, "Opaque connections opened."),
    (metric::TCP_CLOSED, "Opaque connections closed."),
    (metric::TCP_SENT, "Bytes sent to clients of opaque connections."),
    (metric::TCP_RECEIVED, "Bytes received from clients of opaque connections."),
];
