//! Waiting longer and longer between attempts, without everybody waiting alike.

use std::time::Duration;

/// Exponential back-off with full jitter in its upper half: attempt n waits between half and all of
/// `min(cap, first * 2^n)`. Holds no clock and no source of chance: the caller brings both.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts at `first` and never waits longer than `cap`.
    #[must_use]
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, attempt: 0 }
    }

    /// How long to wait now. `random` is in `0..1`.
    pub fn wait(&mut self, random: f64) -> Duration {
        let whole = self.first.saturating_mul(1 << self.attempt.min(20)).min(self.cap);
        self.attempt = self.attempt.saturating_add(1);
        whole.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }

    /// Attempts since the last success.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempt
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..5).map(|_| backoff.wait(1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000]);
        backoff.reset();
        assert_eq!(backoff.wait(0.0), Duration::from_millis(50));
    }

    #[test]
    fn a_thousand_attempts_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(3), Duration::from_secs(30));
        for _ in 0..1000 {
            assert!(backoff.wait(1.0) <= Duration::from_secs(30));
        }
    }
}
