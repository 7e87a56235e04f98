//! What the test clients print: counts and percentiles, as text or JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::histogram::Histogram;
use serde_json::{Map, Value, json};

/// What came of one request.
pub(crate) struct Outcome {
    /// HTTP status; `None` without an answer or for plain TCP.
    pub(crate) status: Option<u16>,
    /// gRPC status.
    pub(crate) grpc: Option<u32>,
    /// Whether it counts as a success: answered in full, not 5xx, gRPC OK.
    pub(crate) good: bool,
    /// Kind of error where there was no full answer: `refused`, `reset`, `timeout` …
    pub(crate) error: Option<&'static str>,
    /// Details for people.
    pub(crate) detail: String,
    /// `version` of the answer's body.
    pub(crate) version: Option<String>,
    /// `pod` of the answer's body.
    pub(crate) pod: Option<String>,
}

impl Outcome {
    /// No full answer.
    pub(crate) fn failed(kind: &'static str, detail: String) -> Self {
        Self { status: None, grpc: None, good: false, error: Some(kind), detail, version: None, pod: None }
    }
}

/// Everything that came of a run.
#[derive(Default)]
pub(crate) struct Report {
    good: u64,
    status: BTreeMap<u16, u64>,
    grpc: BTreeMap<u32, u64>,
    errors: BTreeMap<&'static str, u64>,
    versions: BTreeMap<String, u64>,
    pods: BTreeMap<String, u64>,
    latency: Histogram,
    examples: Vec<String>,
}

impl Report {
    /// Adds one request that took `latency` and ended `at` after the run's start.
    pub(crate) fn add(&mut self, outcome: Outcome, latency: Duration, at: Duration) {
        self.latency.record(latency);
        self.good += u64::from(outcome.good);
        if let Some(status) = outcome.status {
            *self.status.entry(status).or_default() += 1;
        }
        if let Some(code) = outcome.grpc {
            *self.grpc.entry(code).or_default() += 1;
        }
        if let Some(kind) = outcome.error {
            *self.errors.entry(kind).or_default() += 1;
        }
        if let Some(version) = outcome.version {
            *self.versions.entry(version).or_default() += 1;
        }
        if let Some(pod) = outcome.pod {
            *self.pods.entry(pod).or_default() += 1;
        }
        if !outcome.good && self.examples.len() < EXAMPLES {
            let status = outcome.status.map(|s| format!("{s} ")).unwrap_or_default();
            self.examples.push(format!("at {:.3}s: {status}{}", at.as_secs_f64(), outcome.detail.trim()));
        }
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.latency.total()
    }

    /// Requests that did not succeed.
    pub(crate) fn failed(&self) -> u64 {
        self.requests() - self.good
    }

    /// As one JSON object.
    pub(crate) fn json(&self, seconds: f64) -> Value {
        let numbers = |map: &BTreeMap<_, u64>| map.iter().map(|(k, v): (&u16, _)| (k.to_string(), json!(v))).collect();
        let statuses: Map<String, Value> = numbers(&self.status);
        let grpc: Map<String, Value> = self.grpc.iter().map(|(k, v)| (k.to_string(), json!(v))).collect();
        json!({
            "requests": self.requests(),
            "success": self.good,
            "failed": self.failed(),
            "success_rate": self.rate(),
            "seconds": seconds,
            "rps": self.rps(seconds),
            "statuses": statuses,
            "grpc": grpc,
            "errors": self.errors,
            "versions": self.versions,
            "pods": self.pods,
            "latency_ms": {
                "min": self.latency.min(),
                "mean": self.latency.mean(),
                "p50": self.latency.quantile(0.50),
                "p90": self.latency.quantile(0.90),
                "p95": self.latency.quantile(0.95),
                "p99": self.latency.quantile(0.99),
                "max": self.latency.max(),
            },
            "examples": self.examples,
        })
    }

    /// As lines for people.
    pub(crate) fn text(&self, seconds: f64) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "requests   {} in {seconds:.1}s, {:.1}/s", self.requests(), self.rps(seconds));
        let _ = writeln!(out, "success    {:.2}% ({} failed)", self.rate() * 100.0, self.failed());
        line(&mut out, "status", &self.status);
        line(&mut out, "grpc", &self.grpc);
        line(&mut out, "errors", &self.errors);
        line(&mut out, "versions", &self.versions);
        if self.pods.len() > 1 {
            line(&mut out, "pods", &self.pods);
        }
        if let (Some(p50), Some(p90), Some(p95), Some(p99), Some(max)) = (
            self.latency.quantile(0.50),
            self.latency.quantile(0.90),
            self.latency.quantile(0.95),
            self.latency.quantile(0.99),
            self.latency.max(),
        ) {
            let _ = writeln!(
                out,
                "latency    p50 {p50:.2}ms  p90 {p90:.2}ms  p95 {p95:.2}ms  p99 {p99:.2}ms  max {max:.2}ms"
            );
        }
        for example in &self.examples {
            let _ = writeln!(out, "failure    {example}");
        }
        out
    }

    fn rate(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        if self.requests() == 0 { 1.0 } else { self.good as f64 / self.requests() as f64 }
    }

    fn rps(&self, seconds: f64) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        if seconds > 0.0 { self.requests() as f64 / seconds } else { 0.0 }
    }
}

fn line<K: std::fmt::Display>(out: &mut String, name: &str, counts: &BTreeMap<K, u64>) {
    if counts.is_empty() {
        return;
    }
    let total: u64 = counts.values().sum();
    let all = counts.iter().map(|(key, count)| {
        #[allow(clippy::cast_precision_loss)]
        let share = *count as f64 / total as f64 * 100.0;
        format!("{key}: {count} ({share:.1}%)")
    });
    let _ = writeln!(out, "{name:<10} {}", all.collect::<Vec<_>>().join("  "));
}

/// How many failures are told in words.
const EXAMPLES: usize = 5;

#[cfg(test)]
mod tests;
