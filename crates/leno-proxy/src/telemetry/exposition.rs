//! The text that Prometheus scrapes: exposition format 0.0.4, as Envoy and Istio's agent serve it, or OpenMetrics with
//! traces as exemplars where the scrape asks for it.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use leno_core::names::metric;

use super::histogram::Histogram;
use super::linkerd;
use super::series::{Exemplars, RequestMetric, RequestValues, TcpMetric};
use leno_kit::process::Process;

/// How the text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0, which has exemplars.
    OpenMetrics,
}

impl Exposition {
    /// The form that `accept` (the header of a scrape) asks for.
    #[must_use]
    pub fn wanted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Everything one scrape shows, and how far it is written. Iterate for the text in pieces of about 16 KiB: a series takes
/// 50 KiB of text, so the whole may be large, and whoever writes it should do something else in between.
pub(super) struct Scrape {
    pub(super) form: Exposition,
    /// An application's own text follows.
    pub(super) beside: bool,
    pub(super) version: &'static str,
    pub(super) requests: Rows<RequestMetric, RequestValues, 6>,
    pub(super) tcp: Rows<TcpMetric, [u64; 4], 4>,
    pub(super) overflow: u64,
    pub(super) exported: [u64; 2],
    /// Linkerd's series, where they are on.
    pub(super) linkerd: Option<linkerd::Rows>,
    pub(super) log_lines_dropped: u64,
    pub(super) process: Process,
    pub(super) at: Cursor,
}

/// Series with their values: the same for every metric, or, where the Telemetry API changes labels, by metric.
pub(super) enum Rows<M, V, const N: usize> {
    Same(Vec<(Arc<M>, V)>),
    ByMetric(Box<[Labelled<V>; N]>),
}

/// Values of one metric by its labels as they are written.
type Labelled<V> = Vec<(Arc<str>, V)>;

impl Rows<RequestMetric, RequestValues, 6> {
    pub(super) fn of_requests(series: Vec<(Arc<RequestMetric>, RequestValues)>) -> Self {
        if series.iter().all(|(m, _)| m.families.is_none()) {
            return Self::Same(series);
        }
        Self::ByMetric(Box::new(std::array::from_fn(|family| {
            let mut rows: BTreeMap<Arc<str>, RequestValues> = BTreeMap::new();
            for (metric, values) in &series {
                // Only gRPC has messages.
                if HTTP[family].grpc_only && !metric.grpc {
                    continue;
                }
                let labels = metric.families.as_ref().map_or(Some(&metric.labels), |f| f[family].as_ref());
                if let Some(labels) = labels {
                    rows.entry(Arc::clone(labels)).or_default().add(values);
                }
            }
            rows.into_iter().collect()
        })))
    }

    fn get(&self, family: usize, series: usize) -> Option<(&str, bool, &RequestValues)> {
        match self {
            Self::Same(all) => all.get(series).map(|(metric, values)| (&*metric.labels, metric.grpc, values)),
            Self::ByMetric(rows) => rows[family].get(series).map(|(labels, values)| (&**labels, true, values)),
        }
    }
}

impl Rows<TcpMetric, [u64; 4], 4> {
    pub(super) fn of_tcp(series: Vec<(Arc<TcpMetric>, [u64; 4])>) -> Self {
        if series.iter().all(|(m, _)| m.families.is_none()) {
            return Self::Same(series);
        }
        Self::ByMetric(Box::new(std::array::from_fn(|family| {
            let mut rows: BTreeMap<Arc<str>, [u64; 4]> = BTreeMap::new();
            for (metric, counts) in &series {
                let labels = metric.families.as_ref().map_or(Some(&metric.labels), |f| f[family].as_ref());
                if let Some(labels) = labels {
                    let row = rows.entry(Arc::clone(labels)).or_default();
                    row.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                }
            }
            rows.into_iter().collect()
        })))
    }

    fn get(&self, family: usize, series: usize) -> Option<(&str, &[u64; 4])> {
        match self {
            Self::Same(all) => all.get(series).map(|(metric, counts)| (&*metric.labels, counts)),
            Self::ByMetric(rows) => rows[family].get(series).map(|(labels, counts)| (&**labels, counts)),
        }
    }
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
                f if f <= HTTP.len() => self.http(&mut out, f - 1),
                f if f <= HTTP.len() + TCP.len() => self.tcp(&mut out, f - 1 - HTTP.len()),
                f if f == LINKERD => self.linkerd(&mut out),
                f if f == LINKERD + 1 && self.form == Exposition::OpenMetrics => {
                    out.push_str("# EOF\n");
                    self.next_family();
                }
                _ => break,
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

impl Scrape {
    /// One series of one HTTP family.
    fn http(&mut self, out: &mut String, place: usize) {
        let family = &HTTP[place];
        let Some((labels, grpc, values)) = self.requests.get(place, self.at.series) else {
            return self.next_family();
        };
        if self.at.series == 0 {
            let kind = if matches!(family.part, Part::Counter(_)) { "counter" } else { "histogram" };
            head(out, self.form, family.name, family.suffix(), kind, family.help);
        }
        match family.part {
            // Only gRPC has messages.
            Part::Counter(_) if family.grpc_only && !grpc => {}
            Part::Counter(part) => {
                let _ = writeln!(out, "{}_total{{{labels}}} {}", family.name, part(values));
            }
            Part::Histogram(part) => {
                let exemplars = values.exemplars.as_deref();
                let shown =
                    exemplars.filter(|_| self.form == Exposition::OpenMetrics && family.name == metric::DURATION);
                histogram(out, family.name, labels, part(values), shown);
            }
        }
        self.at.series += 1;
    }

