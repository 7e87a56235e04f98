use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_what_is_active_and_then_ends_at_once() {
    let (trigger, drain) = channel();
    let active = drain.hold();
    let waiter = tokio::spawn(trigger.drain(Duration::ZERO, Duration::from_secs(5)));
    drain.started().await;
    assert!(drain.is_draining());
    assert!(!waiter.is_finished());
    drop(active);
    assert!(waiter.await.unwrap(), "all ended by themselves");
    drain.forced().await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_forces_what_does_not_end() {
    let (trigger, drain) = channel();
    let _active = drain.hold();
    let begun = Instant::now();
    assert!(!trigger.drain(Duration::ZERO, Duration::from_secs(5)).await, "one was cut");
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    drain.forced().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_active_ends_at_once() {
    let (trigger, drain) = channel();
    let begun = Instant::now();
    assert!(trigger.drain(Duration::ZERO, Duration::from_secs(5)).await);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drain.forced().await;
}

#[tokio::test(start_paused = true)]
async fn latecomers_are_waited_for_a_while_even_if_nothing_is_active() {
    let (trigger, drain) = channel();
    let begun = Instant::now();
    let waiter = tokio::spawn(trigger.drain(Duration::from_secs(1), Duration::from_secs(5)));
    drain.started().await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let late = drain.hold();
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(late);
    assert!(waiter.await.unwrap());
    assert_eq!(begun.elapsed(), Duration::from_millis(1900));
}
