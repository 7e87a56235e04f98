use bytes::Bytes;

use super::{REPLAY_LIMIT, Replay};
use crate::http::body::{Body, BodyError, Frame};

/// A body in pieces.
fn pieces(sizes: &[usize]) -> Body {
    let frames: Vec<_> = sizes.iter().map(|n| Ok(Frame::Data(Bytes::from(vec![b'x'; *n])))).collect();
    Body::scripted(futures::stream::iter(frames))
}

async fn length(body: Body) -> Result<usize, BodyError> {
    Ok(body.collect().await?.len())
}

#[tokio::test]
async fn a_small_body_can_be_sent_as_often_as_asked() {
    let replay = Replay::new(pieces(&[10, 20, 30]), false);
    for _ in 0..3 {
        assert_eq!(length(replay.attempt()).await.expect("a body"), 60);
    }
    assert!(replay.can_replay());
    assert_eq!(replay.received(), (60, true));
}

#[tokio::test]
async fn an_attempt_given_up_in_the_middle_leaves_the_rest_for_the_next() {
    let replay = Replay::new(pieces(&[10, 20, 30]), false);
    let mut first = replay.attempt();
    first.frame().await.expect("a frame").expect("a good one");
    assert_eq!(length(replay.attempt()).await.expect("a body"), 60);
    let stale = first.frame().await.expect("an answer");
    assert!(matches!(stale, Err(BodyError::Abandoned)), "a stale attempt takes nothing away");
}

#[tokio::test]
async fn a_large_body_passes_once() {
    let replay = Replay::new(pieces(&[REPLAY_LIMIT, 1, REPLAY_LIMIT]), false);
    assert_eq!(length(replay.attempt()).await.expect("a body"), 2 * REPLAY_LIMIT + 1);
    assert!(!replay.can_replay());
}

#[tokio::test]
async fn what_was_committed_passes_whole_and_is_not_kept() {
    let replay = Replay::new(pieces(&[10, 20, 30]), false);
    let mut body = replay.attempt();
    body.frame().await.expect("a frame").expect("a good one");
    replay.commit();
    assert_eq!(length(body).await.expect("the rest"), 50);
    assert!(!replay.can_replay());
}

#[tokio::test]
async fn copies_get_small_bodies_whole_and_large_ones_not_at_all() {
    let small = Replay::new(pieces(&[10, 20]), false);
    let copy = small.copy();
    length(small.attempt()).await.expect("a body");
    assert_eq!(copy.await.expect("a copy").len(), 30);
    let large = Replay::new(pieces(&[REPLAY_LIMIT, 1]), false);
    let copy = large.copy();
    length(large.attempt()).await.expect("a body");
    assert!(copy.await.is_err());
}

#[tokio::test]
async fn no_body_costs_nothing_and_says_so() {
    let replay = Replay::new(Body::whole(Bytes::new()), false);
    assert!(replay.attempt().is_end_stream() && replay.can_replay());
}
