//! A request body that can be sent again, as long as it is small and no answer has been accepted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use super::body::{Body, BodyError, Fields, Frame, Polled};
use super::exchange::Messages;

/// Bytes kept for sending again. What is larger streams through and cannot be retried once it started.
pub const REPLAY_LIMIT: usize = 64 * 1024;

/// The source: hands out one body per attempt.
#[derive(Debug)]
pub struct Replay(Option<Arc<Mutex<State>>>);

#[derive(Debug)]
struct State {
    source: Body,
    kept: VecDeque<Bytes>,
    trailers: Option<Fields>,
    kept_bytes: usize,
    /// Who wants a copy of the whole body, if it stays small.
    copies: Vec<oneshot::Sender<Bytes>>,
    /// Index of the kept frame that the current attempt reads next.
    next: usize,
    seen_bytes: u64,
    /// Counts gRPC messages, where it is gRPC.
    messages: Option<Messages>,
    /// The source gave its last frame.
    ended: bool,
    /// Frames are kept; false once too many passed or an answer was accepted.
    keeping: bool,
    /// Some frame is gone for good.
    lossy: bool,
    /// Number of the attempt that may read. Bodies of earlier attempts, which a connection may still hold, get an
    /// error instead of stealing frames.
    attempt: u32,
}

impl Replay {
    /// Takes over a request's body. A request without a body costs nothing.
    #[must_use]
    pub fn new(body: Body, grpc: bool) -> Self {
        if body.is_end_stream() {
            return Self(None);
        }
        Self(Some(Arc::new(Mutex::new(State {
            source: body,
            kept: VecDeque::new(),
            trailers: None,
            kept_bytes: 0,
            copies: Vec::new(),
            next: 0,
            seen_bytes: 0,
            messages: grpc.then(Messages::default),
            ended: false,
            keeping: true,
            lossy: false,
            attempt: 0,
        }))))
    }

    /// The body for the next attempt.
    #[must_use]
    pub fn attempt(&self) -> Body {
        let Some(state) = &self.0 else { return Body::empty() };
        let number = {
            let mut state = lock(state);
            state.attempt += 1;
            state.next = 0;
            state.attempt
        };
        Body::attempt(Attempt { state: Arc::clone(state), number, trailers_sent: false })
    }

    /// Whether a new attempt would send the whole body.
    #[must_use]
    pub fn can_replay(&self) -> bool {
        self.0.as_ref().is_none_or(|s| !lock(s).lossy)
    }

    /// No more attempts will follow: stop keeping frames.
    pub fn commit(&self) {
        if let Some(state) = &self.0 {
            lock(state).forget();
        }
    }

    /// The whole body, once it has passed; the receiver fails where it is too large to be kept.
    #[must_use]
    pub fn copy(&self) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        match &self.0 {
            None => {
                let _ = sender.send(Bytes::new());
            }
            Some(state) => lock(state).copies.push(sender),
        }
        receiver
    }

    /// Body bytes received from the client so far, and whether that is all.
    #[must_use]
    pub fn received(&self) -> (u64, bool) {
        self.0.as_ref().map_or((0, true), |s| {
            let state = lock(s);
            (state.seen_bytes, state.ended)
        })
    }

    /// A handle for the record, which outlives the attempts.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter(Self(self.0.clone()))
    }
}

/// Reads how much of the request body has passed.
#[derive(Debug)]
pub struct Meter(Replay);

impl Meter {
    /// Body bytes received from the client.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.received().0
    }

    /// gRPC messages received from the client.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.0.0.as_ref().and_then(|s| lock(s).messages.as_ref().map(|m| m.count)).unwrap_or(0)
    }

    /// Whether the client has sent its whole body.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.0.received().1
    }
}

/// The body of one try.
#[derive(Debug)]
pub struct Attempt {
    state: Arc<Mutex<State>>,
    number: u32,
    trailers_sent: bool,
}

impl Attempt {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let mut state = lock(&self.state);
        if state.attempt != self.number {
            return Poll::Ready(Some(Err(BodyError::Abandoned)));
        }
        if let Some(bytes) = state.take_kept() {
            return Poll::Ready(Some(Ok(Frame::Data(bytes))));
        }
        if state.ended {
            let trailers = if self.trailers_sent { None } else { state.trailers.clone() };
            self.trailers_sent = true;
            return Poll::Ready(trailers.map(|t| Ok(Frame::Trailers(t))));
        }
        let polled = state.source.poll_frame(cx);
        let Poll::Ready(next) = polled else { return Poll::Pending };
        match next {
            None => {
                state.end();
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                state.ended = true;
                state.lossy = true;
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(frame)) => {
                state.keep(&frame);
                if !state.ended && state.source.is_end_stream() {
                    state.end();
                }
                self.trailers_sent |= matches!(frame, Frame::Trailers(_));
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        state.attempt == self.number
            && state.next >= state.kept.len()
            && (state.ended || state.source.is_end_stream())
            && (self.trailers_sent || state.trailers.is_none())
    }

    pub(super) fn left(&self) -> Option<u64> {
        let state = lock(&self.state);
        let ahead: u64 = state.kept.iter().skip(state.next).map(|b| b.len() as u64).sum();
        Some(state.source.left()? + ahead)
    }
}

impl State {
    /// The next kept frame for the current attempt.
    fn take_kept(&mut self) -> Option<Bytes> {
        if !self.keeping {
            return self.kept.pop_front();
        }
        let bytes = self.kept.get(self.next).cloned()?;
        self.next += 1;
        Some(bytes)
    }

    /// Notes a frame that passes from the source to the current attempt.
    fn keep(&mut self, frame: &Frame) {
        let data = match frame {
            Frame::Data(data) => data,
            Frame::Trailers(trailers) => {
                self.trailers = Some(trailers.clone());
                return self.end();
            }
        };
        self.seen_bytes += data.len() as u64;
        if let Some(messages) = &mut self.messages {
            messages.pass(data);
        }
        if self.keeping && self.kept_bytes + data.len() <= REPLAY_LIMIT {
            self.kept_bytes += data.len();
            self.kept.push_back(data.clone());
            self.next += 1;
        } else {
            self.forget();
            self.lossy = true;
        }
    }

    /// The source gave its last frame.
    fn end(&mut self) {
        self.ended = true;
        for copy in std::mem::take(&mut self.copies) {
            let _ = copy.send(join(self.kept.make_contiguous()));
        }
    }

    /// Drops what has been read; the rest is read once.
    fn forget(&mut self) {
        if !self.ended {
            self.copies.clear();
        }
        if self.keeping {
            self.keeping = false;
            let read = self.next.min(self.kept.len());
            self.lossy |= read > 0;
            self.kept.drain(..read);
            self.next = 0;
        }
    }
}

/// Joins the frames of a small body.
fn join(frames: &[Bytes]) -> Bytes {
    match frames {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => {
            let mut all = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            many.iter().for_each(|b| all.extend_from_slice(b));
            all.freeze()
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    // A panic while it was held cannot leave it half-changed: every change is one assignment.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
