//! Bodies that arrive on a stream.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::core::Core;
use crate::http::body::{Frame, Polled};

/// An answer's body, once its head is here.
#[derive(Debug)]
pub enum Arrived {
    /// All of it came with its head, which may say how long it is; its stream is over.
    Whole(Bytes, Option<u64>),
    /// It is still to come.
    Open(Incoming),
}

/// A body that arrives. The peer may send more as it is taken; dropped before its end, the rest is not wanted.
pub struct Incoming {
    core: Arc<Core>,
    stream: u32,
    /// It is an answer's: without it the stream is of no use.
    answer: bool,
    /// Bytes still to come, where its head said how many.
    left: Option<u64>,
    /// Its end was taken.
    done: bool,
    /// Its stream has been let go of.
    released: bool,
}

impl Incoming {
    /// A request's; `left` is the length that its head says.
    pub(super) const fn request(core: Arc<Core>, stream: u32, left: Option<u64>) -> Self {
        Self { core, stream, answer: false, left, done: false, released: false }
    }

    /// An answer's, whose head is still to come.
    pub(super) const fn answer(core: Arc<Core>, stream: u32) -> Self {
        Self { core, stream, answer: true, left: None, done: false, released: false }
    }

    /// The head is here. Where the `whole` body came with it, nobody needs the stream any more.
    pub(super) fn arrived(mut self, left: Option<u64>, whole: Option<Bytes>) -> Arrived {
        self.left = left;
        match whole {
            Some(bytes) => {
                self.released = true;
                Arrived::Whole(bytes, left)
            }
            None => Arrived::Open(self),
        }
    }

    pub(in crate::http) fn poll_frame(&mut self, cx: &Context<'_>) -> Polled {
        let (polled, done) = self.core.poll_frame(self.stream, cx);
        self.done = done;
        if let (Poll::Ready(Some(Ok(Frame::Data(data)))), Some(left)) = (&polled, &mut self.left) {
            *left = left.saturating_sub(data.len() as u64);
        }
        polled
    }

    pub(in crate::http) fn is_end_stream(&self) -> bool {
        self.done || self.core.is_end_stream(self.stream)
    }

    pub(in crate::http) const fn left(&self) -> Option<u64> {
        self.left
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.released {
            self.core.let_go_unread(self.stream, self.answer);
        }
    }
}
