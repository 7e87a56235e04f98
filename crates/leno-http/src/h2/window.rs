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
    left: u32,
    /// Taken by who wanted the bytes, and not yet given back to the peer.
    owed: u32,
}

impl Credit {
    pub(super) const fn new(size: u32) -> Self {
        Self { size, left: size, owed: 0 }
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
        if self.owed < self.size / 2 {
            return None;
        }
        let increment = std::mem::take(&mut self.owed);
        self.left += increment;
        Some(increment)
    }
}

/// The widest window.
const MOST: i64 = (1 << 31) - 1;
/// The window of everything before anybody has said anything.
pub(super) const INITIAL: u32 = 65_535;
