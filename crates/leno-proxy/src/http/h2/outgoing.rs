//! Bodies on their way out, to clients and to endpoints.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use leno_http::h2::{Code, Connection};

use super::core::Core;
use crate::http::body::{Body, BodyError, Frame, ResponseHead};

/// A body that is sent on a stream.
pub(super) struct Outgoing {
    pub(super) core: Arc<Core>,
    pub(super) stream: u32,
    body: Body,
    /// Why the body broke off, until somebody is told.
    failed: Option<BodyError>,
    /// All of it has been added, and the stream let go of.
    done: bool,
}

/// Why a body does not get on.
pub(super) enum Failed {
    /// It broke off where it comes from.
    Body(BodyError),
    /// The stream has ended.
    Stream,
}

impl Outgoing {
    /// On a stream that is open.
    pub(super) const fn new(core: Arc<Core>, stream: u32, body: Body) -> Self {
        Self { core, stream, body, failed: None, done: false }
    }

    /// Whether the peer has given the stream up; if not, the caller is woken when it does.
    pub(super) fn is_over(&self, cx: &Context<'_>) -> bool {
        self.core.is_over(self.stream, cx)
    }

    /// Sends the head of an answer that leaves HTTP.
    pub(super) fn switch(&self, head: &ResponseHead) {
        self.core.change(|state| state.conn.respond(self.stream, head.status, &head.headers, false));
    }

    /// Sends an answer's head, and in the same step what there is of its body; `end`: nothing follows the head. The body is kept
    /// until this is dropped, whatever hangs on it.
    pub(super) fn answer(&mut self, head: &ResponseHead, end: bool, body: Body, cx: &mut Context<'_>) {
        self.body = body;
        let mut first = None;
        if !end {
            match self.body.poll_frame(cx).map(Option::transpose) {
                Poll::Ready(Ok(next)) => first = Some(next),
                Poll::Ready(Err(error)) => self.failed = Some(error),
                Poll::Pending => {}
            }
        }
        let last = end || first.as_ref().is_some_and(|next| self.is_last(next.as_ref()));
        self.done = last;
        let slot = self.core.change(|state| {
            state.answered(self.stream);
            state.conn.respond(self.stream, head.status, &head.headers, end);
            if let Some(next) = first {
                add(&mut state.conn, self.stream, next, last);
            }
            if last { state.release(self.stream) } else { None }
        });
        // Without the lock.
        drop(slot);
    }

    /// Adds what there is to the stream, as far as there is room, until all has been added.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        while !self.done {
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Err(Failed::Body(error)));
            }
            ready!(self.core.poll_room(self.stream, cx)).map_err(|_| Failed::Stream)?;
            // The lock is not held while the body is asked: it may come from this very connection.
            let next = ready!(self.body.poll_frame(cx)).transpose().map_err(Failed::Body)?;
            let last = self.is_last(next.as_ref());
            self.done = last;
            let slot = self.core.change(|state| {
                add(&mut state.conn, self.stream, next, last);
                if last { state.release(self.stream) } else { None }
            });
            drop(slot);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the stream before its end.
    pub(super) fn reset(&self, code: Code) {
        self.core.change(|state| state.conn.reset(self.stream, code));
    }

    fn is_last(&self, next: Option<&Frame>) -> bool {
        !matches!(next, Some(Frame::Data(_))) || self.body.is_end_stream()
    }
}

/// Adds the next part of a body, or its end.
fn add(conn: &mut Connection, stream: u32, next: Option<Frame>, last: bool) {
    match next {
        Some(Frame::Data(data)) if data.is_empty() && !last => {}
        Some(Frame::Data(data)) => drop(conn.send(stream, data, last)),
        Some(Frame::Trailers(trailers)) => drop(conn.send_trailers(stream, trailers)),
        None => drop(conn.send(stream, Bytes::new(), true)),
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if !self.done {
            self.core.let_go(self.stream);
        }
    }
}
