//! Header maps that are used again: a new one costs two allocations, and more while it grows.

use std::cell::RefCell;

use http::HeaderMap;

/// An empty map with room for the fields of most messages and for what a proxy adds.
#[must_use]
pub fn map() -> HeaderMap {
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten().unwrap_or_else(|| HeaderMap::with_capacity(ROOM))
}

/// Takes the map of a message that has gone, for a later one of this thread.
pub fn give_back(mut map: HeaderMap) {
    if map.capacity() < ROOM || map.capacity() > LARGEST {
        return;
    }
    map.clear();
    // A thread that ends has none any more.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(map);
        }
    });
}

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// Fields that a new map has room for.
const ROOM: usize = 24;
/// A map with room for more is not kept.
const LARGEST: usize = 96;
/// Maps that a thread keeps.
const KEPT: usize = 128;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{HOST, VIA};

    use super::*;

    #[test]
    fn a_map_is_used_again_and_says_nothing_of_the_last_message() {
        let mut first = map();
        first.append(VIA, HeaderValue::from_static("a"));
        first.append(VIA, HeaderValue::from_static("b"));
        first.insert(HOST, HeaderValue::from_static("web"));
        let room = std::ptr::from_ref(&first[HOST]);
        give_back(first);
        let mut second = map();
        assert!(second.is_empty() && second.get(VIA).is_none() && second.get(HOST).is_none());
        second.insert(VIA, HeaderValue::from_static("c"));
        second.insert(HOST, HeaderValue::from_static("shop"));
        assert_eq!(std::ptr::from_ref(&second[HOST]), room, "the same memory");
    }

    #[test]
    fn what_is_unusual_is_not_kept() {
        SPARE.with_borrow_mut(Vec::clear);
        give_back(HeaderMap::new());
        give_back(HeaderMap::with_capacity(1000));
        assert_eq!(SPARE.with_borrow(Vec::len), 0);
        (0..2 * KEPT).for_each(|_| give_back(HeaderMap::with_capacity(ROOM)));
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT);
    }
}
