//! A connection, at either end: bytes in, events out; commands in, bytes out.

mod heads;
mod receive;
mod send;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::code::Code;
use super::frame;
use super::hpack::{self, Decoder, Encoder};
use super::limits::{self, Budget};
use super::message::Memo;
use super::settings::{self, Peer};
use super::stream::{ByStream, Closed, Ended, Receives, Stream};
use super::window::{self, Credit, Window};
use crate::{Fields, Output, RequestHead, ResponseHead};

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It opens streams.
    Client,
    /// It answers.
    Server,
}

/// How much a peer may send ahead, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// On one stream to begin with; four times as much as long as what comes is taken at once.
    pub stream: u32,
    /// On all streams of the connection together.
    pub connection: u32,
}

/// What the peer did.
#[derive(Debug)]
pub enum Event {
    /// A client asks. Servers only.
    Request {
        /// The new stream.
        stream: u32,
        /// Its head.
        head: RequestHead,
        /// No body follows.
        end: bool,
    },
    /// The server answers, or says something before that (1xx). Clients only.
    Response {
        /// The stream.
        stream: u32,
        /// The head.
        head: ResponseHead,
        /// No body follows.
        end: bool,
    },
    /// Bytes of a body. They count against the windows until [`Connection::consumed`] is told of them.
    Data {
        /// The stream.
        stream: u32,
        /// The bytes; may be none at the end.
        data: Bytes,
        /// That was all.
        end: bool,
    },
    /// A body's end, with trailers.
    Trailers {
        /// The stream.
        stream: u32,
        /// The fields.
        trailers: Fields,
    },
    /// A stream has ended before its end.
    Reset {
        /// The stream.
        stream: u32,
        /// Why.
        code: Code,
        /// What the peer did wrong, where it was this end that reset it.
        fault: Option<&'static str>,
    },
    /// The peer takes no more streams; those above `last` it has not looked at, and they have ended.
    GoAway {
        /// The last stream that it takes care of.
        last: u32,
        /// Why.
        code: Code,
        /// The streams of this end that were above it.
        refused: Vec<u32>,
    },
    /// A ping was answered.
    Pong,
    /// The peer's settings have changed.
    Settings,
}

/// The connection is of no more use. What waits to be sent tells the peer why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {what}")]
pub struct Broken {
    /// The code that the peer is told.
    pub code: Code,
    /// What it did.
    pub what: &'static str,
}

/// How far going away has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// The peer was told that streams will stop being taken; those that it opens before it hears of it are.
    Told,
    /// No stream above this one is taken.
    After(u32),
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    windows: Windows,
    peer: Peer,
    decoder: Decoder,
    encoder: Encoder,
    memo: Memo,
    out: Output,
    streams: ByStream<Stream>,
    closed: Closed,
    /// The highest stream that the peer has opened (server), or that this end has (client).
    highest: u32,
    /// What this end may send, all streams together.
    window: Window,
    credit: Credit,
    /// Streams that have something to send, in their turns.
    ring: VecDeque<u32>,
    /// Those of them that wait for the connection's window.
    starved: Vec<u32>,
    /// Streams whose queues have room again, and are waited for.
    roomy: Vec<u32>,
    block: Option<heads::Block>,
    preface_left: usize,
    greeted: bool,
    leaving: Leaving,
    /// The peer takes no more streams.
    forsaken: bool,
    broken: Option<Broken>,
    now: Duration,
    useless: Budget,
    resets: Budget,
    control: u32,
}

impl Connection {
    /// A new connection. This end's settings wait to be sent.
    #[must_use]
    pub fn new(role: Role, windows: Windows) -> Self {
        let mut out = Output::default();
        let client = role == Role::Client;
        if client {
            out.tail().extend_from_slice(frame::PREFACE);
        }
        settings::write(out.tail(), client, windows.stream);
        if windows.connection > window::INITIAL {
            frame::window_update(out.tail(), 0, windows.connection - window::INITIAL);
        }
        Self {
            role,
            windows,
            peer: Peer::default(),
            decoder: Decoder::new(hpack::DEFAULT_TABLE),
            encoder: Encoder::default(),
            memo: Memo::default(),
            out,
            streams: ByStream::default(),
            closed: Closed::default(),
            highest: 0,
            window: Window::new(window::INITIAL),
            credit: Credit::new(windows.connection.max(window::INITIAL)),
            ring: VecDeque::new(),
            starved: Vec::new(),
            roomy: Vec::new(),
            block: None,
            preface_left: if client { 0 } else { frame::PREFACE.len() },
            greeted: false,
            leaving: Leaving::No,
            forsaken: false,
            broken: None,
            now: Duration::ZERO,
            useless: Budget::new(limits::USELESS, limits::USELESS_PER_SECOND),
            resets: Budget::new(limits::RESETS, limits::RESETS_PER_SECOND),
            control: 0,
        }
    }

