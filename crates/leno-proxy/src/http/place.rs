//! Places for what accompanies a request on the heap. They are used again: futures have a kilobyte or two, and what is larger than a
//! kilobyte, or beyond the seventh of a size, glibc's allocator searches for.

use std::any::Any;
use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future in a place of its own, which the thread keeps when it is dropped.
pub(crate) struct Placed<F: 'static>(Option<Place<F>>);

type Place<F> = Pin<Box<Option<F>>>;

impl<F: 'static> Placed<F> {
    /// Puts a future where it stays until its end.
    pub(crate) fn new(future: F) -> Self {
        let mut place = spare(Vec::pop).flatten().unwrap_or_else(|| Box::pin(None));
        place.set(Some(future));
        Self(Some(place))
    }
}

impl<F: Future> Future for Placed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.0.as_mut().and_then(|place| place.as_mut().as_pin_mut()) {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Placed<F> {
    fn drop(&mut self) {
        let Some(mut place) = self.0.take() else { return };
        place.set(None);
        spare(|places| {
            if places.len() < KEPT {
                places.push(place);
            }
        });
    }
}

/// Lets go of the places that this thread keeps: after a burst.
pub(crate) fn release() {
    // Not while it is borrowed, though nothing that is dropped here takes a place.
    let _kept = SPARE.try_with(|spare| std::mem::take(&mut *spare.borrow_mut()));
}

/// Does something with the places that this thread keeps for such futures; nothing while it ends.
fn spare<F: 'static, T>(with: impl FnOnce(&mut Vec<Place<F>>) -> T) -> Option<T> {
    SPARE
        .try_with(|spare| {
            let mut spare = spare.borrow_mut();
            // One for each direction and protocol.
            let known = spare.iter().position(|places| places.is::<Vec<Place<F>>>());
            let at = known.unwrap_or_else(|| {
                spare.push(Box::new(Vec::<Place<F>>::new()));
                spare.len() - 1
            });
            spare[at].downcast_mut().map(with)
        })
        .ok()
        .flatten()
}

thread_local! {
    static SPARE: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Places that a thread keeps for futures of one kind: more than one connection between sidecars carries at once.
const KEPT: usize = 128;

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::FutureExt;

    use super::*;

    /// Places that are kept for futures of this kind.
    fn kept<F: 'static>(_: &Placed<F>) -> usize {
        spare::<F, usize>(|places| places.len()).unwrap_or_default()
    }

    #[test]
    fn a_place_is_used_again_once_its_future_has_gone() {
        let said = std::rc::Rc::new(());
        let say = |said: &std::rc::Rc<()>| {
            let said = std::rc::Rc::clone(said);
            Placed::new(async move {
                let _said = said;
                pending::<()>().await;
            })
        };
        let mut first = say(&said);
        assert!((&mut first).now_or_never().is_none());
        assert_eq!((kept(&first), std::rc::Rc::strong_count(&said)), (0, 2));
        drop(first);
        assert_eq!(std::rc::Rc::strong_count(&said), 1, "the future has gone, its place has not");
        let second = say(&said);
        assert_eq!(kept(&second), 0, "it is in the first one's place");
        drop(second);
        let third = say(&said);
        drop(say(&said));
        assert_eq!(kept(&third), 1);
        release();
        assert_eq!(kept(&third), 0);
    }

    #[test]
    fn kinds_do_not_share_places_and_not_all_are_kept() {
        let numbers: Vec<_> = (0..2 * KEPT).map(|n| Placed::new(ready(n))).collect();
        let texts: Vec<_> = (0..3).map(|_| Placed::new(ready(String::from("text")))).collect();
        assert_eq!(numbers.into_iter().filter_map(FutureExt::now_or_never).sum::<usize>(), KEPT * (2 * KEPT - 1));
        assert!(texts.into_iter().all(|t| t.now_or_never().is_some_and(|t| t == "text")));
        assert_eq!((kept(&Placed::new(ready(1_usize))), kept(&Placed::new(ready(String::new())))), (KEPT - 1, 2));
    }
}
