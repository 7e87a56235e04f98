//! Bodies that arrive on a stream.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::core::Core;
use crate::http::body::BodyError;

/// A body that arrives. The peer may send more as it is taken; dropped before its end, the rest is not wanted.
pub struct Incoming {
    core: Arc<Core>,
    stream: u32,
    /// It is an answer's: without it the stream is of no use.
    answer: bool,
}

impl Incoming {
    pub(super) const fn request(core: Arc<Core>, stream: u32) -> Self {
        Self { core, stream, answer: false }
    }

    pub(super) const fn answer(core: Arc<Core>, stream: u32) -> Self {
        Self { core, stream, answer: true }
    }

    pub(in crate::http) fn poll_frame(&self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.core.poll_frame(self.stream, cx)
    }

    pub(in crate::http) fn is_end_stream(&self) -> bool {
        self.core.is_end_stream(self.stream)
    }

    pub(in crate::http) fn size_hint(&self) -> SizeHint {
        self.core.size_hint(self.stream)
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
