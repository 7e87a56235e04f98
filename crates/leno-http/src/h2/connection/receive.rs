//! What comes in, frame by frame.

use std::ops::Range;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::heads::PRIORITY;
use super::{ALIVE, Broken, Connection, Event, LEAVING, Leaving, Role};
use crate::h2::code::Code;
use crate::h2::frame::{self, Head, Kind, flag};
use crate::h2::limits;
use crate::h2::stream::{Ended, Receives, Stream};

/// What a frame led to.
pub(super) type Received = Result<Option<Event>, Broken>;

impl Connection {
    /// Takes the next event from `input`; `None` where more bytes are needed. `now` is the time since any moment, as long as
    /// it is always the same one.
    ///
    /// # Errors
    /// Where the peer breaks the rules so that the connection cannot go on, or one of [`limits`]. What waits to be sent says
    /// so to the peer.
    pub fn receive(&mut self, input: &mut BytesMut, now: Duration) -> Received {
        self.now = now;
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if self.preface_left > 0 && !self.preface(input)? {
            return Ok(None);
        }
        while let Some(head) = Head::read(input) {
            if head.length > limits::FRAME {
                return Err(self.abort(Code::FRAME_SIZE_ERROR, "a frame that is too long"));
            }
            if input.len() < frame::HEAD + head.length {
                break;
            }
            if !self.greeted {
                if head.kind != Kind::SETTINGS || head.has(flag::ACK) {
                    return Err(self.abort(Code::PROTOCOL_ERROR, "its settings do not come first"));
                }
                self.greeted = true;
            }
            if let Some(event) = self.frame(head, input)? {
                return Ok(Some(event));
            }
            if self.control > limits::CONTROL_QUEUE {
                return Err(self.abort(Code::ENHANCE_YOUR_CALM, "it asks and does not read the answers"));
            }
        }
        Ok(None)
    }

    /// What a client says first; true once it is complete.
    fn preface(&mut self, input: &mut BytesMut) -> Result<bool, Broken> {
        let expected = &frame::PREFACE[frame::PREFACE.len() - self.preface_left..];
        let n = expected.len().min(input.len());
        if input[..n] != expected[..n] {
            return Err(self.abort(Code::PROTOCOL_ERROR, "it does not speak HTTP/2"));
        }
        input.advance(n);
        self.preface_left -= n;
        Ok(self.preface_left == 0)
    }

    /// Takes one whole frame from the front of `input`.
    fn frame(&mut self, head: Head, input: &mut BytesMut) -> Received {
        if let Some(block) = &self.block {
            if head.kind != Kind::CONTINUATION || head.stream != block.stream {
                return Err(self.abort(Code::PROTOCOL_ERROR, "a header block is interrupted"));
            }
        } else if head.kind == Kind::CONTINUATION {
            return Err(self.abort(Code::PROTOCOL_ERROR, "a CONTINUATION of nothing"));
        }
        input.advance(frame::HEAD);
        if head.kind == Kind::DATA {
            return self.data(head, input);
        }
        let payload = &input[..head.length];
        let received = match head.kind {
            Kind::HEADERS => self.headers(head, payload),
            Kind::CONTINUATION => self.continuation(head, payload),
            Kind::PRIORITY => self.priority(head, payload),
            Kind::RST_STREAM => self.rst_stream(head, payload),
            Kind::SETTINGS => self.settings(head, payload),
            Kind::PUSH_PROMISE => Err(self.abort(Code::PROTOCOL_ERROR, "a push that was not allowed")),
            Kind::PING => self.pinged(head, payload),
            Kind::GOAWAY => self.go_away(head, payload),
            Kind::WINDOW_UPDATE => self.window_update(head, payload),
            // Extensions may be ignored, and are.
            _ => self.useless(),
        };
        input.advance(head.length);
        received
    }

    fn data(&mut self, head: Head, input: &mut BytesMut) -> Received {
        if head.stream == 0 {
            return Err(self.abort(Code::PROTOCOL_ERROR, "DATA without a stream"));
        }
        let Some(content) = frame::unpadded(&input[..head.length], head.has(flag::PADDED)) else {
            return Err(self.abort(Code::PROTOCOL_ERROR, "more padding than there is room for"));
        };
        if !self.credit.received(head.length) {
            return Err(self.abort(Code::FLOW_CONTROL_ERROR, "more data than the connection's window"));
        }
        let end = head.has(flag::END_STREAM);
        let Some(stream) = self.streams.get_mut(&head.stream) else {
            input.advance(head.length);
            self.discarded(head.length);
            return self.late(head.stream, false);
        };
        let wrong = if stream.receives == Receives::Nothing {
            Some((Code::STREAM_CLOSED, "DATA behind the end"))
        } else if stream.receives == Receives::Head {
            Some((Code::PROTOCOL_ERROR, "DATA before the head"))
        } else if !stream.credit.received(head.length) {
            Some((Code::FLOW_CONTROL_ERROR, "more data than the stream's window"))
        } else if !stream.counts(content.len(), end) {
            Some((Code::PROTOCOL_ERROR, "the body is not as long as its head said"))
        } else if stream.bodiless && !content.is_empty() {
            Some((Code::PROTOCOL_ERROR, "a body where there is none"))
        } else {
            None
        };
        if let Some((code, why)) = wrong {
            input.advance(head.length);
            self.discarded(head.length);
            return self.fault(head.stream, code, why);
        }
        if end {
            stream.receives = Receives::Nothing;
        }
        if content.is_empty() && !end {
            self.useless()?;
        } else {
            self.useless.earn(limits::USELESS_PER_USEFUL);
        }
        let data = take(input, head.length, content.clone());
        self.consumed(head.stream, head.length - content.len());
        self.settle(head.stream);
        if data.is_empty() && !end {
            return Ok(None);
        }
        Ok(Some(Event::Data { stream: head.stream, data, end }))
    }

