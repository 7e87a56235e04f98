//! Istio's histograms: 19 bounds and infinity, for durations and sizes alike (Envoy's defaults).

use leno_core::names::metric::DURATION_BUCKETS as BOUNDS;

/// Counts by bucket, not cumulative, and the sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    buckets: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Histogram {
    /// Buckets, infinity included.
    pub(super) const BUCKETS: usize = BOUNDS.len() + 1;

    pub(super) fn observe(&mut self, value: f64) {
        self.buckets[Self::bucket(value)] += 1;
        self.sum += value;
    }

    /// The bucket that `value` counts in.
    pub(super) fn bucket(value: f64) -> usize {
        BOUNDS.partition_point(|bound| *bound < value)
    }

    /// Adds another one.
    pub(super) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.sum += other.sum;
    }

    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// `(upper bound, observations up to it)`, without infinity.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.iter().zip(&self.buckets).scan(0, |so_far, (bound, count)| {
            *so_far += count;
            Some((*bound, *so_far))
        })
    }
}
