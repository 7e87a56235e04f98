//! What accompanies one request: its record, its clock, and the promise that its outcome is reported exactly once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use leno_core::Reason;
use leno_core::id::Direction;
use leno_kit::Active;
use tokio::time::{Instant, Sleep};

use super::body::{Body, BodyError, Fields, Frame, Polled, Response};
use super::heads;
use super::replay;
use crate::cluster::Permit;
use crate::cluster::endpoint::Busy;
use crate::tcp::splice::Meter;
use crate::telemetry::{Headers, ReqProtocol, RequestRecord, Telemetry, time};

/// One request from its head to the end of its answer.
#[derive(Debug)]
pub struct Exchange {
    /// What is known of it; phases fill it in.
    pub record: RequestRecord,
    /// When all of it must have ended.
    pub deadline: Option<Instant>,
    telemetry: Telemetry,
    started: Instant,
    now: Instant,
    request: Option<replay::Meter>,
    response_bytes: u64,
    tunnel: Option<Arc<Passed>>,
    ended: Option<Instant>,
    quiet: bool,
    permit: Option<Permit>,
    busy: Option<Busy>,
    answer: Option<Answering>,
    /// Makes a drain wait for it.
    _active: Active,
}

impl Exchange {
    /// Begins when a request's head has arrived.
    #[must_use]
    pub fn begin(direction: Direction, telemetry: Telemetry, active: Active) -> Box<Self> {
        let now = Instant::now();
        Box::new(Self {
            record: RequestRecord::begun(direction, time::wall(now.into_std())),
            deadline: None,
            telemetry,
            started: now,
            now,
            request: None,
            response_bytes: 0,
            tunnel: None,
            ended: None,
            quiet: false,
            permit: None,
            busy: None,
            answer: None,
            _active: active,
        })
    }

    /// Notes its place in a trace, tells the next hop of it, and keeps the headers that reports ask for.
    pub fn trace(&mut self, headers: &mut Fields) {
        self.telemetry.begin(&mut self.record, headers);
    }

    /// When its head arrived.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// The time when it last went on: a clock is not asked anew in each phase, as few of them wait.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// It has waited.
    pub fn touch(&mut self) {
        self.now = Instant::now();
    }

    /// Where the bytes of its body are counted.
    pub fn measure(&mut self, meter: replay::Meter) {
        self.request = Some(meter);
    }

    /// Keeps a place in a cluster until the end.
    pub fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Keeps an endpoint counted as busy until the end.
    pub fn hold_busy(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }

    /// Notes the request's headers, if somebody watches them.
    pub fn note_headers(&mut self, headers: &Fields) {
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

    /// Where the bytes of a tunnel are counted.
    pub fn tunnel(&mut self) -> Arc<Passed> {
        Arc::clone(self.tunnel.get_or_insert_default())
    }

    /// Notes the outcome, the first time it is called. It is reported when the exchange is dropped, which is after the answer's last
    /// bytes were written: who waits for them does not wait for that.
    pub fn finish(&mut self, reason: Reason) {
        if self.ended.is_some() {
            return;
        }
        let (received, messages) = self.request.take().map_or((0, 0), |m| (m.bytes(), m.messages()));
        self.record.request_messages = messages;
        let tunnel = self.tunnel.as_ref().map_or((0, 0), |passed| passed.both());
        self.record.request_bytes = received + tunnel.0;
        self.record.response_bytes = self.response_bytes + tunnel.1;
        let now = Instant::now();
        self.ended = Some(now);
        self.record.duration = now.saturating_duration_since(self.started);
        // What went wrong before the answer stays the reason when the answer itself arrives whole.
        if self.record.reason == Reason::Answered || reason != Reason::Answered {
            self.record.reason = reason;
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
        let Response { head, body } = response;
        self.record.status = head.status.as_u16();
        if let Some(headers) = &mut self.record.watched {
            headers.response = heads::shown(&head.headers);
        }
        self.telemetry.answered(&mut self.record, &head.headers);
        if self.is_grpc()
            && let Some(status) = heads::grpc_status(&head.headers)
        {
            self.record.grpc_status = Some(status);
        }
        if body.is_end_stream() {
            self.finish(Reason::Answered);
            return Response { head, body: Body::observed(self) };
        }
        let messages = self.is_grpc().then(Messages::default);
        self.answer = Some(Answering { body, timer: None, messages });
        Response { head, body: Body::observed(self) }
    }

    /// The next frame of the answer, noted as it passes.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        let Poll::Ready(next) = answer.body.poll_frame(cx) else {
            if let Some(deadline) = self.deadline {
                let timer = answer.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                if timer.as_mut().poll(cx).is_ready() {
                    self.finish(Reason::Timeout);
                    return Poll::Ready(Some(Err(BodyError::Timeout)));
                }
            }
            return Poll::Pending;
        };
        match &next {
            None => self.finish(Reason::Answered),
            Some(Ok(frame)) => {
                let last = answer.body.is_end_stream();
                self.note(frame);
                if last {
                    self.finish(Reason::Answered);
                }
            }
            Some(Err(error)) => {
                self.say(&error.to_string());
                self.finish(Reason::UpstreamAborted);
            }
        }
        Poll::Ready(next)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.answer.as_ref().is_none_or(|answer| answer.body.is_end_stream())
    }

    pub(super) fn left(&self) -> Option<u64> {
        self.answer.as_ref().map_or(Some(0), |answer| answer.body.left())
    }

    fn note(&mut self, frame: &Frame) {
        match frame {
            Frame::Data(data) => {
                self.response_bytes += data.len() as u64;
                if let Some(messages) = self.answer.as_mut().and_then(|a| a.messages.as_mut()) {
                    messages.pass(data);
                    self.record.response_messages = messages.count;
                }
            }
            Frame::Trailers(trailers) if self.is_grpc() => {
                self.record.grpc_status = heads::grpc_status(trailers);
            }
            Frame::Trailers(_) => {}
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Whoever holds it was dropped: the client has gone.
        self.finish(Reason::ClientGone);
        if !self.quiet
            && let Some(ended) = self.ended
        {
            self.telemetry.request(&self.record, ended.into_std());
        }
    }
}

/// Bytes of a tunnel so far.
#[derive(Debug, Default)]
pub struct Passed {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Passed {
    fn both(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

impl Meter for Passed {
    fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// An answer's body on its way to the client.
#[derive(Debug)]
struct Answering {
    body: Body,
    /// Made once the body is waited for: most are here with their heads.
    timer: Option<Pin<Box<Sleep>>>,
    messages: Option<Messages>,
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