    fn priority(&mut self, head: Head, payload: &[u8]) -> Received {
        if head.stream == 0 {
            return Err(self.abort(Code::PROTOCOL_ERROR, "PRIORITY without a stream"));
        }
        if payload.len() != PRIORITY {
            return Err(self.abort(Code::FRAME_SIZE_ERROR, "PRIORITY of a wrong size"));
        }
        if frame::number(payload) & frame::STREAM == head.stream {
            return Err(self.abort(Code::PROTOCOL_ERROR, "a stream that depends on itself"));
        }
        self.useless()
    }

    fn rst_stream(&mut self, head: Head, payload: &[u8]) -> Received {
        if payload.len() != 4 {
            return Err(self.abort(Code::FRAME_SIZE_ERROR, "RST_STREAM of a wrong size"));
        }
        if self.is_idle(head.stream) {
            return Err(self.abort(Code::PROTOCOL_ERROR, "RST_STREAM of a stream that was not opened"));
        }
        if self.streams.remove(&head.stream).is_none() {
            return self.useless();
        }
        self.closed.add(head.stream, Ended::ResetThere);
        if self.role == Role::Server && !self.resets.spend(self.now) {
            return Err(self.abort(Code::ENHANCE_YOUR_CALM, "it opens streams only to reset them"));
        }
        Ok(Some(Event::Reset { stream: head.stream, code: Code(frame::number(payload)), fault: None }))
    }

