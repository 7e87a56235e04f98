//! Traces and durations. A record and a log line are the proxy's: `leno-proxy/benches/telemetry.rs`.

use std::time::Duration;

use divan::{Bencher, black_box};
use leno_core::sketch::Sketch;
use leno_core::trace::Context;

use crate::request::REQUEST;

#[divan::bench]
fn read_trace_context(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Context::read(|name| find(black_box(&REQUEST), name)).expect("a context"));
}

fn find<'r>(fields: &[(&str, &'r str)], name: &str) -> Option<&'r str> {
    fields.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
}

/// What the next hop is told.
#[divan::bench]
fn write_trace_context(bencher: Bencher<'_, '_>) {
    let context = Context::read(|name| find(&REQUEST, name)).expect("a context");
    bencher.bench(|| black_box(&context).traceparent());
}

/// Into a sketch that has seen every duration before: one millisecond to one second.
#[divan::bench]
fn record_duration(bencher: Bencher<'_, '_>) {
    let mut sketch = Sketch::new();
    let mut millis = (1..=1000).cycle();
    (1..=1000).for_each(|n| sketch.record(Duration::from_millis(n)));
    bencher.bench_local(|| sketch.record(Duration::from_millis(millis.next().unwrap_or(1))));
}
