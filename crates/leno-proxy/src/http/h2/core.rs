//! What the task of a connection shares with those who use its streams.
//!
//! Everything is done under one short lock that is never held while somebody else is called or woken. Whoever adds something
//! that must be sent wakes the connection's task, once; while that task is at work it looks again anyway.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderValue, StatusCode};
use leno_http::h2::{ByStream, Chunks, Code, Connection, Event, Role, Windows};

use super::Failure;
use crate::cluster::lock;
use crate::http::body::{self, BodyError, Fields, Frame, Polled, ResponseHead};

/// One connection.
pub(super) struct Core(Mutex<State>);

/// What the lock guards.
pub(super) struct State {
    pub(super) conn: Connection,
    slots: ByStream<Slot>,
    /// The connection's task, and whether it is at work: then it need not be woken.
    task: Option<Waker>,
    pub(super) awake: bool,
    /// Requests that were opened since what waits was last made ready to be sent.
    pub(super) unsent: usize,
    /// Why the connection is no more.
    pub(super) over: Option<Failure>,
    /// Nobody can open streams any more.
    pub(super) abandoned: bool,
}

/// A stream as its users see it. It is kept until all have let go of it.
pub(super) struct Slot {
    head: Option<ResponseHead>,
    data: Chunks,
    trailers: Option<Fields>,
    /// The peer has said all.
    ended: bool,
    failure: Option<Failure>,
    /// Nobody wants the rest.
    unwanted: bool,
    /// The client waits to be told that its body is wanted.
    expects: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    holders: u8,
}

/// Who is to be woken once the lock is free.
pub(super) type Wakers = Vec<Waker>;

/// An answer's head.
pub(super) struct Head {
    pub(super) head: ResponseHead,
    /// Its body, where all of it is here.
    pub(super) whole: Option<Bytes>,
}

/// A stream that a client has opened.
pub(super) struct Asked {
    pub(super) stream: u32,
    pub(super) head: body::Head,
    pub(super) end: bool,
}

