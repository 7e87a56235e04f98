//! The circuit breaker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Response;
use http_body_util::Full;
use leno_core::model::traffic::ConnectionPool;
use leno_core::model::{DestinationRule, Protocol, TrafficPolicy};

use super::scene::{Scene, Sidecar, app, counter};

fn limited(pool: ConnectionPool) -> DestinationRule {
    DestinationRule {
        policy: TrafficPolicy { pool: Some(pool), ..TrafficPolicy::default() },
        ..DestinationRule::default()
    }
}

async fn slow(count: super::scene::Counter) -> std::net::SocketAddr {
    app(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Response::new(Full::from("slow"))
        }
    })
    .await
}

#[tokio::test]
async fn one_connection_and_one_waiting_let_two_of_five_pass() {
    let count = counter();
    let pool = ConnectionPool { max_connections: Some(1), http1_max_pending: Some(1), ..ConnectionPool::default() };
    let client = Scene::new(Protocol::Http)
        .rule(limited(pool))
        .meshed_pod(slow(Arc::clone(&count)).await, "v1", Sidecar::strict())
        .await
        .start()
        .await;
    let answers = futures::future::join_all((0..5).map(|_| client.get("/"))).await;
    let passed = answers.iter().filter(|a| a.status == 200).count();
    let overflowed = answers.iter().filter(|a| a.status == 503 && a.header("leno-reason") == "overflow").count();
    assert_eq!((passed, overflowed), (2, 3));
    assert_eq!(count.load(Ordering::Relaxed), 2);
    assert_eq!(client.get("/").await.status, 200, "a place that was given back is there again");
}

#[tokio::test]
async fn requests_in_flight_are_limited() {
    let pool = ConnectionPool { http2_max_requests: Some(2), ..ConnectionPool::default() };
    let client = Scene::new(Protocol::Http).rule(limited(pool)).plain_pod(slow(counter()).await, "v1").start().await;
    let answers = futures::future::join_all((0..5).map(|_| client.get("/"))).await;
    assert_eq!(answers.iter().filter(|a| a.status == 200).count(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let pool = ConnectionPool { http2_max_requests: Some(1), ..ConnectionPool::default() };
    let client = Scene::new(Protocol::Http).rule(limited(pool)).plain_pod(slow(counter()).await, "v1").start().await;
    let left = tokio::time::timeout(Duration::from_millis(50), client.get("/")).await;
    assert!(left.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(client.get("/").await.status, 200);
}
