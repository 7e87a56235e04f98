//! The client's side of a connection: one request at a time.

use std::fmt;
use std::io;
use std::task::{Context, Poll, Waker, ready};

use http::header::{TRAILER, UPGRADE};
use http::{Method, StatusCode};
use leno_core::Reason;
use leno_core::decide::retry::FailureKind;
use leno_http::h1::write;
use leno_http::h1::{self, Answered, BadHead, Decoder, Framing, Scan};

use super::outgoing::Outgoing;
use super::wire::Wire;
use super::{Polled, poll_body};
use crate::http::body::{Body, BodyError, Head, ResponseHead};
use crate::http::client::{Dispatch, SendError, of_body};
use crate::tcp::splice::Io;

/// A connection to an endpoint.
pub struct Http1(Box<Conn>);

struct Conn {
    wire: Wire,
    body: Decoder,
    upload: Option<Upload>,
    /// The endpoint keeps the connection, and all went as it should.
    stays: bool,
}

/// A request's body on its way. It goes on while the answer comes.
struct Upload {
    body: Body,
    out: Outgoing,
}

impl Http1 {
    /// On a connection that nothing was sent on.
    #[must_use]
    pub fn new(io: Box<dyn Io>) -> Self {
        Self(Box::new(Conn { wire: Wire::new(io), body: Decoder::new(Framing::Length(0)), upload: None, stays: true }))
    }

    /// Whether an idle connection can carry a request: the endpoint has neither closed it nor said anything unasked, which
    /// the next request would take for its answer.
    pub fn is_alive(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.is_free() && self.0.wire.poll_fill(&mut cx).is_pending()
    }

    /// Whether the last exchange has ended as it should.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let conn = &self.0;
        let rests = conn.upload.is_none() && conn.body.is_done() && conn.wire.input.is_empty() && !conn.wire.is_stuck();
        conn.stays && rests && !conn.wire.ended
    }

    /// Sends a request and waits for the head of its answer. Given up, the connection must not be used again.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&mut self, request: &mut Dispatch) -> Result<ResponseHead, SendError> {
        let head = &request.head;
        let answered = Answered::of(&head.method);
        let upgrades = head.headers.contains(UPGRADE);
        let conn = &mut *self.0;
        conn.stays = false;
        let framing = framing(head, &request.body);
        let alone = framing.is_none_or(|f| f == Framing::Length(0));
        write::request(conn.wire.output(), &head.method, &head.uri, &head.headers, framing);
        if alone {
            // Nothing was taken from a body, so a request that could not be written is as it was.
            let sent = std::future::poll_fn(|cx| conn.wire.poll_send(cx)).await;
            sent.map_err(|error| broken(&error, false))?;
        } else {
            let trailers = head.headers.contains(TRAILER);
            conn.upload = Some(Upload { body: request.take_body(), out: Outgoing::new(framing, trailers) });
        }
        request.left = true;
        let mut scan = Scan::default();
        let mut interim = 0;
        let head = std::future::poll_fn(|cx| conn.poll_head(cx, &mut scan, answered, &mut interim)).await;
        let h1::Response { head, framing, keep_alive } = head.map_err(|error| {
            if !alone || !conn.wire.is_lost() {
                return error;
            }
            // It was kept, and could not be sent at the end of the turn.
            request.left = false;
            SendError { kind: Some(FailureKind::ResetBeforeRequest), bytes_left: false, ..error }
        })?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS && !upgrades {
            return Err(malformed("it switches protocols, and was not asked to"));
        }
        conn.body = Decoder::new(framing);
        conn.stays = keep_alive;
        conn.wire.rest();
        Ok(head)
    }

    /// The next frame of the answer's body.
    pub(in crate::http) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let conn = &mut *self.0;
        if let Poll::Ready(Err(error)) = conn.poll_upload(cx) {
            conn.stays = false;
            if let Failed::Body(error) = error {
                return Poll::Ready(Some(Err(error)));
            }
        }
        let polled = poll_body(&mut conn.wire, &mut conn.body, cx);
        if conn.body.is_done() {
            conn.wire.rest();
        }
        polled
    }

    pub(in crate::http) const fn is_end_stream(&self) -> bool {
        self.0.body.is_done()
    }

    pub(in crate::http) const fn left(&self) -> Option<u64> {
        self.0.body.left()
    }

    /// The stream beneath, after the endpoint has left HTTP.
    #[must_use]
    pub fn into_io(self) -> Box<dyn Io> {
        self.0.wire.into_io()
    }
}

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1").field("free", &self.is_free()).finish()
    }
}

