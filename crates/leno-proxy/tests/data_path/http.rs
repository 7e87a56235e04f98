//! Plain requests: through both sidecars, and through one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use leno_core::model::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::scene::{Scene, Sidecar, app, counter, named, request};

#[tokio::test]
async fn a_request_reaches_a_meshed_pod_and_its_answer_the_client() {
    let scene = Scene::new(Protocol::Http);
    let seen = Arc::new(std::sync::Mutex::new(None));
    let keep = Arc::clone(&seen);
    let pod = app(move |request| {
        *keep.lock().expect("unpoisoned") = Some((request.version(), request.headers().clone(), request.uri().clone()));
        async { Response::new(Full::from("hello")) }
    })
    .await;
    let client = scene.meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    let answer = client.get("/path?q=1").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    assert!(!answer.header("x-envoy-upstream-service-time").is_empty());
    let (version, headers, uri) = seen.lock().expect("unpoisoned").take().expect("seen");
    assert_eq!(version, http::Version::HTTP_11, "the application gets what the client spoke");
    assert_eq!(uri, "/path?q=1");
    assert_eq!(headers["host"], "web");
    assert_eq!(headers["x-request-id"].len(), 36);
    assert_eq!(headers["x-envoy-attempt-count"], "1");
    let cert = headers["x-forwarded-client-cert"].to_str().expect("text");
    assert!(
        cert.contains(";Hash=") && cert.contains(";Subject=\"\";URI=spiffe://") && cert.ends_with("ns/shop/sa/client"),
        "{cert}"
    );
    assert!(!headers.contains_key("x-leno-peer") && !headers.contains_key("x-leno-orig-proto"));
}

#[tokio::test]
async fn a_request_reaches_a_pod_without_sidecar_and_its_connection_is_used_again() {
    let count = counter();
    let pod = named("plain", Arc::clone(&count)).await;
    let client = Scene::new(Protocol::Http).plain_pod(pod, "v1").start().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.body, "plain");
    }
    assert_eq!(count.load(Ordering::Relaxed), 10);
    let cluster = client.path.clusters.all().pop().expect("a cluster");
    assert_eq!(cluster.set().endpoints[0].connections(), (1, 0), "one connection carried them all");
}

#[tokio::test]
async fn many_requests_at_once_share_one_connection_between_sidecars() {
    let pod = named("x", counter()).await;
    let client = Scene::new(Protocol::Http).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    let all = (0..50).map(|_| client.get("/"));
    assert!(futures::future::join_all(all).await.iter().all(|a| a.status == 200));
    let cluster = client.path.clusters.all().pop().expect("a cluster");
    assert_eq!(cluster.set().endpoints[0].connections(), (0, 1));
}

#[tokio::test]
async fn bodies_pass_whole_in_both_directions() {
    let pod = app(|request| async {
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        Response::new(Full::from(body))
    })
    .await;
    let client = Scene::new(Protocol::Http).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    for size in [1, 1000, 100_000, 3_000_000] {
        let text: String = "abcdefghij".repeat(size / 10 + 1);
        let post = request("POST", "/").map(|_| Full::from(Bytes::from(text.clone())));
        let answer = client.send(post).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == text, "a body of {size} bytes came back changed");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let pod = app(|request| {
        let path = request.uri().path().to_owned();
        async move { Response::new(Full::from(path)) }
    })
    .await;
    let client = Scene::new(Protocol::Http).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
    let text = b"GET /one HTTP/1.1\r\nHost: web\r\n\r\nGET /two HTTP/1.1\r\nHost: web\r\n\r\nGET /three HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
    stream.write_all(text).await.expect("written");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("read");
    let places: Vec<_> = ["/one", "/two", "/three"].iter().map(|p| answers.find(p).expect("answered")).collect();
    assert!(places.is_sorted(), "{answers}");
}

#[tokio::test]
async fn http_1_0_without_a_host_is_answered_and_closed() {
    let pod = named("old", counter()).await;
    let client = Scene::new(Protocol::Http).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("old"), "{answer}");
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body() {
    let pod = app(|request| async {
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        Response::new(Full::from(body))
    })
    .await;
    let client = Scene::new(Protocol::Http).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
    let head =
        b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await.expect("written");
    let mut first = [0; 25];
    stream.read_exact(&mut first).await.expect("read");
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("body"), "{answer}");
}
