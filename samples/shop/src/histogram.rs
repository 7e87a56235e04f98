//! Latencies in fixed memory: counts in buckets at most 0.1 % wide.

use std::time::Duration;

/// A histogram of durations from 1 µs to 71 minutes, exact below 2 ms and within 1/1024 above.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum_us: u64,
    min_us: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; index(u32::MAX) + 1], total: 0, sum_us: 0, min_us: u64::MAX, max_us: 0 }
    }
}

impl Histogram {
    /// Adds one duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let us = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        self.counts[index(us)] += 1;
        self.total += 1;
        self.sum_us += u64::from(us);
        self.min_us = self.min_us.min(u64::from(us));
        self.max_us = self.max_us.max(u64::from(us));
    }

    /// How many were recorded.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The duration, in milliseconds, that the share `q` (0..=1) of all does not exceed (nearest rank); `None` when
    /// empty.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        if self.total == 0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
        let rank = ((self.total as f64 * q).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(milliseconds(middle(bucket).clamp(self.min_us, self.max_us)))
    }

    /// Mean in milliseconds.
    pub(crate) fn mean(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)]
        (self.total > 0).then(|| self.sum_us as f64 / self.total as f64 / 1e3)
    }

    /// Shortest, in milliseconds.
    pub(crate) fn min(&self) -> Option<f64> {
        (self.total > 0).then(|| milliseconds(self.min_us))
    }

    /// Longest, in milliseconds.
    pub(crate) fn max(&self) -> Option<f64> {
        (self.total > 0).then(|| milliseconds(self.max_us))
    }
}

/// Bucket of a duration: the value itself below 2^11, then 1024 buckets for each power of two.
fn index(us: u32) -> usize {
    let shift = (32 - us.leading_zeros()).saturating_sub(BITS + 1);
    (shift as usize) * (1 << BITS) + (us >> shift) as usize
}

/// The middle of a bucket, microseconds.
fn middle(bucket: usize) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    let low = ((bucket - (shift << BITS)) as u64) << shift;
    low + ((1_u64 << shift) - 1) / 2
}

fn milliseconds(us: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let us = us as f64;
    us / 1e3
}

/// Each power of two is divided into 2^BITS buckets.
const BITS: u32 = 10;

#[cfg(test)]
mod tests;
