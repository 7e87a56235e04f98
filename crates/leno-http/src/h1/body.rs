//! Bodies.

use std::ops::Range;

use bytes::Bytes;

use super::fields::{self, BadHead, Framing};
use super::limits;
use super::scan::Scan;
use crate::Fields;

/// Why a body is refused. Nothing after it on the connection can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Not hexadecimal digits alone, none, or too many.
    #[error("a chunk's size is malformed")]
    Size,
    /// A line of the chunks that does not end with CR LF.
    #[error("a chunk does not end as it should")]
    LineEnd,
    /// More than [`limits::EXTENSIONS`], or with control characters.
    #[error("the chunk extensions are malformed or too long")]
    Extension,
    /// Trailers that are no fields, too long, or not allowed there.
    #[error("the trailers are malformed: {0}")]
    Trailers(BadHead),
    /// The connection ended first.
    #[error("the connection ended in the middle of the body")]
    Cut,
}

/// Takes a body apart.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    extensions: u32,
}

#[derive(Clone, Debug)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    /// In a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the size, up to its carriage return.
    Extension {
        size: u64,
    },
    SizeFeed {
        size: u64,
    },
    Data(u64),
    DataReturn,
    DataFeed,
    Trailers(Scan),
}

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes at the start that are done with. What is behind them comes again at the next call.
    pub consumed: usize,
    /// What they are.
    pub event: Event,
}

/// A part of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet: more bytes are needed.
    More,
    /// These of the bytes are the body's.
    Data(Range<usize>),
    /// It ended with trailers.
    Trailers(Fields),
    /// It ended.
    End,
}

impl Decoder {
    /// For a body that is framed so.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::Size { size: 0, digits: 0 },
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, extensions: 0 }
    }

    /// Whether the body has ended.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Bytes still to come, where that is known.
    #[must_use]
    pub const fn left(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(n) => Some(n),
            _ => None,
        }
    }

    /// Takes the next bytes. To be called until it says [`Event::More`] or the body has ended.
    ///
    /// # Errors
    /// See [`BadBody`]; the connection is of no more use.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Step, BadBody> {
        let mut at = 0;
        while at < bytes.len() || self.is_done() {
            match &mut self.state {
                State::Done => return Ok(Step { consumed: at, event: Event::End }),
                State::UntilClose => return Ok(data(at, bytes.len())),
                State::Length(left) | State::Data(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    *left -= n as u64;
                    if *left == 0 {
                        self.state = if matches!(self.state, State::Data(_)) { State::DataReturn } else { State::Done };
                    }
                    return Ok(data(at, at + n));
                }
                State::Trailers(_) => return self.trailers(bytes, at),
                _ => {
                    self.line(bytes[at])?;
                    at += 1;
                }
            }
        }
        Ok(Step { consumed: at, event: Event::More })
    }

    /// The connection ended. That is the end of a body which ends so, and an error for any other.
    ///
    /// # Errors
    /// [`BadBody::Cut`].
    pub const fn closed(&mut self) -> Result<(), BadBody> {
        match self.state {
            State::Done | State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(BadBody::Cut),
        }
    }

    /// One byte of the lines between chunks.
    fn line(&mut self, byte: u8) -> Result<(), BadBody> {
        self.state = match self.state {
            State::Size { size, digits } => match (char::from(byte).to_digit(16), byte) {
                (Some(digit), _) if digits < limits::CHUNK_DIGITS => {
                    State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
                }
                (None, b'\r') if digits > 0 => State::SizeFeed { size },
                (None, b';') if digits > 0 => State::Extension { size },
                // A space before the end is what broken servers send and what attackers like.
                _ => return Err(BadBody::Size),
            },
            State::Extension { size } => {
                self.extensions += 1;
                match byte {
                    b'\r' => State::SizeFeed { size },
                    byte if self.extensions > limits::EXTENSIONS || (byte.is_ascii_control() && byte != b'\t') => {
                        return Err(BadBody::Extension);
                    }
                    _ => State::Extension { size },
                }
            }
            State::SizeFeed { size } if byte == b'\n' => {
                if size == 0 {
                    State::Trailers(Scan::default())
                } else {
                    State::Data(size)
                }
            }
            State::DataReturn if byte == b'\r' => State::DataFeed,
            State::DataFeed if byte == b'\n' => State::Size { size: 0, digits: 0 },
            _ => return Err(BadBody::LineEnd),
        };
        Ok(())
    }

    fn trailers(&mut self, bytes: &[u8], at: usize) -> Result<Step, BadBody> {
        let State::Trailers(scan) = &mut self.state else { return Err(BadBody::LineEnd) };
        let block = &bytes[at..];
        let Some(end) = scan.end_within(block, limits::TRAILERS).map_err(BadBody::Trailers)? else {
            return Ok(Step { consumed: at, event: Event::More });
        };
        let trailers = fields::trailers(&Bytes::copy_from_slice(&block[..end])).map_err(BadBody::Trailers)?;
        self.state = State::Done;
        let event = if trailers.is_empty() { Event::End } else { Event::Trailers(trailers) };
        Ok(Step { consumed: at + end, event })
    }
}

const fn data(start: usize, end: usize) -> Step {
    Step { consumed: end, event: Event::Data(start..end) }
}
