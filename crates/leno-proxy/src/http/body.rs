//! The one body type of the request path: frames under flow control, whatever codec they come from or go to.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use leno_http::h1::BadBody;
pub use leno_http::{Fields, RequestHead as Head, ResponseHead};

use super::exchange::Exchange;
use super::h1::Upgrade;
use super::replay::Attempt;
use super::upstream::Bound;
use super::{h1, h2};

/// A request as the pipeline sees it.
#[derive(Debug)]
pub struct Request {
    /// What it asks for.
    pub head: Head,
    /// Its body.
    pub body: Body,
    /// The client's connection, where it asks to leave HTTP.
    pub upgrade: Option<Upgrade>,
}

/// A response: as the pipeline sees it, or with the body of the connection that it comes by.
#[derive(Debug)]
pub struct Response<B = Body> {
    /// What it says.
    pub head: ResponseHead,
    /// Its body.
    pub body: B,
}

impl<B> Response<B> {
    /// A 200 without fields.
    #[must_use]
    pub const fn new(body: B) -> Self {
        Self { head: ResponseHead::new(StatusCode::OK), body }
    }
}

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Bytes, never many at once.
    Data(Bytes),
    /// The fields behind the last bytes.
    Trailers(Fields),
}

/// What asking for the next part of a body comes to.
pub(super) type Polled = Poll<Option<Result<Frame, BodyError>>>;

/// A body. Frames are pulled: nothing is read from one side before the other side asks for more.
pub struct Body(Kind);

enum Kind {
    Empty,
    Whole(Option<Bytes>),
    Arrived(Option<Bytes>, Option<u64>),
    Http1(h1::Incoming),
    Http2(h2::Incoming),
    Attempt(Attempt),
    Answer(Bound),
    Observed(Box<Exchange>),
    #[cfg(test)]
    Scripted(std::pin::Pin<Box<dyn futures::Stream<Item = Result<Frame, BodyError>> + Send>>),
}

impl Body {
    /// No bytes and no trailers.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// All its bytes, known.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self(Kind::Whole(Some(bytes))) }
    }

    /// A body that came with its head; `said` is the length that the head says, where it does. Others are told no more of it than that:
    /// what they see must not depend on how bytes happened to arrive.
    #[must_use]
    pub fn arrived(bytes: Bytes, said: Option<u64>) -> Self {
        if bytes.is_empty() { Self::empty() } else { Self(Kind::Arrived(Some(bytes), said)) }
    }

    /// A body that arrives by HTTP/1.
    #[must_use]
    pub const fn http1(incoming: h1::Incoming) -> Self {
        Self(Kind::Http1(incoming))
    }

    /// A body that arrives by HTTP/2.
    #[must_use]
    pub const fn http2(incoming: h2::Incoming) -> Self {
        Self(Kind::Http2(incoming))
    }

    /// An endpoint's answer, bound to its connection.
    #[must_use]
    pub const fn answer(bound: Bound) -> Self {
        Self(Kind::Answer(bound))
    }

    /// An answer on its way to the client; the exchange ends with it.
    #[must_use]
    pub const fn observed(exchange: Box<Exchange>) -> Self {
        Self(Kind::Observed(exchange))
    }

    /// A request's body, for one try.
    #[must_use]
    pub const fn attempt(attempt: Attempt) -> Self {
        Self(Kind::Attempt(attempt))
    }

    /// Frames that a test made.
    #[cfg(test)]
    pub fn scripted(frames: impl futures::Stream<Item = Result<Frame, BodyError>> + Send + 'static) -> Self {
        Self(Kind::Scripted(Box::pin(frames)))
    }

    /// The next part; `None` after the last. Nothing is read before it is asked for.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Whole(bytes) | Kind::Arrived(bytes, _) => Poll::Ready(bytes.take().map(|b| Ok(Frame::Data(b)))),
            Kind::Http1(incoming) => incoming.poll_frame(cx),
            Kind::Http2(incoming) => incoming.poll_frame(cx),
            Kind::Attempt(attempt) => attempt.poll_frame(cx),
            Kind::Answer(bound) => bound.poll_frame(cx),
            Kind::Observed(exchange) => exchange.poll_frame(cx),
            #[cfg(test)]
            Kind::Scripted(frames) => frames.as_mut().poll_next(cx),
        }
    }

    /// The next part; `None` after the last.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn frame(&mut self) -> Option<Result<Frame, BodyError>> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// All bytes that are left of it, once they are here: for bodies that are known to be small. Trailers are left out.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn collect(mut self) -> Result<Bytes, BodyError> {
        let mut all = BytesMut::new();
        while let Some(frame) = self.frame().await {
            if let Frame::Data(data) = frame? {
                all.extend_from_slice(&data);
            }
        }
        Ok(all.freeze())
    }

    /// Whether it is known that nothing more comes.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Whole(bytes) | Kind::Arrived(bytes, _) => bytes.is_none(),
            Kind::Http1(incoming) => incoming.is_end_stream(),
            Kind::Http2(incoming) => incoming.is_end_stream(),
            Kind::Attempt(attempt) => attempt.is_end_stream(),
            Kind::Answer(bound) => bound.is_end_stream(),
            Kind::Observed(exchange) => exchange.is_end_stream(),
            #[cfg(test)]
            Kind::Scripted(_) => false,
        }
    }

    /// Bytes still to come, where that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            Kind::Empty => Some(0),
            Kind::Whole(bytes) => Some(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Arrived(None, _) => Some(0),
            Kind::Arrived(_, said) => *said,
            Kind::Http1(incoming) => incoming.left(),
            Kind::Http2(incoming) => incoming.left(),
            Kind::Attempt(attempt) => attempt.left(),
            Kind::Answer(bound) => bound.left(),
            Kind::Observed(exchange) => exchange.left(),
            #[cfg(test)]
            Kind::Scripted(_) => None,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Empty => "Body(empty)",
            Kind::Whole(_) | Kind::Arrived(..) => "Body(whole)",
            Kind::Http1(_) | Kind::Http2(_) => "Body(wire)",
            Kind::Answer(_) => "Body(answer)",
            Kind::Observed(_) => "Body(observed)",
            Kind::Attempt(_) => "Body(attempt)",
            #[cfg(test)]
            Kind::Scripted(_) => "Body(scripted)",
        })
    }
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Its stream ended before.
    #[error("{0}")]
    Http2(h2::Failure),
    /// The connection broke in the middle of it.
    #[error("the connection broke in the middle of the body: {0}")]
    Broken(std::io::ErrorKind),
    /// The peer sent what is not HTTP.
    #[error("{0}")]
    Malformed(BadBody),
    /// It is shorter or longer than its head said.
    #[error("the body is not as long as its head said")]
    Length,
    /// The time for the whole exchange ran out.
    #[error("the route's timeout ran out in the middle of the body")]
    Timeout,
    /// The attempt that this body fed was given up.
    #[error("the attempt was given up")]
    Abandoned,
    /// The request body cannot be sent again: more of it passed than is kept.
    #[error("the request body cannot be sent again")]
    NotReplayable,
}
