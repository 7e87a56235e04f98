//! Bodies on their way out, to clients and to endpoints.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as HttpBody;
use leno_http::h1::Framing;
use leno_http::h1::write;
use leno_http::spare;

use super::wire::Wire;
use crate::http::body::Body;

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

    /// Whether nothing more can come, without asking.
    pub(super) fn is_complete(&self, body: &Body) -> bool {
        self.framing.is_none() || (body.is_end_stream() && self.may_end())
    }

    pub(super) const fn may_end(&self) -> bool {
        self.left == 0
    }

    /// Adds a frame; false where the body is longer than its head said.
    pub(super) fn frame(&mut self, wire: &mut Wire, frame: http_body::Frame<Bytes>) -> bool {
        match frame.into_data() {
            Ok(data) if data.is_empty() => true,
            Ok(data) => match self.framing {
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
            Err(frame) => {
                let trailers = frame.into_trailers().ok();
                if self.may_end() {
                    self.end(wire, trailers.as_ref());
                }
                trailers.into_iter().for_each(spare::give_back);
                self.ended
            }
        }
    }

    pub(super) fn end(&mut self, wire: &mut Wire, trailers: Option<&HeaderMap>) {
        if self.framing == Some(Framing::Chunked) {
            write::last_chunk(wire.output(), trailers.filter(|_| self.trailers));
        }
        self.ended = true;
    }
}
