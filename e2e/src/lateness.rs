//! How late this machine wakes who has slept.
//!
//! A load generator measures more than its proxy does: the time until the proxy is woken for the request, and until it is woken
//! itself for the answer. With nothing else to do that is a fraction of a millisecond; beside a neighbour's burst it is many. Who
//! compares the two measures it meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{figure, percentile};

/// Being measured.
pub struct Lateness {
    over: Arc<AtomicBool>,
    sleeper: JoinHandle<Vec<f64>>,
}

/// Milliseconds.
pub struct Late(Vec<f64>);

impl Lateness {
    /// Begins to sleep and to look at the clock.
    #[must_use]
    pub fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let sleeper = std::thread::spawn(move || {
            let mut late = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                std::thread::sleep(NAP);
                late.push(begun.elapsed().saturating_sub(NAP).as_secs_f64() * 1000.0);
            }
            late
        });
        Self { over, sleeper }
    }

    /// Ends it, and prints what it found.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn end(self) -> Late {
        self.over.store(true, Ordering::Relaxed);
        let late = Late(self.sleeper.join().expect("it only sleeps"));
        let measured = [50.0, 95.0, 99.0].map(|p| format!("{:.2}", percentile(&late.0, p / 100.0))).join(" / ");
        figure("this machine wakes sleepers late by, ms", &measured, "p50 / p95 / p99, for information");
        late
    }
}

impl Late {
    /// `percent`, and what the machine adds to a latency of `millis` at that percentile.
    #[must_use]
    pub fn tolerance(&self, percent: f64, p: f64, millis: f64) -> f64 {
        percent + WAKE_UPS * percentile(&self.0, p / 100.0) / millis * 100.0
    }
}

const NAP: Duration = Duration::from_millis(2);
/// The proxy for the request's head, the generator for the answer's, and for its body.
const WAKE_UPS: f64 = 3.0;
