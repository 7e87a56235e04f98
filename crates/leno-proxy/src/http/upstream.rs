//! Requests as an endpoint wants them, and answers bound to the connection that carries them.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::body::{Body, BodyError, Request, Response};
use super::client::{Http1, RawResponse};
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
    pub fn on_http1(response: RawResponse, lease: Lease) -> Self {
        let local = lease.local();
        Self::bind(response, Hold::Http1(lease), local)
    }

    /// One of many on a connection.
    #[must_use]
    pub fn on_http2(response: RawResponse, ticket: Ticket) -> Self {
        let local = ticket.local();
        Self::bind(response, Hold::Http2(ticket), local)
    }

    /// On a connection of its own.
    #[must_use]
    pub fn on_own_connection(mut response: RawResponse, sender: Http1, local: Option<SocketAddr>) -> Self {
        let tunnel = Tunnel::of_response(&mut response);
        let mut answer = Self::bind(response, Hold::Own(sender), local);
        answer.tunnel = tunnel;
        answer
    }

    fn bind(response: RawResponse, hold: Hold, local: Option<SocketAddr>) -> Self {
        let (parts, body) = response.into_parts();
        let body = if body.is_end_stream() {
            hold.ended();
            Body::empty()
        } else {
            Body::from_source(Bound { inner: body, hold: Some(hold) })
        };
        Self { response: Response::from_parts(parts, body), tunnel: None, local }
    }
}

/// What a response's body keeps from being used by others, or closed.
enum Hold {
    Http1(Lease),
    Http2(Ticket),
    Own(Http1),
}

impl Hold {
    fn ended(self) {
        match self {
            Self::Http1(lease) => lease.give_back(),
            Self::Http2(ticket) => drop(ticket),
            Self::Own(sender) => drop(sender),
        }
    }
}

struct Bound {
    inner: Incoming,
    /// Dropped with an unfinished body, an HTTP/1 connection closes and an HTTP/2 stream is reset.
    hold: Option<Hold>,
}

impl HttpBody for Bound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let ended = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => self.inner.is_end_stream(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if ended && let Some(hold) = self.hold.take() {
            hold.ended();
        }
        polled.map_err(BodyError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
