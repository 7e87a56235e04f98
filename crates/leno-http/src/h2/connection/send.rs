//! What goes out.

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use super::{Connection, Role};
use crate::h2::code::Code;
use crate::h2::frame::{self, Kind, flag};
use crate::h2::hpack::Encoder;
use crate::h2::limits;
use crate::h2::message;
use crate::h2::stream::{After, Receives, Stream};
use crate::h2::window::{Credit, Window};
use crate::{Fields, Output, RequestHead, spare};

impl Connection {
    /// Opens a stream with a request's head; `end`: it has no body. Only where [`Self::can_open`]. The stream's number.
    pub fn open(&mut self, head: &RequestHead, end: bool) -> u32 {
        let id = if self.highest == 0 { 1 } else { self.highest + 2 };
        self.highest = id;
        let mut stream =
            Stream::new(Receives::Head, Credit::growing(self.windows.stream), Window::new(self.peer.window));
        stream.bodiless = head.method == Method::HEAD;
        if end {
            stream.after = After::Sent;
        }
        self.streams.insert(id, stream);
        self.head(id, end, |encoder, out| message::write_request(encoder, out, head));
        id
    }

    /// Answers, or says something before the answer (1xx); `end`: there is no body. False where the stream has ended.
    pub fn respond(&mut self, stream: u32, status: StatusCode, headers: &Fields, end: bool) -> bool {
        if !self.takes(stream) {
            return false;
        }
        self.head(stream, end, |encoder, out| message::write_response(encoder, out, status, headers));
        if end {
            self.sent_all(stream);
        }
        true
    }

    /// Adds bytes to a stream's body; `end`: they are the last. False where the stream has ended.
    pub fn send(&mut self, stream: u32, data: Bytes, end: bool) -> bool {
        if !self.takes(stream) {
            return false;
        }
        if let Some(open) = self.streams.get_mut(&stream) {
            open.queued += data.len();
            open.queue.push(data);
            if end {
                open.after = After::End;
            }
        }
        self.enlist(stream);
        true
    }

    /// Ends a stream's body with trailers. False where the stream has ended.
    pub fn send_trailers(&mut self, stream: u32, trailers: Fields) -> bool {
        if !self.takes(stream) {
            return false;
        }
        if let Some(open) = self.streams.get_mut(&stream) {
            open.after = if trailers.is_empty() { After::End } else { After::Trailers(Box::new(trailers)) };
        }
        self.enlist(stream);
        true
    }

    /// Whether more may be added to a stream's body now. Where it may not, [`Self::roomy`] will name the stream.
    pub fn has_room(&mut self, stream: u32) -> bool {
        let Some(open) = self.streams.get_mut(&stream) else { return true };
        open.awaited = open.queued >= QUEUE;
        !open.awaited
    }

    /// Streams that were awaited and have room again.
    pub fn roomy(&mut self) -> impl Iterator<Item = u32> {
        self.roomy.drain(..)
    }

    /// Makes data ready to be sent, a frame of each stream in turn, as far as the windows allow and until enough waits.
    pub fn fill(&mut self) {
        while self.out.len() < OUTPUT {
            let Some(id) = self.ring.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.in_ring = false;
            if stream.queue.is_empty() {
                self.finish(id);
                continue;
            }
            let most = stream.window.left().min(self.peer.frame);
            if most == 0 {
                // Its own window brings it back.
                continue;
            }
            let most = most.min(self.window.left());
            if most == 0 {
                stream.in_ring = true;
                self.starved.push(id);
                self.tidy();
                continue;
            }
            let last = data(stream, id, most, &mut self.out);
            self.window.take(last.sent);
            self.useless.earn(limits::USELESS_PER_USEFUL);
            if last.room {
                self.roomy.push(id);
            }
            if last.end {
                self.sent_all(id);
            } else if stream.can_send() {
                stream.in_ring = true;
                self.ring.push_back(id);
            }
        }
    }

