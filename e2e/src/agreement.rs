//! Whether leno-viz and the load generator tell the same of the same time.

use serde_json::Value;

use crate::figure;
use crate::fortio::Requests;

/// What is compared, figure by figure.
#[derive(Debug)]
pub struct Agreement {
    last: bool,
    /// Whether all figures agreed so far.
    pub holds: bool,
}

impl Agreement {
    /// The machine is small, and a neighbour's burst moves the generator's own clock. So a test may try several times; what does
    /// not agree fails it only the `last` time.
    #[must_use]
    pub const fn new(last: bool) -> Self {
        Self { last, holds: true }
    }

    /// Golden signals of a row against the requests that ended in the time which the row covers. `unit` is what names of
    /// latencies end with.
    ///
    /// # Panics
    /// Where a figure is missing, or not right and there is no other chance.
    pub fn signals(&mut self, what: &str, row: &Value, unit: &str, requests: &Requests) {
        let of = |at: &str| row.pointer(at).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {at} in {row:#}"));
        let (from, to) = (of("/covered/from_ms"), of("/covered/to_ms"));
        let sent = requests.between(from, to);
        self.near(&format!("{what} RPS"), of("/rps"), sent.count() * 1000.0 / (to - from), RATES);
        self.near(&format!("{what} success"), of("/success"), sent.success(), RATES);
        for p in [50.0, 95.0, 99.0] {
            self.near(&format!("{what} p{p} ms"), of(&format!("/p{p}{unit}")), sent.percentile(p), PERCENTILES);
        }
    }

    /// One figure, within so many percent.
    ///
    /// # Panics
    /// Where it is not and there is no other chance.
    pub fn near(&mut self, what: &str, ours: f64, theirs: f64, percent: f64) {
        let off = (ours - theirs).abs() / theirs.abs().max(f64::EPSILON) * 100.0;
        let measured = format!("{ours:.3} / {theirs:.3} ({off:.1} % apart)");
        figure(&format!("{what} / fortio"), &measured, &format!("within {percent} %"));
        self.holds &= off <= percent;
        assert!(self.holds || !self.last, "{what}: {measured}");
    }
}

/// Percent that rates and shares may be apart.
pub const RATES: f64 = 2.0;
/// Percent that percentiles may be apart: half of it is the sketch's, the rest for the generator's hop to its sidecar.
pub const PERCENTILES: f64 = 5.0;
