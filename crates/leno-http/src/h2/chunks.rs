//! Bytes of a body that wait.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::output::COPY;

/// A queue of chunks. Most hold one at most, and that takes no memory of its own. Small ones that wait behind others become one:
/// a hundred messages that come together are passed on as two frames, and do not keep the buffers alive that they came in.
#[derive(Debug, Default)]
pub struct Chunks {
    first: Bytes,
    rest: VecDeque<Bytes>,
    /// Small ones behind all others.
    small: Option<BytesMut>,
}

impl Chunks {
    /// An empty queue.
    pub const NONE: Self = Self { first: Bytes::new(), rest: VecDeque::new(), small: None };

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Adds one. An empty one is nothing.
    pub fn push(&mut self, chunk: Bytes) {
        if self.first.is_empty() {
            self.first = chunk;
        } else if chunk.len() >= COPY {
            self.close();
            self.rest.push_back(chunk);
        } else if !chunk.is_empty() {
            if self.small.as_ref().is_some_and(|s| s.len() + chunk.len() > TOGETHER) {
                self.close();
            }
            self.small.get_or_insert_default().extend_from_slice(&chunk);
        }
    }

    /// Takes the first one, or its first `most` bytes.
    pub fn pop(&mut self, most: usize) -> Option<Bytes> {
        if self.first.is_empty() {
            return None;
        }
        if self.first.len() > most {
            return Some(self.first.split_to(most));
        }
        let next = self.rest.pop_front().or_else(|| self.joined()).unwrap_or_default();
        Some(std::mem::replace(&mut self.first, next))
    }

    /// Takes all there is, where that is one chunk of at most `most` bytes, or nothing.
    pub fn take_only(&mut self, most: usize) -> Option<Bytes> {
        let only = self.rest.is_empty() && self.small.is_none() && self.first.len() <= most;
        only.then(|| std::mem::take(&mut self.first))
    }

    /// Takes them all, and says how many bytes they were.
    pub fn clear(&mut self) -> usize {
        let all = std::mem::take(self);
        all.first.len() + all.rest.iter().map(Bytes::len).sum::<usize>() + all.small.map_or(0, |s| s.len())
    }

    /// No more is added to the small ones.
    fn close(&mut self) {
        let small = self.joined();
        self.rest.extend(small);
    }

    /// The small ones, as one.
    fn joined(&mut self) -> Option<Bytes> {
        self.small.take().map(BytesMut::freeze)
    }
}

/// Most bytes of small ones that become one: a frame of HTTP/2's default size.
const TOGETHER: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(chunks: &mut Chunks, most: usize) -> Vec<Bytes> {
        std::iter::from_fn(|| chunks.pop(most)).collect()
    }

    #[test]
    fn chunks_come_out_as_they_went_in() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.pop(9), None);
        for text in ["abc", "", "de", "f"] {
            chunks.push(Bytes::from(text));
        }
        assert_eq!(drain(&mut chunks, 2), ["ab", "c", "de", "f"]);
        assert!(chunks.is_empty());
        chunks.push(Bytes::from("gh"));
        chunks.push(Bytes::from("i"));
        assert_eq!((chunks.clear(), chunks.is_empty()), (3, true));
    }

    #[test]
    fn small_ones_that_wait_become_one() {
        let mut chunks = Chunks::default();
        for _ in 0..100 {
            chunks.push(Bytes::from_static(&[1; 105]));
        }
        let parts = drain(&mut chunks, usize::MAX);
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [105, 99 * 105]);

        for _ in 0..30 {
            chunks.push(Bytes::from_static(&[2; 1000]));
        }
        let parts = drain(&mut chunks, usize::MAX);
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [1000, 16_000, 13_000]);
    }

    #[test]
    fn large_ones_are_not_copied_and_keep_their_place() {
        let large = Bytes::from(vec![3; COPY]);
        let mut chunks = Chunks::default();
        for part in [&b"a"[..], b"b", b"c"] {
            chunks.push(Bytes::from_static(part));
        }
        chunks.push(large.clone());
        chunks.push(Bytes::from_static(b"d"));
        let parts = drain(&mut chunks, usize::MAX);
        assert_eq!(parts, [&b"a"[..], b"bc", &large, b"d"]);
        assert_eq!(parts[2].as_ptr(), large.as_ptr());
    }
}
