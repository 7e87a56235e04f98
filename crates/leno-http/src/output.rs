//! Bytes that wait to be sent.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::spare;

/// Heads, frames and bodies in their order. Small things lie in one buffer, so that they leave in one write and one TLS record;
/// large payloads are not copied.
#[derive(Debug, Default)]
pub struct Output {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    /// Bytes in `pieces`.
    held: usize,
}

impl Output {
    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held + self.tail.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What to write next, as one write.
    #[must_use]
    pub fn slices<'o>(&'o self, into: &mut [IoSlice<'o>]) -> usize {
        let mut n = 0;
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        for (slot, bytes) in into.iter_mut().zip(self.pieces.iter().map(|p| &p[..]).chain(tail)) {
            *slot = IoSlice::new(bytes);
            n += 1;
        }
        n
    }

    /// Counts what was written.
    pub fn advance(&mut self, mut n: usize) {
        while let Some(first) = self.pieces.front_mut() {
            if n < first.len() {
                first.advance(n);
                self.held -= n;
                return;
            }
            n -= first.len();
            self.held -= first.len();
            self.pieces.pop_front();
        }
        self.tail.advance(n.min(self.tail.len()));
    }

    /// Lets go of buffers, where nothing waits.
    pub fn rest(&mut self) {
        if self.is_empty() {
            let Self { tail, .. } = std::mem::take(self);
            if tail.capacity() > 0 {
                spare::give_back_buffer(tail);
            }
        }
    }

    /// Where to write what is small, behind all that waits.
    pub fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail = spare::buffer();
        } else if self.tail.is_empty() {
            self.tail.reserve(spare::BUFFER);
        }
        &mut self.tail
    }

    /// Adds a body's bytes. Large ones are not copied.
    pub fn payload(&mut self, data: Bytes) {
        if data.len() < COPY {
            self.tail().extend_from_slice(&data);
            return;
        }
        if !self.tail.is_empty() {
            self.held += self.tail.len();
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.held += data.len();
        self.pieces.push_back(data);
    }
}

/// Shorter payloads are copied.
pub(crate) const COPY: usize = 4 * 1024;