    /// The connection's window is wider: those that waited for it stand in the ring again.
    pub(super) fn feed(&mut self) {
        self.ring.extend(self.starved.drain(..));
    }

    /// Puts a stream into the ring, if it has something to send.
    pub(super) fn enlist(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.in_ring
            && stream.can_send()
        {
            stream.in_ring = true;
            self.ring.push_back(id);
            self.tidy();
        }
    }

    /// Streams that were reset while they waited leave their numbers behind.
    fn tidy(&mut self) {
        let most = 2 * self.streams.len() + 16;
        if self.ring.len() > most {
            self.ring.retain(|id| self.streams.contains_key(id));
        }
        if self.starved.len() > most {
            self.starved.retain(|id| self.streams.contains_key(id));
        }
    }

    /// Says that a request's head was too long, as HTTP can say it (RFC 6585, section 5).
    pub(super) fn too_long(&mut self, stream: u32) {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        self.head(stream, true, |encoder, out| message::write_response(encoder, out, status, &Fields::new()));
    }

    fn takes(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_some_and(|s| matches!(s.after, After::Open))
    }

    /// The end of a stream whose bytes have all gone.
    fn finish(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        match std::mem::replace(&mut stream.after, After::Sent) {
            After::End => frame::head(self.out.tail(), 0, Kind::DATA, flag::END_STREAM, id),
            After::Trailers(trailers) => {
                self.head(id, true, |encoder, out| message::write_trailers(encoder, out, &trailers));
                spare::give_back(*trailers);
            }
            after @ (After::Open | After::Sent) => {
                stream.after = after;
                return;
            }
        }
        self.sent_all(id);
    }

    fn sent_all(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.after = After::Sent;
        if self.role == Role::Server && stream.receives != Receives::Nothing {
            // The rest of the request is not wanted (section 8.1).
            self.reset(id, Code::NO_ERROR);
            self.resets.earn(1);
        } else {
            self.settle(id);
        }
    }

    /// Writes a header block, in as many frames as it takes.
    fn head(&mut self, stream: u32, end: bool, write: impl FnOnce(&mut Encoder, &mut BytesMut)) {
        let most = self.peer.frame;
        let out = self.out.tail();
        let start = out.len();
        out.extend_from_slice(&[0; frame::HEAD]);
        write(&mut self.encoder, out);
        let end = if end { flag::END_STREAM } else { 0 };
        let length = out.len() - start - frame::HEAD;
        if length <= most {
            frame::patch(&mut out[start..start + frame::HEAD], length, Kind::HEADERS, end | flag::END_HEADERS, stream);
            return;
        }
        let block = out.split_off(start + frame::HEAD);
        out.truncate(start);
        let mut chunks = block.chunks(most).peekable();
        let mut kind = (Kind::HEADERS, end);
        while let Some(chunk) = chunks.next() {
            let last = if chunks.peek().is_none() { flag::END_HEADERS } else { 0 };
            frame::head(out, chunk.len(), kind.0, kind.1 | last, stream);
            out.extend_from_slice(chunk);
            kind = (Kind::CONTINUATION, 0);
        }
    }
}

/// What one frame of data did.
struct Sent {
    sent: usize,
    end: bool,
    room: bool,
}

/// Writes one frame of data of at most `most` bytes.
fn data(stream: &mut Stream, id: u32, most: usize, out: &mut Output) -> Sent {
    let payload = stream.queue.pop(most).unwrap_or_default();
    let sent = payload.len();
    stream.queued -= sent;
    stream.window.take(sent);
    let end = stream.queue.is_empty() && matches!(stream.after, After::End);
    frame::head(out.tail(), sent, Kind::DATA, if end { flag::END_STREAM } else { 0 }, id);
    out.payload(payload);
    let room = stream.awaited && stream.queued < QUEUE;
    stream.awaited &= !room;
    Sent { sent, end, room }
}

/// Bytes that wait on one stream, before more are asked for.
const QUEUE: usize = 64 * 1024;
/// Bytes made ready at once: more would only wait, out of turn.
const OUTPUT: usize = 128 * 1024;
