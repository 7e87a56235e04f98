//! The requests of one connection, in its own task: each is polled when it was woken.
//!
//! Like `FuturesUnordered`, but a place and its waker serve one request after the other, so that few cost an allocation, and a turn polls
//! a future once.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::cluster::lock;

/// Futures that end in any order.
pub(super) struct Tasks<F> {
    places: Vec<Place<F>>,
    /// The places without a future.
    free: Vec<usize>,
    /// Those with a future that is new.
    new: Vec<usize>,
    woken: Arc<Woken>,
    /// Those that have their turn; empty between turns.
    turn: Vec<usize>,
}

struct Place<F> {
    future: Option<F>,
    mark: Arc<Mark>,
    /// The mark's.
    waker: Waker,
}

/// What wakes the future in a place. What is left over from the one before wakes it, too, for nothing.
struct Mark {
    place: usize,
    is_woken: AtomicBool,
    woken: Arc<Woken>,
}

/// Shared with the marks.
#[derive(Default)]
struct Woken(Mutex<Due>);

#[derive(Default)]
struct Due {
    places: Vec<usize>,
    /// The connection's task, where it is to be woken.
    task: Option<Waker>,
}

impl<F: Future + Unpin> Tasks<F> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), new: Vec::new(), woken: Arc::default(), turn: Vec::new() }
    }

    /// Adds a future. The next turn is its first.
    pub(super) fn push(&mut self, future: F) {
        let at = self.free.pop().unwrap_or_else(|| {
            let mark =
                Mark { place: self.places.len(), is_woken: AtomicBool::new(false), woken: Arc::clone(&self.woken) };
            let mark = Arc::new(mark);
            let waker = Waker::from(Arc::clone(&mark));
            self.places.push(Place { future: None, mark, waker });
            self.places.len() - 1
        });
        let place = &mut self.places[at];
        place.future = Some(future);
        // The one before may have been woken late.
        if !place.mark.is_woken.swap(true, Ordering::AcqRel) {
            self.new.push(at);
        }
    }

    /// A turn for each that was woken; `ended` takes what they come to. The caller's task is woken for the next turn.
    pub(super) fn poll(&mut self, cx: &Context<'_>, mut ended: impl FnMut(F::Output)) {
        std::mem::swap(&mut self.turn, &mut lock(&self.woken.0).places);
        // Behind those that wait already, which they may leave nothing of tokio's budget for a turn.
        self.turn.append(&mut self.new);
        for at in self.turn.drain(..) {
            // A waker may be older than the last burst's end.
            let Some(place) = self.places.get_mut(at) else { continue };
            // From here on it is woken anew. What it was woken for until now it sees.
            place.mark.is_woken.swap(false, Ordering::AcqRel);
            let Some(future) = &mut place.future else { continue };
            if let Poll::Ready(output) = Pin::new(future).poll(&mut Context::from_waker(&place.waker)) {
                place.future = None;
                self.free.push(at);
                ended(output);
            }
        }
        self.rest();
        let mut due = lock(&self.woken.0);
        if due.places.is_empty() {
            due.task = Some(cx.waker().clone());
            return;
        }
        drop(due);
        cx.waker().wake_by_ref();
    }

    /// Lets go of places that only a burst needs.
    fn rest(&mut self) {
        if self.free.len() == self.places.len() && self.places.len() > KEPT {
            self.places.truncate(KEPT);
            self.free.retain(|at| *at < KEPT);
        }
    }
}

