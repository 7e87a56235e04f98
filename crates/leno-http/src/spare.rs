//! Lists of header fields and buffers that are used again: a new one costs an allocation, and more while it grows.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::Fields;

/// An empty list with room for the fields of most messages and for what a proxy adds.
#[must_use]
pub fn fields() -> Fields {
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten().unwrap_or_else(|| Fields::with_capacity(ROOM))
}

/// Takes the list of a message that has gone, for a later one of this thread.
pub fn give_back(mut fields: Fields) {
    if fields.capacity() < ROOM || fields.capacity() > LARGEST {
        return;
    }
    fields.clear();
    // A thread that ends has none any more.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(fields);
        }
    });
}

/// An empty buffer for what waits to be sent.
pub(crate) fn buffer() -> BytesMut {
    let spare = BUFFERS.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
    spare.unwrap_or_else(|| BytesMut::with_capacity(BUFFER))
}

/// Takes a buffer of which all has gone, for a later message of this thread.
pub(crate) fn give_back_buffer(mut buffer: BytesMut) {
    buffer.clear();
    // Its beginning was sent: without this, what is left of it would shrink from message to message. Somebody may hold a part still.
    if buffer.try_reclaim(LARGEST_BUFFER + 1) || !buffer.try_reclaim(BUFFER) {
        return;
    }
    let _ = BUFFERS.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT_BUFFERS {
            spare.push(buffer);
        }
    });
}

/// Lets go of what this thread keeps: after a burst.
pub fn release() {
    let _ = SPARE.try_with(|spare| std::mem::take(&mut *spare.borrow_mut()));
    let _ = BUFFERS.try_with(|spare| std::mem::take(&mut *spare.borrow_mut()));
}

thread_local! {
    static SPARE: RefCell<Vec<Fields>> = const { RefCell::new(Vec::new()) };
    static BUFFERS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Fields that a new list has room for.
const ROOM: usize = 24;
/// A list with room for more is not kept.
const LARGEST: usize = 96;
/// Lists that a thread keeps: for the requests of two full connections.
const KEPT: usize = 256;
/// Bytes that a new buffer has room for.
pub(crate) const BUFFER: usize = 1024;
/// A larger one is not kept.
const LARGEST_BUFFER: usize = 32 * 1024;
/// Buffers that a thread keeps.
const KEPT_BUFFERS: usize = 16;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{HOST, VIA};

    use super::*;

    #[test]
    fn a_list_is_used_again_and_says_nothing_of_the_last_message() {
        let mut first = fields();
        first.append(VIA, HeaderValue::from_static("a"));
        first.append(VIA, HeaderValue::from_static("b"));
        first.insert(HOST, HeaderValue::from_static("web"));
        let room = std::ptr::from_ref(first.get(HOST).expect("a host"));
        give_back(first);
        let mut second = fields();
        assert!(second.is_empty() && second.get(VIA).is_none() && second.get(HOST).is_none());
        second.append(VIA, HeaderValue::from_static("c"));
        second.append(VIA, HeaderValue::from_static("d"));
        second.insert(HOST, HeaderValue::from_static("shop"));
        assert_eq!(std::ptr::from_ref(second.get(HOST).expect("a host")), room, "the same memory");
    }

    #[test]
    fn a_buffer_is_used_again_with_all_its_room() {
        BUFFERS.with_borrow_mut(Vec::clear);
        let mut first = buffer();
        first.extend_from_slice(&[b'x'; 1000]);
        let start = first.as_ptr();
        // As a socket takes it: from its beginning.
        bytes::Buf::advance(&mut first, 1000);
        give_back_buffer(first);
        let second = buffer();
        assert_eq!((second.as_ptr(), second.len(), second.capacity() >= BUFFER), (start, 0, true));
        // Of this one a part is held, and that one is too large.
        let mut shared = buffer();
        shared.extend_from_slice(b"part");
        let part = shared.split();
        give_back_buffer(shared);
        // Most of it was sent.
        let mut large = BytesMut::zeroed(2 * LARGEST_BUFFER);
        bytes::Buf::advance(&mut large, 2 * LARGEST_BUFFER - 2 * BUFFER);
        give_back_buffer(large);
        assert_eq!((BUFFERS.with_borrow(Vec::len), &part[..]), (0, &b"part"[..]));
        (0..2 * KEPT_BUFFERS).for_each(|_| give_back_buffer(BytesMut::with_capacity(BUFFER)));
        assert_eq!(BUFFERS.with_borrow(Vec::len), KEPT_BUFFERS);
        release();
        assert_eq!(BUFFERS.with_borrow(Vec::capacity), 0);
    }

    #[test]
    fn what_is_unusual_is_not_kept() {
        SPARE.with_borrow_mut(Vec::clear);
        give_back(Fields::new());
        give_back(Fields::with_capacity(1000));
        assert_eq!(SPARE.with_borrow(Vec::len), 0);
        (0..2 * KEPT).for_each(|_| give_back(Fields::with_capacity(ROOM)));
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT);
        release();
        assert_eq!(SPARE.with_borrow(Vec::capacity), 0);
    }
}
