use leno_core::Reason;

use super::{Admission, Limits};

fn limits(connections: u32, pending: u32, requests: u32) -> Limits {
    Limits { connections, pending, requests, ..Limits::default() }
}

#[tokio::test]
async fn a_place_that_is_given_back_goes_to_who_waits() {
    let admission = Admission::new(&limits(1, 1, 10));
    let first = admission.request(true).await.expect("a place");
    let waiting = admission.request(true);
    tokio::pin!(waiting);
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    assert_eq!(admission.request(true).await.expect_err("no place to wait"), Reason::Overflow);
    drop(first);
    waiting.await.expect("its turn");
    assert_eq!(admission.requests(), 0);
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_the_queue() {
    let admission = Admission::new(&limits(1, 1, 10));
    let _first = admission.request(true).await.expect("a place");
    {
        let waiting = admission.request(true);
        tokio::pin!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    }
    let waiting = admission.request(true);
    tokio::pin!(waiting);
    assert!(futures::poll!(waiting.as_mut()).is_pending(), "the queue has room again");
}

#[tokio::test]
async fn requests_of_http2_clients_do_not_count_as_connections() {
    let admission = Admission::new(&limits(1, 0, 2));
    let _one = admission.request(false).await.expect("a place");
    let _two = admission.request(false).await.expect("a place");
    assert_eq!(admission.request(false).await.expect_err("too many"), Reason::Overflow);
}

#[tokio::test]
async fn wider_limits_let_waiting_ones_pass() {
    let admission = Admission::new(&limits(1, 5, 10));
    let _first = admission.request(true).await.expect("a place");
    let waiting = admission.request(true);
    tokio::pin!(waiting);
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    admission.configure(&limits(2, 5, 10));
    waiting.await.expect("its turn");
}
