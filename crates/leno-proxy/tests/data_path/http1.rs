//! HTTP/1.1 byte by byte: what a strict codec refuses, and what a connection outlives.

use std::sync::atomic::Ordering;
use std::time::Duration;

use leno_core::model::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::scene::{Client, Counter, Scene, Sidecar, counter, named, raw};

/// Sends bytes and reads until the proxy closes, or is silent for a while.
async fn say(client: &Client, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
    stream.write_all(bytes).await.expect("written");
    hear(&mut stream).await
}

async fn hear(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(n @ 1..)) = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut buffer)).await {
        all.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// An application that answers each connection with these bytes, once for each head that it gets.
async fn scripted(answer: &'static str, connections: Counter) -> std::net::SocketAddr {
    raw(move |mut stream| {
        connections.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut buffer = [0; 8192];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                if buffer[..n].ends_with(b"\r\n\r\n") && stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn smuggled_requests_reach_nobody() {
    let count = counter();
    let pod = named("seen", std::sync::Arc::clone(&count)).await;
    let client = Scene::new(Protocol::Http).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n";
    let heads = [
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 0\r\nContent-Length: 38",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "Content-Length: +0",
    ];
    for head in heads {
        let answer = say(&client, format!("POST / HTTP/1.1\r\nHost: web\r\n{head}\r\n\r\n{smuggled}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 501 "), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "nothing after it is read: {answer}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_bad_chunk_ends_its_connection_and_nothing_behind_it_is_a_request() {
    let count = counter();
    let pod = named("seen", std::sync::Arc::clone(&count)).await;
    let client = Scene::new(Protocol::Http).plain_pod(pod, "v1").start().await;
    for chunks in ["5 \r\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n"] {
        let head = "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = say(&client, format!("{head}{chunks}GET /next HTTP/1.1\r\nHost: web\r\n\r\n").as_bytes()).await;
        assert!(answer.matches("HTTP/1.1").count() <= 1, "{chunks:?}: {answer}");
    }
}

#[tokio::test]
async fn too_large_a_head_is_answered_431() {
    let client = Scene::new(Protocol::Http).plain_pod(named("x", counter()).await, "v1").start().await;
    let head = format!("GET / HTTP/1.1\r\nHost: web\r\nX: {}\r\n\r\n", "y".repeat(70_000));
    assert!(say(&client, head.as_bytes()).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn connections_stay_for_the_next_request_as_their_version_says() {
    let client = Scene::new(Protocol::Http).plain_pod(named("x", counter()).await, "v1").start().await;
    let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.0\r\nHost: web\r\nConnection: keep-alive\r\n\r\n").await.expect("written");
        let answer = hear(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("connection: keep-alive"), "{answer}");
    }
    let closed = say(&client, b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").await;
    assert!(closed.contains("connection: close"), "{closed}");
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    for (answer, method) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "GET"),
    ] {
        let connections = counter();
        let pod = scripted(answer, std::sync::Arc::clone(&connections)).await;
        let client = Scene::new(Protocol::Http).plain_pod(pod, "v1").start().await;
        let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
        for _ in 0..2 {
            stream.write_all(format!("{method} / HTTP/1.1\r\nHost: web\r\n\r\n").as_bytes()).await.expect("written");
            let heard = hear(&mut stream).await;
            assert!(heard.ends_with("\r\n\r\n") && heard.matches("HTTP/1.1").count() == 1, "{heard:?}");
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1, "{answer:?} leaves its connection usable");
    }
}

#[tokio::test]
async fn what_an_endpoint_says_unasked_answers_no_later_request() {
    let connections = counter();
    let doubled = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo";
    let pod = scripted(doubled, std::sync::Arc::clone(&connections)).await;
    let client = Scene::new(Protocol::Http).plain_pod(pod, "v1").start().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.body, "one");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 3, "none of these connections is used again");
}

#[tokio::test]
async fn interim_answers_are_passed_over_and_a_flood_of_them_is_not() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let client = Scene::new(Protocol::Http).plain_pod(scripted(early, counter()).await, "v1").start().await;
    assert_eq!(client.get("/").await.body, "ok");
    let flood: &'static str = Box::leak("HTTP/1.1 100 Continue\r\n\r\n".repeat(40).into_boxed_str());
    let client = Scene::new(Protocol::Http).plain_pod(scripted(flood, counter()).await, "v1").start().await;
    assert!(client.get("/").await.status >= 502);
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let client = Scene::new(Protocol::Http).plain_pod(scripted(switch, counter()).await, "v1").start().await;
    assert!(client.get("/").await.status >= 502, "nobody asked to leave HTTP");
}

#[tokio::test]
async fn chunks_of_an_endpoint_and_bodies_that_end_with_their_connection_arrive_whole() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3;x=y\r\ntwo\r\n0\r\n\r\n";
    let connections = counter();
    let pod = scripted(chunked, std::sync::Arc::clone(&connections)).await;
    let client = Scene::new(Protocol::Http).plain_pod(pod, "v1").start().await;
    assert_eq!(client.get("/").await.body, "onetwo");
    assert_eq!(client.get("/").await.body, "onetwo");
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    let until_close = raw(|mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nto the end").await;
    })
    .await;
    let client = Scene::new(Protocol::Http).plain_pod(until_close, "v1").start().await;
    assert_eq!(client.get("/").await.body, "to the end");
}

#[tokio::test]
async fn an_answer_before_the_whole_body_reaches_its_client() {
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let client = Scene::new(Protocol::Http).plain_pod(scripted(early, counter()).await, "v1").start().await;
    let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
    stream.write_all(b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 10000000\r\n\r\n").await.expect("written");
    // Part of the body follows, the rest never does.
    let answer = hear(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("big"), "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_ends_its_request() {
    let gone = counter();
    let seen = std::sync::Arc::clone(&gone);
    let pod = raw(move |mut stream| {
        let seen = std::sync::Arc::clone(&seen);
        async move {
            let mut buffer = [0; 8192];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                let _ = n;
            }
            seen.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let client = Scene::new(Protocol::Http).plain_pod(pod, "v1").start().await;
    for request in
        ["GET / HTTP/1.1\r\nHost: web\r\n\r\n", "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody"]
    {
        let before = gone.load(Ordering::Relaxed);
        let mut stream = TcpStream::connect(client.addr()).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("written");
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(stream);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(gone.load(Ordering::Relaxed), before + 1, "the endpoint's connection is closed: {request:?}");
    }
}
