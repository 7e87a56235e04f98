//! Going away without breaking what is under way.
//!
//! One [`Trigger`] per process, a [`Drain`] in every task. Draining has two moments: *started* (take nothing new, say
//! GOAWAY, finish what is active) and *forced* (the deadline is over: cut). Work that must be waited for holds an
//! [`Active`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Draining,
    Forced,
}

#[derive(Debug, Default)]
struct Count {
    active: AtomicUsize,
    none_left: Notify,
}

/// Makes a pair.
#[must_use]
pub fn channel() -> (Trigger, Drain) {
    let (phase, watch) = watch::channel(Phase::Running);
    let count = Arc::new(Count::default());
    (Trigger { phase, count: Arc::clone(&count) }, Drain { phase: watch, count })
}

/// Starts the drain and waits for its end. Dropping it forces, so that no task outlives its process by accident.
#[derive(Debug)]
pub struct Trigger {
    phase: watch::Sender<Phase>,
    count: Arc<Count>,
}

impl Trigger {
    /// Tells everybody, waits until no [`Active`] is held but at least `least` and at most `most`, and then forces. True
    /// when all ended by themselves.
    ///
    /// `least` is for those who have not heard yet that this process goes away: what they still send is served.
    pub async fn drain(self, least: Duration, most: Duration) -> bool {
        self.phase.send_replace(Phase::Draining);
        let begun = Instant::now();
        tokio::time::sleep(least.min(most)).await;
        let clean = tokio::time::timeout(most.saturating_sub(begun.elapsed()), self.count.idle()).await.is_ok();
        self.phase.send_replace(Phase::Forced);
        clean
    }

    /// How many [`Active`] are held.
    #[must_use]
    pub fn active(&self) -> usize {
        self.count.active.load(Ordering::Acquire)
    }
}

impl Count {
    async fn idle(&self) {
        loop {
            // Registered before the count is read, so that a release in between is not missed.
            let released = self.none_left.notified();
            if self.active.load(Ordering::Acquire) == 0 {
                return;
            }
            released.await;
        }
    }
}

/// A task's view of the drain. Cheap to clone; holding one holds nothing up.
#[derive(Clone, Debug)]
pub struct Drain {
    phase: watch::Receiver<Phase>,
    count: Arc<Count>,
}

impl Drain {
    /// One that never drains, for tests and tools.
    #[must_use]
    pub fn never() -> Self {
        let (trigger, drain) = channel();
        // Keeps the sender for good: its drop would force.
        std::mem::forget(trigger);
        drain
    }

    /// Whether it has started: take nothing new.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() >= Phase::Draining
    }

    /// Resolves when the drain starts.
    pub async fn started(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Resolves when the deadline is over, or all that was waited for has ended: cut what is left.
    pub async fn forced(&self) {
        self.reached(Phase::Forced).await;
    }

    /// Holds up the end of the drain until it is dropped: one per request or connection under way.
    #[must_use]
    pub fn hold(&self) -> Active {
        self.count.active.fetch_add(1, Ordering::AcqRel);
        Active { count: Arc::clone(&self.count) }
    }

    async fn reached(&self, phase: Phase) {
        // An error means that the trigger is gone: the process is ending.
        let _ = self.phase.clone().wait_for(|p| *p >= phase).await;
    }
}

/// Something that a drain waits for.
#[derive(Debug)]
pub struct Active {
    count: Arc<Count>,
}

impl Drop for Active {
    fn drop(&mut self) {
        if self.count.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.count.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
