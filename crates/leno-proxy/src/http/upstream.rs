//! Requests as an endpoint wants them, and answers bound to the connection that carries them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Uri, Version};

use super::body::{Body, Head, Polled, Response, ResponseHead};
use super::h1::Http1;
use super::h2::{Arrived, Incoming};
use super::tunnel::Tunnel;
use crate::cluster::endpoint::Wire;
use crate::cluster::http_pool::Lease;
use crate::cluster::mux::Ticket;

/// Gives a head the form in which it is carried. `fallback` stands in where the client named no host; returns whether it named
/// one.
pub fn shape(head: &mut Head, wire: Wire, fallback: SocketAddr) -> bool {
    match wire {
        Wire::Http2 => for_http2(head, fallback),
        Wire::Http1 | Wire::Tunnel => for_http1(head, fallback),
    }
}

/// The form of HTTP/1.1: path alone in the request line, authority in `Host`. HTTP/1.0 clients need not name a
/// host.
fn for_http1(head: &mut Head, fallback: SocketAddr) -> bool {
    head.version = Version::HTTP_11;
    if head.method == Method::CONNECT {
        return true;
    }
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    let authority = parts.authority.take();
    let mut named = true;
    if !head.headers.contains(HOST) {
        let value = authority.and_then(|a| HeaderValue::from_str(a.as_str()).ok());
        named = value.is_some();
        if let Some(value) = value.or_else(|| HeaderValue::try_from(fallback.to_string()).ok()) {
            head.headers.append(HOST, value);
        }
    }
    parts.scheme = None;
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from_parts(parts).unwrap_or_default();
    named
}

/// The form of HTTP/2: everything in the pseudo-headers.
fn for_http2(head: &mut Head, fallback: SocketAddr) -> bool {
    head.version = Version::HTTP_2;
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    let host = head.headers.remove(HOST);
    if parts.authority.is_none() {
        parts.authority = host.as_ref().and_then(authority);
    }
    let named = parts.authority.is_some();
    if !named {
        parts.authority = Authority::try_from(fallback.to_string()).ok();
    }
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from_parts(parts).unwrap_or_default();
    named
}

/// What `Host` says, unless it is no host. Of a few hosts it is remembered: reading one takes longer than all else of a head.
fn authority(host: &HeaderValue) -> Option<Authority> {
    let last = host.as_bytes().last().copied().unwrap_or_default();
    let place = (host.len() + usize::from(last)) % HOSTS;
    READ.with_borrow_mut(|read| match &read[place] {
        Some((known, authority)) if known == host => Some(authority.clone()),
        _ => {
            let authority = Authority::try_from(host.as_bytes()).ok()?;
            if host.len() <= LONG_HOST {
                // Not the value itself: it holds all of the head that it came in.
                let kept = HeaderValue::from_bytes(host.as_bytes()).ok()?;
                read[place] = Some((kept, authority.clone()));
            }
            Some(authority)
        }
    })
}

thread_local! {
    static READ: RefCell<[Option<(HeaderValue, Authority)>; HOSTS]> = const { RefCell::new([const { None }; HOSTS]) };
}

/// Hosts that are remembered, each in the place that its length and last byte give.
const HOSTS: usize = 16;
/// Longest one.
const LONG_HOST: usize = 256;

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
    pub fn on_http1(head: ResponseHead, lease: Lease) -> Self {
        let local = lease.local();
        Self::bind(head, Source::Http1(lease), local)
    }

    /// One of many on a connection.
    #[must_use]
    pub fn on_http2(response: Response<Arrived>, ticket: Ticket) -> Self {
        let local = ticket.local();
        match response.body {
            Arrived::Whole(bytes, said) => {
                let response = Response { head: response.head, body: Body::arrived(bytes, said) };
                Self { response, tunnel: None, local }
            }
            Arrived::Open(incoming) => Self::bind(response.head, Source::Http2(incoming, ticket), local),
        }
    }

    /// On a connection of its own. `switched`: it has left HTTP, as it was asked.
    #[must_use]
    pub fn on_own_connection(head: ResponseHead, sender: Http1, local: Option<SocketAddr>, switched: bool) -> Self {
        if switched {
            let tunnel = Some(Tunnel::of_endpoint(sender.into_io()));
            return Self { response: Response { head, body: Body::empty() }, tunnel, local };
        }
        Self::bind(head, Source::Own(sender), local)
    }

    fn bind(head: ResponseHead, source: Source, local: Option<SocketAddr>) -> Self {
        let body = if source.is_end_stream() {
            source.ended();
            Body::empty()
        } else {
            Body::answer(Bound(Some(source)))
        };
        Self { response: Response { head, body }, tunnel: None, local }
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

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
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

/// A response's body, bound to the connection that it comes by; `None` after its end.
pub struct Bound(Option<Source>);

impl Bound {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
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

    pub(super) fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Source::is_end_stream)
    }

    pub(super) fn left(&self) -> Option<u64> {
        match &self.0 {
            None => Some(0),
            Some(Source::Http1(lease)) => lease.connection().left(),
            Some(Source::Http2(body, _)) => body.left(),
            Some(Source::Own(sender)) => sender.left(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, host: Option<&str>) -> Head {
        let mut head = Head::new(Method::GET, uri.parse().expect("a URI"), Version::HTTP_11);
        if let Some(host) = host {
            head.headers.append(HOST, HeaderValue::from_str(host).expect("a value"));
        }
        head
    }

    #[test]
    fn a_head_takes_each_form_from_the_other() {
        let endpoint = SocketAddr::from(([10, 0, 0, 9], 8080));
        let mut head = head("/cart?a=b", Some("web:80"));
        for _ in 0..2 {
            assert!(for_http2(&mut head, endpoint));
            assert_eq!((head.uri.to_string().as_str(), head.version), ("http://web:80/cart?a=b", Version::HTTP_2));
            assert!(!head.headers.contains(HOST));
            assert!(for_http1(&mut head, endpoint));
            assert_eq!((head.uri.to_string().as_str(), head.version), ("/cart?a=b", Version::HTTP_11));
            assert_eq!(head.headers["host"], "web:80");
        }
    }

    #[test]
    fn hosts_that_share_a_place_are_not_taken_for_each_other() {
        let hosts = ["web-a.shop", "web-b.shop", "web-a.shop", "not a host", "web-b.shop:80", "web-a.shop"];
        for host in hosts {
            let read = authority(&HeaderValue::from_static(host));
            assert_eq!(read.as_ref().map(Authority::as_str), Some(host).filter(|h| *h != "not a host"));
        }
    }

    #[test]
    fn a_client_that_named_no_host_calls_the_endpoint_by_its_address() {
        let endpoint = SocketAddr::from(([10, 0, 0, 9], 8080));
        for host in [None, Some("not a host")] {
            let mut head = head("/", host);
            assert!(!for_http2(&mut head, endpoint), "{host:?}");
            assert_eq!(head.uri.to_string(), "http://10.0.0.9:8080/");
        }
        let mut head = head("/", None);
        assert!(!for_http1(&mut head, endpoint));
        assert_eq!(head.headers["host"], "10.0.0.9:8080");
    }
}
