//! Requests as an endpoint wants them, and answers bound to the connection that carries them.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::body::{Body, BodyError, Request, Response};
use super::h1::Http1;
use super::h2::Incoming;
use super::tunnel::Tunnel;
use crate::cluster::http_pool::Lease;
use crate::cluster::mux::Ticket;

/// The form of HTTP/1.1: path alone in the request line, authority in `Host`. `fallback` stands in where an HTTP/1.0
/// client named no host.
#[must_use]
pub fn for_http1(mut request: Request, fallback: SocketAddr) -> Request {
    *request.version_mut() = Version::HTTP_11;
    if request.method() == Method::CONNECT {
        return request;
    }
    let uri = std::mem::take(request.uri_mut());
    let mut parts = uri.into_parts();
    if let Some(authority) = parts.authority.take()
        && !request.headers().contains_key(HOST)
        && let Ok(value) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, value);
    }
    if !request.headers().contains_key(HOST)
        && let Ok(value) = HeaderValue::try_from(fallback.to_string())
    {
        request.headers_mut().insert(HOST, value);
    }
    parts.scheme = None;
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request
}

/// The form of HTTP/2: everything in the pseudo-headers. `fallback` stands in where the client named no host.
#[must_use]
pub fn for_http2(mut request: Request, authority: &str, fallback: SocketAddr) -> Request {
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(HOST);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    let named = Authority::try_from(authority).or_else(|_| Authority::try_from(fallback.to_string()));
    parts.authority = named.ok();
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request
}

/// An endpoint's answer.
#[derive(Debug)]
pub struct Answer {
    /// Head and body; the body holds the connection.
    pub response: Response,
    /// The connection, where the endpoint switched protocols.
    pub tunnel: Option<Tunnel>,
    /// This end's address of the connection.
    pub local: Option<SocketAddr>,
}

impl Answer {
    /// On a connection of the pool, which gets it back when the body has ended.
    #[must_use]
    pub fn on_http1(response: http::Response<()>, lease: Lease) -> Self {
        let local = lease.local();
        Self::bind(response, Source::Http1(lease), local)
    }

    /// One of many on a connection.
    #[must_use]
    pub fn on_http2(response: http::Response<Incoming>, ticket: Ticket) -> Self {
        let local = ticket.local();
        let (parts, body) = response.into_parts();
        Self::bind(http::Response::from_parts(parts, ()), Source::Http2(body, ticket), local)
    }

    /// On a connection of its own. `switched`: it has left HTTP, as it was asked.
    #[must_use]
    pub fn on_own_connection(
        response: http::Response<()>,
        sender: Http1,
        local: Option<SocketAddr>,
        switched: bool,
    ) -> Self {
        if switched {
            let tunnel = Some(Tunnel::of_endpoint(sender.into_io()));
            return Self { response: response.map(|()| Body::empty()), tunnel, local };
        }
        Self::bind(response, Source::Own(sender), local)
    }

    fn bind(response: http::Response<()>, source: Source, local: Option<SocketAddr>) -> Self {
        let body = if source.is_end_stream() {
            source.ended();
            Body::empty()
        } else {
            Body::from_source(Bound(Some(source)))
        };
        Self { response: response.map(|()| body), tunnel: None, local }
    }
}

/// Where a response's body comes from. Dropped with an unfinished body, an HTTP/1 connection closes and an HTTP/2 stream is
/// reset.
enum Source {
    Http1(Lease),
    Http2(Incoming, #[expect(dead_code, reason = "held for what its drop does")] Ticket),
    Own(Http1),
}

impl Source {
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(lease) => lease.connection().is_end_stream(),
            Self::Http2(body, _) => body.is_end_stream(),
            Self::Own(sender) => sender.is_end_stream(),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(lease) => lease.sender().poll_frame(cx),
            Self::Http2(body, _) => body.poll_frame(cx),
            Self::Own(sender) => sender.poll_frame(cx),
        }
    }

    fn ended(self) {
        match self {
            Self::Http1(lease) => lease.give_back(),
            Self::Http2(..) | Self::Own(_) => {}
        }
    }
}

/// A response's body; `None` after its end.
struct Bound(Option<Source>);

impl HttpBody for Bound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(source) = &mut self.0 else { return Poll::Ready(None) };
        let polled = source.poll_frame(cx);
        let ended = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => source.is_end_stream(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if ended && let Some(source) = self.0.take() {
            source.ended();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Source::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            Some(Source::Http1(lease)) => lease.connection().size_hint(),
            Some(Source::Http2(body, _)) => body.size_hint(),
            Some(Source::Own(sender)) => sender.size_hint(),
        }
    }
}