impl<F> Drop for Tasks<F> {
    /// Whoever holds a waker still must not hold the connection's task by it.
    fn drop(&mut self) {
        lock(&self.woken.0).task = None;
    }
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        let task = {
            let mut due = lock(&self.woken.0);
            due.places.push(self.place);
            due.task.take()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Places that a connection keeps.
const KEPT: usize = 32;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt;
    use futures::future::BoxFuture;
    use futures::task::noop_waker;
    use tokio::sync::oneshot;

    use super::*;

    /// What ended in one turn.
    fn turn(tasks: &mut Tasks<BoxFuture<'static, usize>>) -> Vec<usize> {
        let mut ended = Vec::new();
        tasks.poll(&Context::from_waker(&noop_waker()), |n| ended.push(n));
        ended
    }

    fn waits(n: usize) -> (oneshot::Sender<()>, BoxFuture<'static, usize>) {
        let (tell, told) = oneshot::channel();
        (tell, told.map(move |_| n).boxed())
    }

    #[test]
    fn each_ends_when_it_was_woken_and_others_take_its_place() {
        let mut tasks = Tasks::new();
        let mut tell = Vec::new();
        for n in 0..3 {
            let (told, future) = waits(n);
            tasks.push(future);
            tell.push(told);
        }
        assert!(turn(&mut tasks).is_empty());
        drop(tell.remove(1));
        assert_eq!(turn(&mut tasks), [1]);
        let (told, future) = waits(3);
        tasks.push(future);
        drop(told);
        drop(tell);
        let mut ended = turn(&mut tasks);
        ended.sort_unstable();
        assert_eq!((ended, tasks.places.len()), (vec![0, 2, 3], 3));
    }

    #[test]
    fn a_future_that_wakes_itself_has_a_turn_at_a_time() {
        let mut tasks = Tasks::new();
        let mut left = 3;
        let busy = poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            left -= 1;
            if left == 0 { Poll::Ready(7) } else { Poll::Pending }
        });
        tasks.push(busy.boxed());
        assert_eq!([turn(&mut tasks), turn(&mut tasks), turn(&mut tasks)], [vec![], vec![], vec![7]]);
    }

    #[test]
    fn a_late_wake_of_the_one_before_is_one_turn_with_the_first_of_the_next() {
        let mut tasks = Tasks::new();
        let wakers = Arc::new(Mutex::new(Vec::new()));
        let polled = |left: usize| {
            let (wakers, mut left) = (Arc::clone(&wakers), left);
            poll_fn(move |cx| {
                lock(&wakers).push(cx.waker().clone());
                left -= 1;
                if left == 0 { Poll::Ready(7) } else { Poll::Pending }
            })
        };
        tasks.push(polled(1).boxed());
        assert_eq!(turn(&mut tasks), [7]);
        lock(&wakers).drain(..).for_each(Waker::wake);
        tasks.push(polled(2).boxed());
        assert!(turn(&mut tasks).is_empty(), "the second time is not yet");
        assert!(turn(&mut tasks).is_empty(), "nobody has woken it");
        let waker = lock(&wakers).pop().expect("it was polled once");
        assert!(lock(&wakers).is_empty(), "and only once");
        waker.wake();
        assert_eq!(turn(&mut tasks), [7]);
    }

    #[test]
    fn a_waker_does_not_hold_the_task() {
        struct Nothing;
        impl Wake for Nothing {
            fn wake(self: Arc<Self>) {}
        }
        let task = Arc::new(Nothing);
        let kept = Arc::new(Mutex::new(None));
        {
            let mut tasks: Tasks<BoxFuture<'static, usize>> = Tasks::new();
            let kept = Arc::clone(&kept);
            let waits = poll_fn(move |cx| {
                *lock(&kept) = Some(cx.waker().clone());
                Poll::Pending
            });
            tasks.push(waits.boxed());
            tasks.poll(&Context::from_waker(&Waker::from(Arc::clone(&task))), drop);
            assert_eq!(Arc::strong_count(&task), 2);
        }
        assert!(lock(&kept).is_some());
        assert_eq!(Arc::strong_count(&task), 1);
    }

    #[tokio::test]
    async fn the_task_is_woken_from_another_thread_and_by_who_wakes_in_a_turn() {
        let mut tasks = Tasks::new();
        let (first, future) = waits(0);
        tasks.push(future);
        let (second, future) = waits(1);
        // Its turn wakes the first one, which has had its own.
        let mut first = Some(first);
        tasks.push(future.inspect(move |_| drop(first.take())).boxed());
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            drop(second);
        });
        let mut ended = Vec::new();
        let both = poll_fn(|cx| {
            tasks.poll(cx, |n| ended.push(n));
            if ended.len() == 2 { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(std::time::Duration::from_secs(5), both).await.expect("both were woken");
        assert_eq!(ended, [1, 0]);
    }

    #[test]
    fn places_of_a_burst_go_and_their_wakers_do_no_harm() {
        let mut tasks = Tasks::new();
        let wakers = Arc::new(Mutex::new(Vec::new()));
        for n in 0..2 * KEPT {
            let wakers = Arc::clone(&wakers);
            let future = poll_fn(move |cx| {
                lock(&wakers).push(cx.waker().clone());
                Poll::Ready(n)
            });
            tasks.push(future.boxed());
        }
        assert_eq!(turn(&mut tasks).len(), 2 * KEPT);
        assert_eq!((tasks.places.len(), tasks.free.len()), (KEPT, KEPT));
        lock(&wakers).drain(..).for_each(Waker::wake);
        assert!(turn(&mut tasks).is_empty());
        tasks.push(std::future::ready(1).boxed());
        assert_eq!(turn(&mut tasks), [1]);
    }
}
