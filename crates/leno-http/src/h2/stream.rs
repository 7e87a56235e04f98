//! One stream (RFC 9113, section 5.1).

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::chunks::Chunks;
use super::limits;
use super::window::{Credit, Window};
use crate::Fields;

/// What the peer may send on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receives {
    /// The head, interim ones before it.
    Head,
    /// Data, or trailers.
    Body,
    /// Nothing more.
    Nothing,
}

/// How the bytes that wait are followed.
#[derive(Debug)]
pub(super) enum After {
    /// More will come.
    Open,
    /// The end.
    End,
    /// The end, with trailers.
    Trailers(Box<Fields>),
    /// It has been sent.
    Sent,
}

/// A stream that is open on one side at least.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) receives: Receives,
    pub(super) credit: Credit,
    /// Bytes of the body still to come, where they are known.
    pub(super) expected: Option<u64>,
    /// The answer has no body, whatever its length says (HEAD).
    pub(super) bodiless: bool,
    pub(super) interim: u8,
    pub(super) window: Window,
    pub(super) queue: Chunks,
    pub(super) queued: usize,
    pub(super) after: After,
    /// It stands in the ring of those that can send.
    pub(super) in_ring: bool,
    /// Somebody waits for room in the queue.
    pub(super) awaited: bool,
}

impl Stream {
    pub(super) fn new(receives: Receives, credit: Credit, window: Window) -> Self {
        Self {
            receives,
            credit,
            expected: None,
            bodiless: false,
            interim: 0,
            window,
            queue: Chunks::default(),
            queued: 0,
            after: After::Open,
            in_ring: false,
            awaited: false,
        }
    }

    /// Counts body bytes against the length that was said; false where they do not agree.
    pub(super) fn counts(&mut self, n: usize, end: bool) -> bool {
        if let Some(expected) = &mut self.expected {
            match expected.checked_sub(n as u64) {
                Some(left) => *expected = left,
                None => return false,
            }
            return !end || *expected == 0;
        }
        true
    }

    pub(super) const fn is_ended(&self) -> bool {
        matches!(self.receives, Receives::Nothing) && matches!(self.after, After::Sent)
    }

    /// Whether there is something that could be sent now.
    pub(super) fn can_send(&self) -> bool {
        if self.queue.is_empty() {
            matches!(self.after, After::End | After::Trailers(_))
        } else {
            self.window.left() > 0
        }
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Both sides said all.
    Whole,
    /// This end reset it: the peer may not know yet.
    ResetHere,
    /// The peer reset it.
    ResetThere,
}

/// The streams that ended last.
#[derive(Debug, Default)]
pub(super) struct Closed(VecDeque<(u32, Ended)>);

impl Closed {
    pub(super) fn add(&mut self, stream: u32, how: Ended) {
        if self.0.len() == limits::CLOSED {
            self.0.pop_front();
        }
        self.0.push_back((stream, how));
    }

    pub(super) fn get(&self, stream: u32) -> Option<Ended> {
        self.0.iter().rev().find(|(s, _)| *s == stream).map(|(_, how)| *how)
    }
}

/// Something for each stream, by its number.
pub type ByStream<T> = HashMap<u32, T, BuildHasherDefault<ById>>;

/// A peer chooses its streams' numbers, but only upwards and in steps of two, so this spreads them well enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct ById(u64);

impl Hasher for ById {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u32(&mut self, n: u32) {
        // Fibonacci hashing: the table looks at the top bits and at the bottom ones.
        self.0 = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20);
    }
}
