//! Golden signals over time, one line per thing. Pure, as [`crate::query`], and by its conventions of who counts what.

use std::collections::BTreeMap;
use std::time::Duration;

use leno_core::sketch::Sketch;
use serde::Serialize;

use crate::model::Question;
use crate::query::{Flow, View, failed};
use crate::window::{Frame, Requests, Window};

/// `GET /api/v1/series`.
#[derive(Debug, PartialEq, Serialize)]
pub struct Series {
    /// When the first step begins, milliseconds since 1970.
    pub start_ms: u64,
    /// Length of a step.
    pub step_ms: u64,
    /// By namespace and name.
    pub rows: Vec<Line>,
}

/// One thing over time: a figure for each step, the oldest first.
#[derive(Debug, PartialEq, Serialize)]
pub struct Line {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Requests a second.
    pub rps: Vec<f64>,
    /// Failures a second.
    pub failed: Vec<f64>,
    /// Median latency, milliseconds; `None` where there was no request. Empty unless asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub p50_ms: Vec<Option<f64>>,
    /// 95th percentile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub p95_ms: Vec<Option<f64>>,
    /// 99th percentile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub p99_ms: Vec<Option<f64>>,
}

/// The steps that a window is divided into: at least five seconds each, on whole multiples, so that a figure does not change
/// when it is asked for again.
#[must_use]
pub fn steps(window: Duration, now: u64) -> (u64, u64, usize) {
    let length = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(SHORTEST);
    let step = (length / STEPS as u64).div_ceil(SHORTEST).max(1) * SHORTEST;
    let count = length.div_ceil(step).max(2);
    // The step that is going on is not shown: it would look like a fall.
    let end = now / step * step;
    (end.saturating_sub(count * step), step, usize::try_from(count).unwrap_or(STEPS))
}

/// Series of what a question selects; percentiles only with `detail`.
#[must_use]
pub fn series(window: &Window, question: &Question, detail: bool, now: u64) -> Series {
    let view = View::new(question);
    let (start_ms, step_ms, count) = steps(question.window, now);
    // Nothing was seen before the window began, which is not the same as no request.
    let unseen = window.began().saturating_sub(start_ms) / step_ms;
    let unseen = usize::try_from(unseen).unwrap_or(count).min(count - 1);
    let (start_ms, count) = (start_ms + unseen as u64 * step_ms, count - unseen);
    let mut lines: BTreeMap<(String, String), Draft> = BTreeMap::new();
    for (id, proxy) in window.proxies() {
        // Twice what is asked for: the last scrape may lie behind, and its frames reach back.
        let span = proxy.span(question.window * 2, now);
        for frame in &span.frames {
            for (labels, coded) in frame.requests() {
                let Some(name) = view.row(id, proxy, &Flow::of_request(labels)) else { continue };
                let draft = lines.entry(name).or_insert_with(|| Draft::new(count));
                draft.add(frame, &coded.get(), failed(labels), (start_ms, step_ms));
            }
        }
    }
    let rows = lines.into_iter().map(|(name, draft)| draft.finish(name, detail, step_ms)).collect();
    Series { start_ms, step_ms, rows }
}

struct Draft {
    requests: Vec<f64>,
    failed: Vec<f64>,
    sketches: Vec<Sketch>,
}

impl Draft {
    fn new(count: usize) -> Self {
        Self { requests: vec![0.0; count], failed: vec![0.0; count], sketches: vec![Sketch::default(); count] }
    }

    /// A frame's requests are spread evenly over its time; its latencies count for every step that it touches by half or more,
    /// or in which it lies.
    fn add(&mut self, frame: &Frame, requests: &Requests, failed: bool, (start, step): (u64, u64)) {
        let (from, to) = frame.times();
        let length = to.saturating_sub(from).max(1);
        for index in 0..self.requests.len() {
            let begin = start + index as u64 * step;
            let shared = to.min(begin + step).saturating_sub(from.max(begin));
            if shared == 0 {
                continue;
            }
            let count = requests.count as f64 * shared as f64 / length as f64;
            self.requests[index] += count;
            self.failed[index] += if failed { count } else { 0.0 };
            if shared * 2 >= length.min(step) {
                self.sketches[index].merge(&requests.sketch);
            }
        }
    }

    fn finish(self, (namespace, name): (String, String), detail: bool, step: u64) -> Line {
        let rate = |counts: Vec<f64>| counts.into_iter().map(|n| n * 1000.0 / step as f64).collect();
        let quantile = |q: f64| -> Vec<Option<f64>> {
            let of = |s: &Sketch| s.quantile(q).map(|d| d.as_secs_f64() * 1000.0);
            if detail { self.sketches.iter().map(of).collect() } else { Vec::new() }
        };
        let (p50_ms, p95_ms, p99_ms) = (quantile(0.5), quantile(0.95), quantile(0.99));
        Line { namespace, name, rps: rate(self.requests), failed: rate(self.failed), p50_ms, p95_ms, p99_ms }
    }
}

/// Steps of a series, about.
const STEPS: usize = 60;
/// Shortest step, milliseconds.
const SHORTEST: u64 = 5000;

#[cfg(test)]
mod tests;