    fn settings(&mut self, head: Head, payload: &[u8]) -> Received {
        if head.stream != 0 {
            return Err(self.abort(Code::PROTOCOL_ERROR, "SETTINGS on a stream"));
        }
        if head.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(self.abort(Code::FRAME_SIZE_ERROR, "SETTINGS of a wrong size"));
            }
            return self.useless();
        }
        self.useless()?;
        let before = self.peer.window;
        if let Err((code, why)) = self.peer.read(payload, self.role == Role::Client) {
            return Err(self.abort(code, why));
        }
        self.encoder.allow(self.peer.table);
        let by = i64::from(self.peer.window) - i64::from(before);
        if by != 0 && !self.shift_windows(by) {
            return Err(self.abort(Code::FLOW_CONTROL_ERROR, "a window becomes too wide"));
        }
        frame::settings_ack(self.out.tail());
        self.control += 1;
        Ok(Some(Event::Settings))
    }

    fn pinged(&mut self, head: Head, payload: &[u8]) -> Received {
        if head.stream != 0 {
            return Err(self.abort(Code::PROTOCOL_ERROR, "PING on a stream"));
        }
        let Ok(payload) = <[u8; 8]>::try_from(payload) else {
            return Err(self.abort(Code::FRAME_SIZE_ERROR, "PING of a wrong size"));
        };
        if !head.has(flag::ACK) {
            frame::ping(self.out.tail(), payload, true);
            self.control += 1;
            return self.useless();
        }
        match payload {
            LEAVING if self.leaving == Leaving::Told => {
                frame::go_away(self.out.tail(), self.highest, Code::NO_ERROR.0);
                self.leaving = Leaving::After(self.highest);
                Ok(None)
            }
            ALIVE => Ok(Some(Event::Pong)),
            _ => self.useless(),
        }
    }

    fn go_away(&mut self, head: Head, payload: &[u8]) -> Received {
        if head.stream != 0 {
            return Err(self.abort(Code::PROTOCOL_ERROR, "GOAWAY on a stream"));
        }
        if payload.len() < 8 {
            return Err(self.abort(Code::FRAME_SIZE_ERROR, "GOAWAY of a wrong size"));
        }
        self.useless()?;
        let (last, code) = (frame::number(payload) & frame::STREAM, Code(frame::number(&payload[4..])));
        let mut refused = Vec::new();
        if self.role == Role::Client {
            refused.extend(self.streams.keys().copied().filter(|id| *id > last));
            for id in &refused {
                self.streams.remove(id);
                self.closed.add(*id, Ended::ResetThere);
            }
            self.forsaken = true;
        }
        Ok(Some(Event::GoAway { last, code, refused }))
    }

    fn window_update(&mut self, head: Head, payload: &[u8]) -> Received {
        if payload.len() != 4 {
            return Err(self.abort(Code::FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size"));
        }
        self.useless()?;
        let by = i64::from(frame::number(payload) & frame::STREAM);
        if head.stream == 0 {
            if by == 0 {
                return Err(self.abort(Code::PROTOCOL_ERROR, "WINDOW_UPDATE by nothing"));
            }
            if !self.window.shift(by) {
                return Err(self.abort(Code::FLOW_CONTROL_ERROR, "a window becomes too wide"));
            }
            self.feed();
            return Ok(None);
        }
        if self.is_idle(head.stream) {
            return Err(self.abort(Code::PROTOCOL_ERROR, "WINDOW_UPDATE of a stream that was not opened"));
        }
        let Some(open) = self.streams.get_mut(&head.stream) else { return Ok(None) };
        if by == 0 {
            return self.fault(head.stream, Code::PROTOCOL_ERROR, "WINDOW_UPDATE by nothing");
        }
        if !open.window.shift(by) {
            return self.fault(head.stream, Code::FLOW_CONTROL_ERROR, "a window becomes too wide");
        }
        self.enlist(head.stream);
        Ok(None)
    }

    /// A frame for a stream that is not open. It may have been under way when this end reset the stream.
    pub(super) fn late(&mut self, stream: u32, headers: bool) -> Received {
        if self.is_idle(stream) {
            return Err(self.abort(Code::PROTOCOL_ERROR, "a frame for a stream that was not opened"));
        }
        match self.closed.get(stream) {
            Some(Ended::ResetHere) => self.useless(),
            Some(Ended::Whole) => Err(self.abort(Code::STREAM_CLOSED, "a frame for a stream that has ended")),
            Some(Ended::ResetThere) => self.refuse(stream, Code::STREAM_CLOSED),
            None if self.role == Role::Server && headers => {
                Err(self.abort(Code::PROTOCOL_ERROR, "a stream below those that are open"))
            }
            None => self.useless(),
        }
    }

    /// Resets a stream that has not become one.
    pub(super) fn refuse(&mut self, stream: u32, code: Code) -> Received {
        frame::reset(self.out.tail(), stream, code.0);
        self.control += 1;
        if self.closed.get(stream).is_none() {
            self.closed.add(stream, Ended::ResetHere);
        }
        self.blame()?;
        Ok(None)
    }

    /// Resets a stream because of what the peer did on it.
    pub(super) fn fault(&mut self, stream: u32, code: Code, what: &'static str) -> Received {
        self.reset(stream, code);
        self.control += 1;
        self.blame()?;
        Ok(Some(Event::Reset { stream, code, fault: Some(what) }))
    }

    /// Making this end reset streams costs it as much as resetting them.
    fn blame(&mut self) -> Result<(), Broken> {
        if self.resets.spend(self.now) {
            return Ok(());
        }
        Err(self.abort(Code::ENHANCE_YOUR_CALM, "it opens streams only to have them reset"))
    }

    fn useless(&mut self) -> Received {
        if self.useless.spend(self.now) {
            return Ok(None);
        }
        Err(self.abort(Code::ENHANCE_YOUR_CALM, "too many frames that bring nothing"))
    }

    const fn is_idle(&self, stream: u32) -> bool {
        stream > self.highest || stream == 0 || stream.is_multiple_of(2)
    }

    /// Forgets a stream once both sides have said all.
    pub(super) fn settle(&mut self, stream: u32) {
        if self.streams.get(&stream).is_some_and(Stream::is_ended) {
            self.streams.remove(&stream);
            self.closed.add(stream, Ended::Whole);
            self.resets.earn(1);
        }
    }

    fn shift_windows(&mut self, by: i64) -> bool {
        let mut fits = true;
        for stream in self.streams.values_mut() {
            fits &= stream.window.shift(by);
        }
        if by > 0 {
            let all: Vec<u32> = self.streams.keys().copied().collect();
            all.into_iter().for_each(|id| self.enlist(id));
        }
        fits
    }
}

/// Takes a payload from the input. What is large stays where it was read.
fn take(input: &mut BytesMut, length: usize, content: Range<usize>) -> Bytes {
    if content.len() < COPY {
        let data = Bytes::copy_from_slice(&input[content]);
        input.advance(length);
        return data;
    }
    let mut data = input.split_to(length).freeze();
    data.truncate(content.end);
    data.advance(content.start);
    data
}

/// Shorter data is copied: a few bytes must not hold a whole buffer.
const COPY: usize = 4 * 1024;