/// Why a request's body does not get on.
enum Failed {
    /// It broke off where it comes from.
    Body(BodyError),
    /// The endpoint takes no more of it; its answer may be on the way.
    Socket(io::Error),
}

impl Conn {
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        scan: &mut Scan,
        answered: Answered,
        interim: &mut u32,
    ) -> Poll<Result<h1::Response, SendError>> {
        let mut failed = None;
        match self.poll_upload(cx) {
            Poll::Ready(Err(Failed::Body(error))) => return Poll::Ready(Err(of_body(&error))),
            Poll::Ready(Err(Failed::Socket(error))) => failed = Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        loop {
            if !self.wire.input.is_empty() {
                match self.head(scan, answered) {
                    Ok(Some(response)) if is_interim(response.head.status) => {
                        *interim += 1;
                        if *interim > INTERIM {
                            return Poll::Ready(Err(malformed("too many interim responses")));
                        }
                        *scan = Scan::default();
                        continue;
                    }
                    Ok(Some(response)) => return Poll::Ready(Ok(response)),
                    Ok(None) => {}
                    Err(bad) => return Poll::Ready(Err(malformed(&bad.to_string()))),
                }
            }
            match self.wire.poll_fill(cx) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(Ok(_)) => {
                    let detail = "the connection was closed before the answer was complete";
                    let error = failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, detail));
                    let unread = self.wire.input.is_empty() && self.wire.is_refused(cx);
                    return Poll::Ready(Err(SendError { unread, ..broken(&error, true) }));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(&error, true))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn head(&mut self, scan: &mut Scan, answered: Answered) -> Result<Option<h1::Response>, BadHead> {
        let Some(end) = scan.end(&self.wire.input)? else { return Ok(None) };
        let head = self.wire.input.split_to(end).freeze();
        h1::response(&head, answered).map(Some)
    }

    /// Sends as much of the request's body as both sides allow.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        let Some(upload) = &mut self.upload else { return Poll::Ready(Ok(())) };
        let outcome = ready!(upload.poll(&mut self.wire, cx));
        self.upload = None;
        Poll::Ready(outcome)
    }
}

impl Upload {
    fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        loop {
            if self.out.ended {
                return wire.poll_send(cx).map_err(Failed::Socket);
            }
            if wire.is_full() {
                ready!(wire.poll_send(cx)).map_err(Failed::Socket)?;
            }
            if self.out.is_complete(self.body.is_end_stream()) {
                self.out.end(wire, None);
                continue;
            }
            match self.body.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if !self.out.frame(wire, frame) {
                        return Poll::Ready(Err(Failed::Body(BodyError::Length)));
                    }
                }
                Poll::Ready(None) if self.out.may_end() => self.out.end(wire, None),
                Poll::Ready(None) => return Poll::Ready(Err(Failed::Body(BodyError::Length))),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Failed::Body(error))),
                Poll::Pending => {
                    // What is there goes: the endpoint may wait for it.
                    if let Poll::Ready(Err(error)) = wire.poll_send(cx) {
                        return Poll::Ready(Err(Failed::Socket(error)));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

/// How a request's body is framed; `None` where nothing is said of one.
fn framing(head: &Head, body: &Body) -> Option<Framing> {
    if body.is_end_stream() {
        let says = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method)
            || head.headers.contains(http::header::CONTENT_LENGTH);
        return says.then_some(Framing::Length(0));
    }
    Some(body.left().map_or(Framing::Chunked, Framing::Length))
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

fn broken(error: &io::Error, bytes_left: bool) -> SendError {
    let kind = if bytes_left { FailureKind::ResetBeforeResponse } else { FailureKind::ResetBeforeRequest };
    SendError { reason: Reason::UpstreamReset, kind: Some(kind), bytes_left, unread: false, detail: error.to_string() }
}

fn malformed(detail: &str) -> SendError {
    let kind = Some(FailureKind::ResetBeforeResponse);
    let detail = format!("the endpoint's answer is not HTTP: {detail}");
    SendError { reason: Reason::UpstreamProtocol, kind, bytes_left: true, unread: false, detail }
}

/// Interim responses (1xx) to one request, at most.
const INTERIM: u32 = 16;

#[cfg(test)]
mod tests;