impl Core {
    pub(super) fn new(role: Role, windows: Windows) -> Arc<Self> {
        let conn = Connection::new(role, windows);
        let slots = ByStream::default();
        let state = State { conn, slots, task: None, awake: true, unsent: 0, over: None, abandoned: false };
        Arc::new(Self(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Does something that may leave bytes to be sent.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let value = change(&mut state);
        let task = state.nudged();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        value
    }

    /// The connection's task begins to work.
    pub(super) fn begin(&self, cx: &Context<'_>) {
        let mut state = self.lock();
        state.awake = true;
        if !state.task.as_ref().is_some_and(|t| t.will_wake(cx.waker())) {
            state.task = Some(cx.waker().clone());
        }
    }

    /// The connection's task, once it has begun.
    pub(super) fn task(&self) -> Option<Waker> {
        self.lock().task.clone()
    }

    /// Ends all streams that have not ended.
    pub(super) fn end(&self, why: &Failure) {
        let mut wakers = Wakers::new();
        {
            let mut state = self.lock();
            if state.over.is_none() {
                state.over = Some(why.clone());
            }
            for slot in state.slots.values_mut() {
                slot.fail(why, &mut wakers);
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether the stream has failed; if not, the caller is woken when it does, or when there is room to write.
    pub(super) fn is_over(&self, stream: u32, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(&stream) else { return true };
        if slot.failure.is_none() && !slot.writer.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            slot.writer = Some(cx.waker().clone());
        }
        slot.failure.is_some()
    }

    /// Waits for room to send more on a stream.
    pub(super) fn poll_room(&self, stream: u32, cx: &Context<'_>) -> Poll<Result<(), Failure>> {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(slot) = state.slots.get_mut(&stream) else { return Poll::Ready(Err(Failure::gone())) };
        if let Some(failure) = &slot.failure {
            return Poll::Ready(Err(failure.clone()));
        }
        if !slot.writer.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            slot.writer = Some(cx.waker().clone());
        }
        if state.conn.has_room(stream) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Waits for an answer's head.
    pub(super) fn poll_head(&self, stream: u32, cx: &Context<'_>) -> Poll<Result<Head, Failure>> {
        let polled = self.change(|state| state.poll_head(stream, cx));
        // What is left of the slot is dropped here, without the lock.
        polled.map_ok(|(head, _slot)| head)
    }

    /// The next part of a body, and whether it is the last.
    pub(super) fn poll_frame(&self, stream: u32, cx: &Context<'_>) -> (Polled, bool) {
        self.change(|state| state.poll_frame(stream, cx))
    }

    pub(super) fn is_end_stream(&self, stream: u32) -> bool {
        let state = self.lock();
        state.slots.get(&stream).is_none_or(Slot::is_done)
    }

    /// Nobody reads a stream any more. An answer that has not ended is of no use then, and neither is its stream.
    pub(super) fn let_go_unread(&self, stream: u32, answer: bool) {
        let mut wakers = Wakers::new();
        let slot = self.change(|state| {
            let slot = state.slots.get_mut(&stream)?;
            slot.unwanted = true;
            state.conn.discarded(slot.data.clear());
            if answer && state.conn.is_open(stream) {
                state.conn.reset(stream, Code::CANCEL);
                // Whoever still sends the request is told.
                slot.fail(&Failure::gone(), &mut wakers);
            }
            state.release(stream)
        });
        drop(slot);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// One user of a stream less.
    pub(super) fn let_go(&self, stream: u32) {
        let slot = self.lock().release(stream);
        drop(slot);
    }
}

impl State {
    /// An answer's head. A small body that is here as a whole comes with it, and its reader's hold on the stream ends: unless the
    /// request is still on its way, which the reader gives up when it has read the answer.
    fn poll_head(&mut self, stream: u32, cx: &Context<'_>) -> Poll<Result<(Head, Option<Slot>), Failure>> {
        let Some(slot) = self.slots.get_mut(&stream) else { return Poll::Ready(Err(Failure::gone())) };
        let Some(head) = slot.head.take() else {
            if let Some(failure) = &slot.failure {
                return Poll::Ready(Err(failure.clone()));
            }
            slot.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let over = slot.ended && slot.trailers.is_none() && !self.conn.is_open(stream);
        let whole = if over { slot.data.take_only(WITH_ITS_HEAD) } else { None };
        let Some(body) = &whole else { return Poll::Ready(Ok((Head { head, whole }, None))) };
        self.conn.consumed(stream, body.len());
        let slot = self.release(stream);
        Poll::Ready(Ok((Head { head, whole }, slot)))
    }

    /// The next part of a body, and whether it is the last.
    fn poll_frame(&mut self, stream: u32, cx: &Context<'_>) -> (Polled, bool) {
        let Some(slot) = self.slots.get_mut(&stream) else { return (Poll::Ready(None), true) };
        let polled = slot.poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(Frame::Data(data)))) => self.conn.consumed(stream, data.len()),
            Poll::Pending if std::mem::take(&mut slot.expects) => {
                self.conn.respond(stream, StatusCode::CONTINUE, &Fields::new(), false);
            }
            Poll::Ready(_) | Poll::Pending => {}
        }
        (polled, slot.is_done())
    }

    /// A new stream with so many users.
    pub(super) fn add(&mut self, stream: u32, holders: u8) {
        self.slots.insert(stream, Slot::new(holders));
    }

    /// The answer is on its way: who waits to send its body is told by it.
    pub(super) fn answered(&mut self, stream: u32) {
        if let Some(slot) = self.slots.get_mut(&stream) {
            slot.expects = false;
        }
    }

    /// This end has reset a stream whose answer somebody still reads.
    pub(super) fn broke(&mut self, stream: u32, wakers: &mut Wakers) {
        if let Some(slot) = self.slots.get_mut(&stream) {
            slot.fail(&Failure::Reset(Code::CANCEL), wakers);
        }
    }

    /// The streams that have room again.
    pub(super) fn roomy(&mut self, wakers: &mut Wakers) {
        for stream in self.conn.roomy() {
            wakers.extend(self.slots.get_mut(&stream).and_then(|s| s.writer.take()));
        }
    }

    /// One user of a stream less. The last one's slot comes back, to be dropped without the lock: its bytes may hold a whole
    /// buffer.
    pub(super) fn release(&mut self, stream: u32) -> Option<Slot> {
        let slot = self.slots.get_mut(&stream)?;
        slot.holders -= 1;
        if slot.holders == 0 { self.slots.remove(&stream) } else { None }
    }

    /// Notes what the peer did. A stream that it opened comes back.
    pub(super) fn take(&mut self, event: Event, wakers: &mut Wakers) -> Option<Asked> {
        match event {
            Event::Request { stream, head, end } => {
                // Its body may lie right behind it. Held by who answers, and by the body.
                let mut slot = Slot::new(if end { 1 } else { 2 });
                slot.ended = end;
                slot.expects = !end && head.headers.get(EXPECT).is_some_and(is_continue);
                self.slots.insert(stream, slot);
                return Some(Asked { stream, head, end });
            }
            Event::Response { stream, head, end } => {
                if let Some(slot) = self.slots.get_mut(&stream).filter(|_| !head.status.is_informational()) {
                    slot.head = Some(head);
                    slot.ended = end;
                    wakers.extend(slot.reader.take());
                }
            }
            Event::Data { stream, data, end } => match self.slots.get_mut(&stream).filter(|s| !s.unwanted) {
                Some(slot) => {
                    slot.data.push(data);
                    slot.ended = end;
                    wakers.extend(slot.reader.take());
                }
                None => self.conn.discarded(data.len()),
            },
            Event::Trailers { stream, trailers } => {
                if let Some(slot) = self.slots.get_mut(&stream) {
                    slot.trailers = Some(trailers);
                    slot.ended = true;
                    wakers.extend(slot.reader.take());
                }
            }
            Event::Reset { stream, code, fault } => {
                if let Some(slot) = self.slots.get_mut(&stream) {
                    slot.fail(&fault.map_or(Failure::Reset(code), Failure::Malformed), wakers);
                }
            }
            Event::GoAway { refused, .. } => {
                for stream in refused {
                    if let Some(slot) = self.slots.get_mut(&stream) {
                        slot.fail(&Failure::Refused, wakers);
                    }
                }
            }
            Event::Pong | Event::Settings => {}
        }
        None
    }

    /// The connection's task, where it must be woken to send what waits.
    fn nudged(&mut self) -> Option<Waker> {
        if self.awake || !(self.conn.wants_write() || self.abandoned) {
            return None;
        }
        self.awake = true;
        self.task.clone()
    }
}

impl Slot {
    const fn new(holders: u8) -> Self {
        Self {
            head: None,
            data: Chunks::NONE,
            trailers: None,
            ended: false,
            failure: None,
            unwanted: false,
            expects: false,
            reader: None,
            writer: None,
            holders,
        }
    }

    fn poll_frame(&mut self, cx: &Context<'_>) -> Polled {
        if let Some(data) = self.data.pop(usize::MAX) {
            return Poll::Ready(Some(Ok(Frame::Data(data))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::Trailers(trailers))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(failure) = &self.failure {
            return Poll::Ready(Some(Err(BodyError::Http2(failure.clone()))));
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether all of it was taken.
    fn is_done(&self) -> bool {
        self.ended && self.data.is_empty() && self.trailers.is_none()
    }

    fn fail(&mut self, why: &Failure, wakers: &mut Wakers) {
        if self.failure.is_none() {
            self.failure = Some(why.clone());
        }
        wakers.extend(self.reader.take());
        wakers.extend(self.writer.take());
    }
}

fn is_continue(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"100-continue")
}

/// An answer's body up to this size is taken with its head, where it is here. More stays in the stream, whose window bounds what waits
/// for slow clients.
const WITH_ITS_HEAD: usize = 16 * 1024;

/// Content-Length.
pub(super) fn length(headers: &Fields) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Failure {
    /// A stream that is not there any more.
    pub(super) const fn gone() -> Self {
        Self::Reset(Code::STREAM_CLOSED)
    }
}
