//! A small histogram of durations with a bounded relative error, made to be added up across proxies.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Counts of durations in buckets that grow by a constant factor, so that any quantile is within 2.5 % of a recorded
/// value. From 1 us to 1 h; what is outside counts as the nearest end. At most 450 buckets, and only those in use take
/// room. As JSON: `[[bucket, count], …]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, u64)>", into = "Vec<(u16, u64)>")]
pub struct Sketch {
    /// By bucket, no zero counts.
    buckets: Vec<(u16, u64)>,
}

impl Sketch {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self { buckets: Vec::new() }
    }

    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        self.add(bucket_of(duration), 1);
    }

    /// Adds all of another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            self.add(*bucket, *count);
        }
    }

    /// What was counted since `earlier`, a former state of the same sketch. Where it is not one (the process that counts
    /// began anew), everything is new.
    #[must_use]
    pub fn subtract(&self, earlier: &Self) -> Self {
        if earlier.buckets.iter().any(|(bucket, count)| self.count_in(*bucket) < *count) {
            return self.clone();
        }
        let left = self.buckets.iter().map(|(bucket, count)| (*bucket, count - earlier.count_in(*bucket)));
        Self { buckets: left.filter(|(_, count)| *count > 0).collect() }
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The duration that a share `q` (0..=1) of all does not exceed; `None` where nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0u64;
        let within = self.buckets.iter().find(|(_, n)| {
            seen = seen.saturating_add(*n);
            seen >= rank
        });
        within.map(|(bucket, _)| middle_of(*bucket))
    }

    /// How many durations were at most `bound`, whose bucket counts whole.
    #[must_use]
    pub fn at_most(&self, bound: Duration) -> u64 {
        let last = bucket_of(bound);
        self.buckets.iter().take_while(|(bucket, _)| *bucket <= last).fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// About how long all of them took together, within the error of each.
    #[must_use]
    pub fn sum(&self) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds: f64 = self.buckets.iter().map(|(b, n)| middle_of(*b).as_secs_f64() * *n as f64).sum();
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// `(bucket, count)` by bucket.
    #[must_use]
    pub fn to_pairs(&self) -> Vec<(u16, u64)> {
        self.buckets.clone()
    }

    /// The same where they are.
    #[must_use]
    pub fn pairs(&self) -> &[(u16, u64)] {
        &self.buckets
    }

    /// From pairs in any order; unknown buckets count as the last one.
    #[must_use]
    pub fn from_pairs(pairs: impl IntoIterator<Item = (u16, u64)>) -> Self {
        let mut sketch = Self::new();
        for (bucket, count) in pairs {
            sketch.add(bucket, count);
        }
        sketch
    }

    fn add(&mut self, bucket: u16, count: u64) {
        if count == 0 {
            return;
        }
        let bucket = bucket.min(LAST_BUCKET);
        match self.buckets.binary_search_by_key(&bucket, |(b, _)| *b) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    fn count_in(&self, bucket: u16) -> u64 {
        self.buckets.binary_search_by_key(&bucket, |(b, _)| *b).map_or(0, |at| self.buckets[at].1)
    }
}

impl From<Vec<(u16, u64)>> for Sketch {
    fn from(pairs: Vec<(u16, u64)>) -> Self {
        Self::from_pairs(pairs)
    }
}

impl From<Sketch> for Vec<(u16, u64)> {
    fn from(sketch: Sketch) -> Self {
        sketch.buckets
    }
}

/// Bucket `i` holds microseconds above `GROWTH^(i-1)` up to `GROWTH^i`; bucket 0 holds 1 us and less.
fn bucket_of(duration: Duration) -> u16 {
    let micros = duration.as_secs_f64() * 1e6;
    if micros <= 1.0 {
        return 0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let bucket = (micros.ln() / GROWTH.ln()).ceil().min(f64::from(LAST_BUCKET)) as u16;
    bucket
}

/// The value whose relative distance to both ends of the bucket is the same.
fn middle_of(bucket: u16) -> Duration {
    let upper = GROWTH.powi(i32::from(bucket));
    let micros = if bucket == 0 { 1.0 } else { upper * 2.0 / (1.0 + GROWTH) };
    Duration::from_secs_f64(micros / 1e6)
}

/// (1 + e) / (1 - e) for an error e of 2.45 %, which leaves room for rounding below 2.5 %.
const GROWTH: f64 = 1.0245 / 0.9755;
/// The bucket of 1 h: ln(3.6e9) / ln(GROWTH), rounded up.
const LAST_BUCKET: u16 = 449;

#[cfg(test)]
mod tests;
