//! What accompanies one request: its record, its clock, and the promise that its outcome is reported exactly once.

use std::pin::Pin;

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use leno_core::Reason;
use leno_core::id::Direction;
use leno_kit::Active;
use tokio::time::{Instant, Sleep};

use super::body::{Body, BodyError, Response};
use super::heads;
use super::replay;
use crate::cluster::Permit;
use crate::cluster::endpoint::Busy;
use crate::telemetry::{Headers, ReqProtocol, RequestRecord, Telemetry};

/// One request from its head to the end of its answer.
#[derive(Debug)]
pub struct Exchange {
    /// What is known of it; phases fill it in.
    pub record: RequestRecord,
    /// When all of it must have ended.
    pub deadline: Option<Instant>,
    telemetry: Telemetry,
    started: Instant,
    request: Option<replay::Meter>,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    finished: bool,
    quiet: bool,
    held: Vec<Held>,
    /// Makes a drain wait for it.
    _active: Active,
}

/// What an exchange holds until its end.
#[derive(Debug)]
#[expect(dead_code, reason = "held for what their drop does")]
enum Held {
    Permit(Permit),
    Busy(Busy),
}

impl Exchange {
    /// Begins when a request's head has arrived.
    #[must_use]
    pub fn begin(direction: Direction, telemetry: Telemetry, active: Active) -> Box<Self> {
        Box::new(Self {
            record: RequestRecord::new(direction),
            deadline: None,
            telemetry,
            started: Instant::now(),
            request: None,
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            finished: false,
            quiet: false,
            held: Vec::new(),
            _active: active,
        })
    }

    /// Notes its place in a trace, tells the next hop of it, and keeps the headers that reports ask for.
    pub fn trace(&mut self, headers: &mut HeaderMap) {
        self.telemetry.begin(&mut self.record, headers);
    }

    /// When its head arrived.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// Where the bytes of its body are counted.
    pub fn measure(&mut self, meter: replay::Meter) {
        self.request = Some(meter);
    }

    /// Keeps a place in a cluster until the end.
    pub fn hold(&mut self, permit: Permit) {
        self.held.push(Held::Permit(permit));
    }

    /// Keeps an endpoint counted as busy until the end.
    pub fn hold_busy(&mut self, busy: Busy) {
        self.held.push(Held::Busy(busy));
    }

    /// Notes the request's headers, if somebody watches them.
    pub fn note_headers(&mut self, headers: &HeaderMap) {
        if self.telemetry.wants_headers() {
            let request = heads::shown(headers);
            self.record.watched = Some(Box::new(Headers { request, ..Headers::default() }));
        }
    }

    /// Adds words for the log.
    pub fn say(&mut self, detail: &str) {
        if detail.is_empty() {
            return;
        }
        let text = &mut self.record.detail;
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(detail);
    }

    /// Whether the client speaks gRPC.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.record.protocol == ReqProtocol::Grpc
    }

    /// Counts bytes of a tunnel.
    pub fn add_request_bytes(&self, bytes: u64) {
        self.request_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes to the client.
    pub fn add_response_bytes(&self, bytes: u64) {
        self.response_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Reports the outcome, the first time it is called.
    pub fn finish(&mut self, reason: Reason) {
        if self.finished {
            return;
        }
        self.finished = true;
        let (received, messages) = self.request.take().map_or((0, 0), |m| (m.bytes(), m.messages()));
        self.record.request_messages = messages;
        self.record.request_bytes = received + self.request_bytes.load(Ordering::Relaxed);
        self.record.response_bytes = self.response_bytes.load(Ordering::Relaxed);
        self.record.duration = self.started.elapsed();
        // What went wrong before the answer stays the reason when the answer itself arrives whole.
        if self.record.reason == Reason::Answered || reason != Reason::Answered {
            self.record.reason = reason;
        }
        if !self.quiet {
            self.telemetry.request(&self.record);
        }
    }

    /// Leaves this exchange out of metrics and log: a kubelet's probe says nothing of the mesh's traffic, and who looks at
    /// success rates must not see an app's start as failures.
    pub const fn hush(&mut self) {
        self.quiet = true;
    }

    /// Lets the answer go to the client; the exchange ends with its body.
    #[must_use]
    pub fn answer(mut self: Box<Self>, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        self.record.status = parts.status.as_u16();
        if let Some(headers) = &mut self.record.watched {
            headers.response = heads::shown(&parts.headers);
        }
        self.telemetry.answered(&mut self.record, &parts.headers);
        if self.is_grpc()
            && let Some(status) = heads::grpc_status(&parts.headers)
        {
            self.record.grpc_status = Some(status);
        }
        if body.is_end_stream() {
            self.finish(Reason::Answered);
            return Response::from_parts(parts, body);
        }
        let messages = self.is_grpc().then(Messages::default);
        Response::from_parts(parts, Body::from_source(Observed { inner: body, exchange: self, timer: None, messages }))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Whoever holds it was dropped: the client has gone.
        self.finish(Reason::ClientGone);
    }
}

/// An answer's body on its way to the client.
struct Observed {
    inner: Body,
    exchange: Box<Exchange>,
    /// Made once the body is waited for: most are here with their heads.
    timer: Option<Pin<Box<Sleep>>>,
    messages: Option<Messages>,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Poll::Ready(next) = Pin::new(&mut this.inner).poll_frame(cx) else {
            if let Some(deadline) = this.exchange.deadline
                && this
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)))
                    .as_mut()
                    .poll(cx)
                    .is_ready()
            {
                this.exchange.finish(Reason::Timeout);
                return Poll::Ready(Some(Err(BodyError::Timeout)));
            }
            return Poll::Pending;
        };
        match &next {
            None => this.exchange.finish(Reason::Answered),
            Some(Ok(frame)) => {
                this.note(frame);
                if this.inner.is_end_stream() {
                    this.exchange.finish(Reason::Answered);
                }
            }
            Some(Err(error)) => {
                this.exchange.say(&error.to_string());
                this.exchange.finish(Reason::UpstreamAborted);
            }
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Observed {
    fn note(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.exchange.add_response_bytes(data.len() as u64);
            if let Some(messages) = &mut self.messages {
                messages.pass(data);
                self.exchange.record.response_messages = messages.count;
            }
        } else if let Some(trailers) = frame.trailers_ref()
            && self.exchange.is_grpc()
        {
            self.exchange.record.grpc_status = heads::grpc_status(trailers);
        }
    }
}

/// Counts gRPC messages (a flag byte, a length of four bytes, the message) in a stream of bytes.
#[derive(Debug, Default)]
pub struct Messages {
    /// Messages begun so far.
    pub count: u64,
    /// Bytes of the present message still to come.
    left: u64,
    head: [u8; 5],
    head_len: usize,
}

impl Messages {
    /// Takes the next bytes.
    pub fn pass(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.left > 0 {
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
                self.left -= n as u64;
                data = &data[n..];
                continue;
            }
            self.head[self.head_len] = data[0];
            self.head_len += 1;
            data = &data[1..];
            if self.head_len == self.head.len() {
                self.head_len = 0;
                self.count += 1;
                let [_, a, b, c, d] = self.head;
                self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
            }
        }
    }
}

/// What is left until `deadline`; `None` = no limit.
#[must_use]
pub fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}
