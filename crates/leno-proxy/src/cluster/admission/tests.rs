use leno_core::Reason;

use super::{Admission, Admitted, Limits, Permit, Queue};

fn limits(connections: u32, pending: u32, requests: u32) -> Limits {
    Limits { connections, pending, requests, ..Limits::default() }
}

fn now(admission: &Admission, exclusive: bool) -> Permit {
    match admission.request(exclusive) {
        Ok(Admitted::Now(permit)) => permit,
        other => panic!("no place: {other:?}"),
    }
}

fn queued(admission: &Admission) -> Queue<'_> {
    match admission.request(true) {
        Ok(Admitted::Queued(queue)) => queue,
        other => panic!("not in the queue: {other:?}"),
    }
}

#[tokio::test]
async fn a_place_that_is_given_back_goes_to_who_waits() {
    let admission = Admission::new(&limits(1, 1, 10));
    let first = now(&admission, true);
    let waiting = queued(&admission).turn();
    tokio::pin!(waiting);
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    assert_eq!(admission.request(true).expect_err("no place to wait"), Reason::Overflow);
    drop(first);
    drop(waiting.await);
    assert_eq!(admission.requests(), 0);
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_the_queue() {
    let admission = Admission::new(&limits(1, 1, 10));
    let _first = now(&admission, true);
    {
        let waiting = queued(&admission).turn();
        tokio::pin!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    }
    let waiting = queued(&admission).turn();
    tokio::pin!(waiting);
    assert!(futures::poll!(waiting.as_mut()).is_pending(), "the queue has room again");
}

#[tokio::test]
async fn requests_of_http2_clients_do_not_count_as_connections() {
    let admission = Admission::new(&limits(1, 0, 2));
    let _one = now(&admission, false);
    let _two = now(&admission, false);
    assert_eq!(admission.request(false).expect_err("too many"), Reason::Overflow);
}

#[tokio::test]
async fn wider_limits_let_waiting_ones_pass() {
    let admission = Admission::new(&limits(1, 5, 10));
    let _first = now(&admission, true);
    let waiting = queued(&admission).turn();
    tokio::pin!(waiting);
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    admission.configure(&limits(2, 5, 10));
    drop(waiting.await);
}
