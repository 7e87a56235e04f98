//! Bodies that arrive on a stream.

use std::fmt;
use std::sync::Arc;
use std::task::Context;

use super::core::Core;
use crate::http::body::Polled;

/// A body that arrives. The peer may send more as it is taken; dropped before its end, the rest is not wanted.
pub struct Incoming {
    core: Arc<Core>,
    stream: u32,
    /// It is an answer's: without it the stream is of no use.
    answer: bool,
    /// Its end was taken.
    done: bool,
}

impl Incoming {
    pub(super) const fn request(core: Arc<Core>, stream: u32) -> Self {
        Self { core, stream, answer: false, done: false }
    }

    pub(super) const fn answer(core: Arc<Core>, stream: u32) -> Self {
        Self { core, stream, answer: true, done: false }
    }

    pub(in crate::http) fn poll_frame(&mut self, cx: &Context<'_>) -> Polled {
        let (polled, done) = self.core.poll_frame(self.stream, cx);
        self.done = done;
        polled
    }

    pub(in crate::http) fn is_end_stream(&self) -> bool {
        self.done || self.core.is_end_stream(self.stream)
    }

    pub(in crate::http) fn left(&self) -> Option<u64> {
        self.core.left(self.stream)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.core.let_go_unread(self.stream, self.answer);
    }
}
