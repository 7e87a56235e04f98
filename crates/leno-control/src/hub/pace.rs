//! How soon one push may follow another: at once, but after a push to many proxies no sooner than its own cost allows.
//!
//! A change that comes alone never waits. Where changes that concern many proxies come thick and fast, they are sent together:
//! the work per second is bounded, and a change waits at most [`MOST`].

use std::time::Duration;

use tokio::time::Instant;

/// A push to so many proxies costs next to nothing.
const FEW: usize = 32;
/// Rest for each proxy more. To tell one and to hear its answer costs some 0.07 ms of CPU: this keeps all of them at a tenth of
/// a core, up to where the longest rest is reached.
const EACH: Duration = Duration::from_millis(1);
/// Longest rest.
const MOST: Duration = Duration::from_millis(150);

/// When the last push was over and done with.
#[derive(Debug, Default)]
pub(super) struct Pace {
    rests_until: Option<Instant>,
}

impl Pace {
    /// A push that began at `start` told so many proxies.
    pub(super) fn pushed(&mut self, start: Instant, told: usize) {
        let more = u32::try_from(told.saturating_sub(FEW)).unwrap_or(u32::MAX);
        self.rests_until = Some(start + EACH.saturating_mul(more).min(MOST));
    }

    /// How long the next push has to wait.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_push_to_many_makes_the_next_one_wait() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.rest(now), Duration::ZERO);
        pace.pushed(now, FEW);
        assert_eq!(pace.rest(now), Duration::ZERO);
        pace.pushed(now, FEW + 100);
        assert_eq!(pace.rest(now), Duration::from_millis(100));
        assert_eq!(pace.rest(now + Duration::from_millis(99)), Duration::from_millis(1));
        assert_eq!(pace.rest(now + Duration::from_secs(1)), Duration::ZERO);
        pace.pushed(now, 1_000_000);
        assert_eq!(pace.rest(now), MOST);
    }
}