    /// Streams that are open.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Streams at once that the peer takes.
    #[must_use]
    pub const fn max_streams(&self) -> usize {
        self.peer.streams
    }

    /// Whether a client can open a stream.
    #[must_use]
    pub fn can_open(&self) -> bool {
        !self.is_closing() && self.streams.len() < self.peer.streams
    }

    /// Whether no stream can be opened any more.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.forsaken || self.broken.is_some() || self.leaving != Leaving::No || self.highest >= frame::STREAM - 2
    }

    /// Whether all that was begun has ended, and nothing new comes.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let ends = self.broken.is_some() || matches!(self.leaving, Leaving::After(_)) || self.forsaken;
        ends && self.streams.is_empty()
    }

    /// Takes what waits to be sent; to be called when all of it that was taken before has been.
    pub fn take_output(&mut self, output: &mut Output) {
        std::mem::swap(&mut self.out, output);
        self.control = 0;
    }

    /// Tells the peer that this end goes away. What it has asked is answered, and what it asks before it hears of it.
    pub fn leave(&mut self) {
        if self.leaving != Leaving::No || self.broken.is_some() {
            return;
        }
        if self.role == Role::Client {
            // The peer opens no streams.
            frame::go_away(self.out.tail(), 0, Code::NO_ERROR.0);
            self.leaving = Leaving::After(0);
            return;
        }
        frame::go_away(self.out.tail(), frame::STREAM, Code::NO_ERROR.0);
        // Its answer says that the peer has heard (section 6.8).
        frame::ping(self.out.tail(), LEAVING, false);
        self.leaving = Leaving::Told;
    }

    /// Ends the connection at once.
    pub fn abort(&mut self, code: Code, what: &'static str) -> Broken {
        if let Some(broken) = self.broken {
            return broken;
        }
        let last = match self.leaving {
            // It was told so, and a later word may not be a higher one (section 6.8).
            Leaving::After(last) => last,
            _ if self.role == Role::Server => self.highest,
            _ => 0,
        };
        frame::go_away(self.out.tail(), last, code.0);
        let broken = Broken { code, what };
        self.broken = Some(broken);
        broken
    }

    /// Asks whether the peer is still there.
    pub fn ping(&mut self) {
        frame::ping(self.out.tail(), ALIVE, false);
    }

    /// Somebody has taken so many bytes of a stream's data, or they will not be taken at all: the peer may send more.
    pub fn consumed(&mut self, stream: u32, n: usize) {
        if n == 0 {
            return;
        }
        if let Some(increment) = self.credit.consumed(n) {
            frame::window_update(self.out.tail(), 0, increment);
        }
        let Some(open) = self.streams.get_mut(&stream) else { return };
        if open.receives == Receives::Nothing {
            return;
        }
        let Some(mut increment) = open.credit.consumed(n) else { return };
        if open.credit.is_tight() {
            increment += self.widen(stream);
        }
        frame::window_update(self.out.tail(), stream, increment);
    }

    /// Streams have half of the connection's window to grow into, all together: however wide those are that nobody reads any more, the
    /// rest is left to the others.
    fn widen(&mut self, stream: u32) -> u32 {
        let grown: u32 = self.streams.values().map(|s| s.credit.grown()).sum();
        let spare = (self.windows.connection / 2).saturating_sub(grown);
        self.streams.get_mut(&stream).map_or(0, |open| open.credit.widen(spare))
    }

    /// Data that nobody wants: only the other streams get room for it.
    pub fn discarded(&mut self, n: usize) {
        if n > 0
            && let Some(increment) = self.credit.consumed(n)
        {
            frame::window_update(self.out.tail(), 0, increment);
        }
    }

    /// Ends a stream before its end. Nothing happens where it has ended already.
    pub fn reset(&mut self, stream: u32, code: Code) {
        if self.streams.remove(&stream).is_some() {
            self.closed.add(stream, Ended::ResetHere);
            frame::reset(self.out.tail(), stream, code.0);
        }
    }

    /// Whether a stream is open, on one side at least.
    #[must_use]
    pub fn is_open(&self, stream: u32) -> bool {
        self.streams.contains_key(&stream)
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Whether anything waits to be sent, or could be made ready.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.out.is_empty() || (!self.ring.is_empty() && self.window.left() > 0)
    }
}

/// Payloads of this end's pings.
const LEAVING: [u8; 8] = *b"leaving.";
const ALIVE: [u8; 8] = *b"alive?..";
