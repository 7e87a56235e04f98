//! Bytes of a body that wait.

use std::collections::VecDeque;

use bytes::Bytes;

/// A queue of chunks. Most hold one at most, and that takes no memory of its own.
#[derive(Debug, Default)]
pub struct Chunks {
    first: Bytes,
    rest: VecDeque<Bytes>,
}

impl Chunks {
    /// An empty queue.
    pub const NONE: Self = Self { first: Bytes::new(), rest: VecDeque::new() };

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Adds one. An empty one is nothing.
    pub fn push(&mut self, chunk: Bytes) {
        if self.first.is_empty() {
            self.first = chunk;
        } else if !chunk.is_empty() {
            self.rest.push_back(chunk);
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
        let next = self.rest.pop_front().unwrap_or_default();
        Some(std::mem::replace(&mut self.first, next))
    }

    /// Takes them all, and says how many bytes they were.
    pub fn clear(&mut self) -> usize {
        let all = std::mem::take(self);
        all.first.len() + all.rest.iter().map(Bytes::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_out_as_they_went_in() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.pop(9), None);
        for text in ["abc", "", "de", "f"] {
            chunks.push(Bytes::from(text));
        }
        let parts: Vec<Bytes> = std::iter::from_fn(|| chunks.pop(2)).collect();
        assert_eq!(parts, ["ab", "c", "de", "f"]);
        assert!(chunks.is_empty());
        chunks.push(Bytes::from("gh"));
        chunks.push(Bytes::from("i"));
        assert_eq!((chunks.clear(), chunks.is_empty()), (3, true));
    }
}
