//! How many retries a destination bears.

use std::time::Duration;

/// A budget of retries beside requests: each request deposits a share of a retry, which is forgotten after a while.
///
/// The default is Linkerd's: 20 % of the requests of the last 10 s, and 10 retries a second in any case.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    ratio: f64,
    reserve: f64,
    slot_length: Duration,
    /// Deposits less withdrawals, by slice of the window.
    slots: [f64; SLOTS],
    /// Number of the slice that was written last, counted since the epoch of `now`.
    current: u64,
}

impl RetryBudget {
    /// `ratio` retries per request, over `ttl`, and `min_per_second` retries in any case.
    #[must_use]
    pub fn new(ratio: f64, ttl: Duration, min_per_second: u32) -> Self {
        let ttl = ttl.max(Duration::from_millis(10));
        Self {
            ratio: ratio.max(0.0),
            reserve: f64::from(min_per_second) * ttl.as_secs_f64(),
            slot_length: ttl / SLOTS_U32,
            slots: [0.0; SLOTS],
            current: 0,
        }
    }

    /// Notes a request (not a retry).
    pub fn deposit(&mut self, now: Duration) {
        let slot = self.advance(now);
        self.slots[slot] += self.ratio;
    }

    /// Takes one retry out of the budget; `false` where there is none left.
    pub fn withdraw(&mut self, now: Duration) -> bool {
        let slot = self.advance(now);
        let allowed = self.balance() >= 1.0;
        if allowed {
            self.slots[slot] -= 1.0;
        }
        allowed
    }

    /// Retries left, as of the last deposit or withdrawal.
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.reserve + self.slots.iter().sum::<f64>()
    }

    /// Forgets slices older than the window and returns the place of the present one.
    fn advance(&mut self, now: Duration) -> usize {
        let slice = nanos(now) / nanos(self.slot_length).max(1);
        // A clock that goes backwards writes into the last slice.
        if slice > self.current {
            let passed = (slice - self.current).min(SLOTS as u64);
            for step in 1..=passed {
                self.slots[place(self.current.wrapping_add(step))] = 0.0;
            }
            if passed == SLOTS as u64 {
                self.slots = [0.0; SLOTS];
            }
            self.current = slice;
        }
        place(self.current)
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(0.2, Duration::from_secs(10), 10)
    }
}

/// Narrow, as wide divisions are slow; 584 years fit.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn place(slice: u64) -> usize {
    usize::try_from(slice % SLOTS as u64).unwrap_or(0)
}

const SLOTS: usize = 10;
const SLOTS_U32: u32 = 10;
