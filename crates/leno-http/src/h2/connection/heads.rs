//! Header blocks that come in: requests, answers, trailers.

use bytes::BytesMut;

use super::receive::Received;
use super::{Connection, Event, Leaving, Role};
use crate::h2::code::Code;
use crate::h2::frame::{self, Head, flag};
use crate::h2::hpack::BadBlock;
use crate::h2::limits;
use crate::h2::message;
use crate::h2::stream::{Ended, Receives, Stream};
use crate::h2::window::{Credit, Window};

/// A header block that is not here as a whole.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    end: bool,
    bytes: BytesMut,
    frames: u32,
}

impl Connection {
    pub(super) fn headers(&mut self, head: Head, payload: &[u8]) -> Received {
        if head.stream == 0 || head.stream.is_multiple_of(2) {
            return Err(self.abort(Code::PROTOCOL_ERROR, "HEADERS on a stream that is not a client's"));
        }
        let Some(mut content) = frame::unpadded(payload, head.has(flag::PADDED)) else {
            return Err(self.abort(Code::PROTOCOL_ERROR, "more padding than there is room for"));
        };
        if head.has(flag::PRIORITY) {
            if content.len() < PRIORITY {
                return Err(self.abort(Code::FRAME_SIZE_ERROR, "HEADERS of a wrong size"));
            }
            if frame::number(&payload[content.start..]) & frame::STREAM == head.stream {
                return Err(self.abort(Code::PROTOCOL_ERROR, "a stream that depends on itself"));
            }
            content.start += PRIORITY;
        }
        let (end, fragment) = (head.has(flag::END_STREAM), &payload[content]);
        if head.has(flag::END_HEADERS) {
            return self.block(head.stream, end, fragment);
        }
        self.block = Some(Block { stream: head.stream, end, bytes: BytesMut::from(fragment), frames: 0 });
        Ok(None)
    }

    pub(super) fn continuation(&mut self, head: Head, payload: &[u8]) -> Received {
        let Some(mut block) = self.block.take() else { return Ok(None) };
        block.frames += 1;
        block.bytes.extend_from_slice(payload);
        if block.frames > limits::CONTINUATIONS || block.bytes.len() > limits::BLOCK {
            return Err(self.abort(Code::ENHANCE_YOUR_CALM, "a header block that is too long"));
        }
        if head.has(flag::END_HEADERS) {
            return self.block(block.stream, block.end, &block.bytes);
        }
        self.block = Some(block);
        Ok(None)
    }

    /// A whole header block. It is read in any case: the tables of both ends must agree.
    fn block(&mut self, stream: u32, end: bool, block: &[u8]) -> Received {
        let mut said = message::Block::new();
        match self.decoder.decode(block, |field| said.push(field)) {
            Ok(()) => {}
            Err(BadBlock::Field) => return Err(self.abort(Code::PROTOCOL_ERROR, "a field that HTTP does not allow")),
            Err(_) => return Err(self.abort(Code::COMPRESSION_ERROR, "a header block that cannot be read")),
        }
        self.useless.earn(limits::USELESS_PER_USEFUL);
        if let Some(open) = self.streams.get(&stream) {
            return match open.receives {
                Receives::Head => self.answer(stream, end, said),
                Receives::Body => self.trailers(stream, end, said),
                Receives::Nothing => self.fault(stream, Code::STREAM_CLOSED, "HEADERS behind the end"),
            };
        }
        if self.role == Role::Server && stream > self.highest {
            return self.request(stream, end, said);
        }
        self.late(stream, true)
    }

    fn request(&mut self, stream: u32, end: bool, said: message::Block) -> Received {
        self.highest = stream;
        if matches!(self.leaving, Leaving::After(_)) {
            // The peer was told, and tries again elsewhere. What it still says on the stream is for nobody, and must not cost
            // the others their connection (section 6.8).
            self.closed.add(stream, Ended::ResetHere);
            return Ok(None);
        }
        if self.streams.len() >= limits::STREAMS as usize {
            return self.refuse(stream, Code::REFUSED_STREAM);
        }
        if said.is_too_long() {
            self.too_long(stream);
            return self.refuse(stream, Code::NO_ERROR);
        }
        let length = said.length();
        let Ok(head) = said.request(&mut self.memo) else { return self.refuse(stream, Code::PROTOCOL_ERROR) };
        let receives = if end { Receives::Nothing } else { Receives::Body };
        let mut open = Stream::new(receives, Credit::growing(self.windows.stream), Window::new(self.peer.window));
        open.expected = length;
        if end && !open.counts(0, true) {
            return self.refuse(stream, Code::PROTOCOL_ERROR);
        }
        self.streams.insert(stream, open);
        Ok(Some(Event::Request { stream, head, end }))
    }

    fn answer(&mut self, stream: u32, end: bool, said: message::Block) -> Received {
        let length = said.length();
        let head = match said.response() {
            Ok(head) => head,
            Err(why) => return self.fault(stream, Code::PROTOCOL_ERROR, why),
        };
        let Some(open) = self.streams.get_mut(&stream) else { return Ok(None) };
        let status = head.status;
        let wrong = if status.is_informational() {
            open.interim += 1;
            if end {
                Some("an interim response that ends the stream")
            } else {
                (open.interim > limits::INTERIM).then_some("too many interim responses")
            }
        } else {
            open.receives = if end { Receives::Nothing } else { Receives::Body };
            open.bodiless |= status.as_u16() == 204 || status.as_u16() == 304;
            open.expected = length.filter(|_| !open.bodiless);
            (end && !open.counts(0, true)).then_some("the body is not as long as its head said")
        };
        if let Some(why) = wrong {
            return self.fault(stream, Code::PROTOCOL_ERROR, why);
        }
        self.settle(stream);
        Ok(Some(Event::Response { stream, head, end }))
    }

    fn trailers(&mut self, stream: u32, end: bool, said: message::Block) -> Received {
        if !end {
            return self.fault(stream, Code::PROTOCOL_ERROR, "a second head");
        }
        let trailers = match said.trailers() {
            Ok(trailers) => trailers,
            Err(why) => return self.fault(stream, Code::PROTOCOL_ERROR, why),
        };
        let Some(open) = self.streams.get_mut(&stream) else { return Ok(None) };
        if !open.counts(0, true) {
            return self.fault(stream, Code::PROTOCOL_ERROR, "the body is not as long as its head said");
        }
        open.receives = Receives::Nothing;
        self.settle(stream);
        Ok(Some(Event::Trailers { stream, trailers }))
    }
}

/// Bytes of a priority, which means nothing any more (section 5.3.2).
pub(super) const PRIORITY: usize = 5;
