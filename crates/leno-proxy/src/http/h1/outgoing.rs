//! Bodies on their way out, to clients and to endpoints.

use leno_http::h1::Framing;
use leno_http::h1::write;
use leno_http::{Fields, spare};

use super::wire::Wire;
use crate::http::body::Frame;

/// A body on its way out.
pub(super) struct Outgoing {
    framing: Option<Framing>,
    left: u64,
    trailers: bool,
    pub(super) ended: bool,
}

impl Outgoing {
    pub(super) const fn new(framing: Option<Framing>, trailers: bool) -> Self {
        let left = match framing {
            Some(Framing::Length(n)) => n,
            _ => 0,
        };
        Self { framing, left, trailers, ended: false }
    }

    /// Whether nothing more can come, without asking; `ended` is what the body says.
    pub(super) const fn is_complete(&self, ended: bool) -> bool {
        self.framing.is_none() || (ended && self.may_end())
    }

    pub(super) const fn may_end(&self) -> bool {
        self.left == 0
    }

    /// Adds a frame; false where the body is longer than its head said.
    pub(super) fn frame(&mut self, wire: &mut Wire, frame: Frame) -> bool {
        match frame {
            Frame::Data(data) if data.is_empty() => true,
            Frame::Data(data) => match self.framing {
                Some(Framing::Length(_)) => {
                    let fits = data.len() as u64 <= self.left;
                    self.left = self.left.saturating_sub(data.len() as u64);
                    if fits {
                        wire.put(data, &[]);
                    }
                    fits
                }
                Some(Framing::Chunked) => {
                    write::chunk(wire.output(), data.len());
                    wire.put(data, write::CHUNK_END);
                    true
                }
                Some(Framing::UntilClose) => {
                    wire.put(data, &[]);
                    true
                }
                None => true,
            },
            Frame::Trailers(trailers) => {
                if self.may_end() {
                    self.end(wire, Some(&trailers));
                }
                spare::give_back(trailers);
                self.ended
            }
        }
    }

    pub(super) fn end(&mut self, wire: &mut Wire, trailers: Option<&Fields>) {
        if self.framing == Some(Framing::Chunked) {
            write::last_chunk(wire.output(), trailers.filter(|_| self.trailers));
        }
        self.ended = true;
    }
}
