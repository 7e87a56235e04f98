//! The one body type of the request path: frames under flow control, whatever codec they come from or go to.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use leno_http::h1::BadBody;

use super::exchange::Exchange;
use super::upstream::Bound;
use super::{h1, h2};

/// A request as the pipeline sees it.
pub type Request = http::Request<Body>;
/// A request's head, apart from its body.
pub type Head = http::request::Parts;
/// A response as the pipeline sees it.
pub type Response = http::Response<Body>;

/// What asking for the next part of a body comes to.
pub(super) type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

type Boxed = Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>;

/// A body. Frames are pulled: nothing is read from one side before the other side asks for more.
pub struct Body(Kind);

enum Kind {
    Empty,
    Whole(Option<Bytes>),
    Http1(h1::Incoming),
    Http2(h2::Incoming),
    Answer(Bound),
    Observed(Box<Exchange>),
    Boxed(Boxed),
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

    /// Any other source of frames.
    pub fn from_source<B>(source: B) -> Self
    where
        B: HttpBody<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self(Kind::Boxed(Box::pin(source)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Kind::Http1(incoming) => incoming.poll_frame(cx),
            Kind::Http2(incoming) => incoming.poll_frame(cx),
            Kind::Answer(bound) => bound.poll_frame(cx),
            Kind::Observed(exchange) => exchange.poll_frame(cx),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Http1(incoming) => incoming.is_end_stream(),
            Kind::Http2(incoming) => incoming.is_end_stream(),
            Kind::Answer(bound) => bound.is_end_stream(),
            Kind::Observed(exchange) => exchange.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Http1(incoming) => incoming.size_hint(),
            Kind::Http2(incoming) => incoming.size_hint(),
            Kind::Answer(bound) => bound.size_hint(),
            Kind::Observed(exchange) => exchange.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Empty => "Body(empty)",
            Kind::Whole(_) => "Body(whole)",
            Kind::Http1(_) | Kind::Http2(_) => "Body(wire)",
            Kind::Answer(_) => "Body(answer)",
            Kind::Observed(_) => "Body(observed)",
            Kind::Boxed(_) => "Body(source)",
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
