//! Flow control (RFC 9113, section 5.2).

/// What this end may send. A peer that makes its initial window smaller can push it below zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window(i64);

impl Window {
    pub(super) const fn new(size: u32) -> Self {
        Self(size as i64)
    }

    /// Bytes that may be sent now.
    pub(super) fn left(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// Counts what is sent; never more than [`Self::left`].
    pub(super) const fn take(&mut self, n: usize) {
        self.0 -= n as i64;
    }

    /// Makes it wider or narrower; false where it becomes too wide (section 6.9.1).
    #[must_use]
    pub(super) const fn shift(&mut self, by: i64) -> bool {
        self.0 += by;
        self.0 <= MOST
    }
}

/// What the peer may send, and what it is to be told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    size: u32,
    /// By how much it has become wider...
    grown: u32,
    /// ...and may still become.
    room: u32,
    left: u32,
    /// Taken by who wanted the bytes, and not yet given back to the peer.
    owed: u32,
}

impl Credit {
    pub(super) const fn new(size: u32) -> Self {
        Self { size, grown: 0, room: 0, left: size, owed: 0 }
    }

    /// One that may become wider, up to [`GROWTH`] times.
    pub(super) const fn growing(size: u32) -> Self {
        Self { room: size.saturating_mul(GROWTH - 1), ..Self::new(size) }
    }

    /// Counts what came; false where it is more than was allowed.
    #[must_use]
    pub(super) fn received(&mut self, n: usize) -> bool {
        match u32::try_from(n).ok().and_then(|n| self.left.checked_sub(n)) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Counts what was taken. The increment to tell the peer, once it is worth a frame.
    pub(super) fn consumed(&mut self, n: usize) -> Option<u32> {
        self.owed = self.owed.saturating_add(u32::try_from(n).unwrap_or(u32::MAX)).min(self.size - self.left);
        if self.owed < (self.size / 2).min(WORTH) {
            return None;
        }
        let increment = std::mem::take(&mut self.owed);
        self.left += increment;
        Some(increment)
    }

    /// Whether it should be wider: as long as what comes is taken at once, the peer waits for the window and not for the reader. Who
    /// does not read keeps it as it is.
    pub(super) const fn is_tight(&self) -> bool {
        self.room > 0 && self.size - self.left <= self.size / 8
    }

    /// Makes it twice as wide, but wider by `most` at most. By how much it was.
    pub(super) fn widen(&mut self, most: u32) -> u32 {
        let wider = self.size.min(self.room).min(most);
        self.room -= wider;
        self.grown += wider;
        self.size += wider;
        self.left += wider;
        wider
    }

    /// By how much it is wider than it began.
    pub(super) const fn grown(&self) -> u32 {
        self.grown
    }
}

/// The widest window.
const MOST: i64 = (1 << 31) - 1;
/// The window of everything before anybody has said anything.
pub(super) const INITIAL: u32 = 65_535;
/// A stream's window becomes so many times as wide at most.
const GROWTH: u32 = 16;
/// So many bytes are given back by a frame of their own, half the window or not: the peer, which may have to wait for its turn on a
/// processor, shall not see the end of a wide window.
const WORTH: u32 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::Credit;

    #[test]
    fn a_window_grows_with_a_reader_that_keeps_up_and_not_with_one_that_does_not() {
        let mut credit = Credit::growing(1000);
        let mut told = Vec::new();
        for _ in 0..300 {
            assert!(credit.received(100));
            if let Some(back) = credit.consumed(100) {
                told.push(back + if credit.is_tight() { credit.widen(u32::MAX) } else { 0 });
            }
        }
        // Half of each window comes back, and as much again as the window had, until it is sixteen times as wide.
        assert_eq!(told[..5], [500 + 1000, 1000 + 2000, 2000 + 4000, 4000 + 8000, 8000]);
        assert_eq!(credit.grown(), 15_000);

        let mut credit = Credit::growing(1000);
        assert!(credit.received(1000));
        assert!(!credit.received(1), "no more than was allowed");
        for _ in 0..10 {
            // What lies unread when the peer is told counts.
            assert_eq!(credit.consumed(500), Some(500));
            assert!(!credit.is_tight());
            assert!(credit.received(500) && !credit.received(1));
        }

        let mut fixed = Credit::new(1000);
        assert!(fixed.received(1000));
        assert_eq!(fixed.consumed(1000), Some(1000));
    }
}