    /// One series of one TCP family.
    fn tcp(&mut self, out: &mut String, family: usize) {
        let Some((labels, counts)) = self.tcp.get(family, self.at.series) else {
            return self.next_family();
        };
        let (name, help) = TCP[family];
        if self.at.series == 0 {
            head(out, self.form, name, "_total", "counter", help);
        }
        let _ = writeln!(out, "{name}_total{{{labels}}} {}", counts[family]);
        self.at.series += 1;
    }

    /// One series of Linkerd's.
    fn linkerd(&mut self, out: &mut String) {
        if self.linkerd.as_ref().is_some_and(|rows| rows.write(out, self.form, self.at.series)) {
            self.at.series += 1;
        } else {
            self.next_family();
        }
    }

    fn next_family(&mut self) {
        self.at = Cursor { family: self.at.family + 1, series: 0 };
    }

    /// What does not depend on traffic.
    fn process(&mut self, out: &mut String) {
        let form = self.form;
        let one = |out: &mut String, name: &str, suffix: &str, kind: &str, help: &str, value: &dyn Display| {
            head(out, form, name, suffix, kind, help);
            let _ = writeln!(out, "{name}{suffix} {value}");
        };
        head(out, form, metric::BUILD, "", "gauge", "Version of this proxy.");
        let _ = writeln!(out, "{}{{component=\"proxy\",tag=\"{}\"}} 1", metric::BUILD, self.version);
        let p = &self.process;
        let help = "Resident memory of the proxy, beside whatever its application says of its own process.";
        one(out, "leno_proxy_resident_memory_bytes", "", "gauge", help, &p.resident_bytes);
        let help = "CPU time that the proxy has used, in seconds.";
        one(out, "leno_proxy_cpu_seconds", "_total", "counter", help, &p.cpu_seconds);
        if !self.beside {
            one(out, "process_cpu_seconds", "_total", "counter", "CPU time used, in seconds.", &p.cpu_seconds);
            one(out, "process_resident_memory_bytes", "", "gauge", "Resident memory.", &p.resident_bytes);
            one(out, "process_start_time_seconds", "", "gauge", "Start since 1970, in seconds.", &p.started_seconds);
            one(out, "process_open_fds", "", "gauge", "Open file descriptors.", &p.open_fds);
        }
        let help = "Label sets that were counted under `overflow`, as the budget of 2000 was used up.";
        one(out, "leno_telemetry_overflow", "_total", "counter", help, &self.overflow);
        let help = "Access log lines that were dropped, as standard output took too long.";
        one(out, "leno_access_log_dropped", "_total", "counter", help, &self.log_lines_dropped);
        let [sent, dropped] = self.exported;
        let help = "Spans and log records that OTLP collectors have taken.";
        one(out, "leno_otlp_sent", "_total", "counter", help, &sent);
        let help = "Spans and log records that were dropped: the queue was full, or the collector did not take them.";
        one(out, "leno_otlp_dropped", "_total", "counter", help, &dropped);
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

/// OpenMetrics names a family without its counters' `_total`, the older format with it.
pub(super) fn head(out: &mut String, form: Exposition, name: &str, suffix: &str, kind: &str, help: &str) {
    let suffix = if form == Exposition::OpenMetrics { "" } else { suffix };
    let _ = writeln!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
}

fn histogram(out: &mut String, name: &str, labels: &str, histogram: &Histogram, exemplars: Option<&Exemplars>) {
    let exemplar = |out: &mut String, bucket: usize| {
        if let Some(e) = exemplars.and_then(|all| all[bucket]) {
            let at = e.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let _ = write!(out, " # {{trace_id=\"{}\",span_id=\"{}\"}} {} {at:.3}", e.trace, e.span, e.value);
        }
        out.push('\n');
    };
    for (bucket, (bound, count)) in histogram.cumulative().enumerate() {
        let _ = write!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        exemplar(out, bucket);
    }
    let count = histogram.count();
    let _ = write!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
    exemplar(out, Histogram::BUCKETS - 1);
    let _ = writeln!(out, "{name}_sum{{{labels}}} {}", histogram.sum());
    let _ = writeln!(out, "{name}_count{{{labels}}} {count}");
}

/// Place of Linkerd's series, behind the process' and Istio's.
const LINKERD: usize = 1 + HTTP.len() + TCP.len();
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

/// In the order of `TcpCounts::load`.
const TCP: [(&str, &str); 4] = [
    (metric::TCP_OPENED, "Opaque connections opened."),
    (metric::TCP_CLOSED, "Opaque connections closed."),
    (metric::TCP_SENT, "Bytes sent to clients of opaque connections."),
    (metric::TCP_RECEIVED, "Bytes received from clients of opaque connections."),
];
