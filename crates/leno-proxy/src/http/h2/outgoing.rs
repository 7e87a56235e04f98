//! Bodies on their way out, to clients and to endpoints.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::core::Core;
use crate::http::body::{Body, BodyError, Frame};

/// A body that is sent on a stream.
pub(super) struct Outgoing {
    pub(super) core: Arc<Core>,
    pub(super) stream: u32,
    pub(super) body: Body,
}

/// Why a body does not get on.
pub(super) enum Failed {
    /// It broke off where it comes from.
    Body(BodyError),
    /// The stream has ended.
    Stream,
}

impl Outgoing {
    /// Adds what there is to the stream, as far as there is room, until all has been added.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        loop {
            ready!(self.core.poll_room(self.stream, cx)).map_err(|_| Failed::Stream)?;
            // The lock is not held while the body is asked: it may come from this very connection.
            let Some(frame) = ready!(self.body.poll_frame(cx)) else {
                self.core.change(|state| state.conn.send(self.stream, Bytes::new(), true));
                return Poll::Ready(Ok(()));
            };
            match frame.map_err(Failed::Body)? {
                Frame::Data(data) => {
                    let end = self.body.is_end_stream();
                    if !data.is_empty() || end {
                        self.core.change(|state| state.conn.send(self.stream, data, end));
                    }
                    if end {
                        return Poll::Ready(Ok(()));
                    }
                }
                Frame::Trailers(trailers) => {
                    self.core.change(|state| state.conn.send_trailers(self.stream, trailers));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.core.let_go(self.stream);
    }
}
