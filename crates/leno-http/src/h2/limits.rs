//! What a peer may make this end do or hold. Each limit has a test.

use std::time::Duration;

/// Streams at once that a client may open.
pub const STREAMS: u32 = 250;
/// Longest header list, as RFC 9113 counts it (section 6.5.2): names, values, and 32 bytes for each field.
pub const HEADER_LIST: usize = 64 * 1024;
/// Longest header block as it is sent, all its frames together. Longer, the connection is ended.
pub const BLOCK: usize = 80 * 1024;
/// CONTINUATION frames of one header block.
pub const CONTINUATIONS: u32 = 16;
/// Longest payload of a frame: the protocol's default, and what fits into a TLS record.
pub const FRAME: usize = 16 * 1024;
/// Interim responses (1xx) to one request.
pub const INTERIM: u8 = 16;
/// Streams that the peer resets, or makes this end reset, before they have ended: so many at once...
pub const RESETS: u32 = 1000;
/// ...and so many each second. A stream that ends as it should allows one more.
pub const RESETS_PER_SECOND: u32 = 100;
/// Frames that bring nothing on (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones): so many at once...
pub const USELESS: u32 = 4000;
/// ...and so many each second.
pub const USELESS_PER_SECOND: u32 = 1000;
/// What each frame with a message's head or bytes, sent or received, allows of useless ones: window updates and pings follow
/// from them.
pub const USELESS_PER_USEFUL: u32 = 4;
/// Answers to the peer's control frames that wait to be sent.
pub const CONTROL_QUEUE: u32 = 2000;
/// Ended streams that are remembered, to tell a late frame from a wrong one.
pub const CLOSED: usize = 128;

/// Something that the peer has so much of, and gets back as time goes by.
#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    most: u32,
    per_second: u32,
    at: Duration,
}

impl Budget {
    pub(super) const fn new(most: u32, per_second: u32) -> Self {
        Self { left: most, most, per_second, at: Duration::ZERO }
    }

    /// Takes one; false where nothing is left.
    pub(super) fn spend(&mut self, now: Duration) -> bool {
        let gained = now.saturating_sub(self.at).as_millis() * u128::from(self.per_second) / 1000;
        if gained > 0 {
            self.earn(u32::try_from(gained).unwrap_or(u32::MAX));
            self.at = now;
        }
        let fits = self.left > 0;
        self.left = self.left.saturating_sub(1);
        fits
    }

    pub(super) fn earn(&mut self, n: u32) {
        self.left = self.left.saturating_add(n).min(self.most);
    }
}
