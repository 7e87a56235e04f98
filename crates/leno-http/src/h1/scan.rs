//! Where a head ends.

use memchr::memchr;

use super::fields::BadHead;
use super::limits;

/// Finds the end of a head in bytes that arrive bit by bit, without looking at any byte twice.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    seen: usize,
    line: usize,
}

impl Scan {
    /// The length of the head with its empty line; `None` while it is not whole. `bytes` begins with the head, and holds all
    /// bytes of the call before.
    ///
    /// # Errors
    /// Where a line ends without a carriage return, or the head is longer than [`limits::HEAD`].
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadHead> {
        self.end_within(bytes, limits::HEAD)
    }

    pub(super) fn end_within(&mut self, bytes: &[u8], limit: usize) -> Result<Option<usize>, BadHead> {
        while let Some(at) = memchr(b'\n', bytes.get(self.seen..).unwrap_or_default()) {
            let feed = self.seen + at;
            if feed == self.line || bytes[feed - 1] != b'\r' {
                return Err(BadHead::BareLineFeed);
            }
            let empty = feed == self.line + 1;
            self.seen = feed + 1;
            self.line = feed + 1;
            if self.line > limit {
                return Err(BadHead::TooLarge);
            }
            if empty {
                return Ok(Some(self.line));
            }
        }
        self.seen = bytes.len();
        if bytes.len() > limit { Err(BadHead::TooLarge) } else { Ok(None) }
    }
}

/// Bytes of an empty line before a request, which some clients send after a body (RFC 9112, section 2.2); at most one is
/// passed over. `None`: that depends on the next byte.
#[must_use]
pub fn blank(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r'] | [] => None,
        _ => Some(0),
    }
}
