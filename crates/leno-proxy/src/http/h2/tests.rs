use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::{Method, StatusCode};
use leno_core::Reason;
use leno_core::decide::retry::FailureKind;
use leno_kit::Drain;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::{Arrived, BATCH, Http2, connect, serve};
use crate::http::body::{Body, BodyError, Frame, Head, Request, Response};
use crate::http::client::Dispatch;

/// A client of ours before a server of ours.
fn pair<F, R>(handle: F) -> Http2
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(serve(Box::new(far), Drain::never(), std::future::pending(), handle));
    connect(Box::new(near))
}

/// A client of ours, and what it speaks to.
fn alone() -> (Http2, DuplexStream) {
    let (near, far) = duplex(64 * 1024);
    (connect(Box::new(near)), far)
}

fn ask(body: Body) -> Dispatch {
    let head = Head::new(Method::POST, http::Uri::from_static("http://a/"), http::Version::HTTP_2);
    Dispatch::new(head, body)
}

/// An answer's body, however much of it came with the head.
fn here(body: Arrived) -> Body {
    match body {
        Arrived::Whole(bytes, said) => Body::arrived(bytes, said),
        Arrived::Open(incoming) => Body::http2(incoming),
    }
}

/// A body of chunks that never ends, and counts what is asked of it.
fn endless(asked: &Arc<AtomicUsize>) -> Body {
    let asked = Arc::clone(asked);
    let chunks = futures::stream::repeat_with(move || {
        asked.fetch_add(CHUNK, Ordering::Relaxed);
        Ok(Frame::Data(Bytes::from(vec![0; CHUNK])))
    });
    Body::scripted(chunks)
}

#[tokio::test]
async fn a_body_goes_there_and_comes_back() {
    let client = pair(|request| async { Response::new(request.body) });
    let sizes = [0, 1, 10_000, 1_000_000];
    let all = sizes.map(|n| {
        let client = client.clone();
        tokio::spawn(async move {
            let answer = client.send(&mut ask(Body::whole(vec![7; n]))).await.expect("an answer");
            let body = here(answer.body).collect().await.expect("a body");
            assert_eq!(body.len(), n);
        })
    });
    for one in all {
        one.await.expect("good");
    }
}

#[tokio::test]
async fn what_is_asked_while_the_socket_is_full_is_sent_when_it_is_not() {
    let (near, mut far) = duplex(64);
    let client = connect(Box::new(near));
    for _ in 0..3 {
        let client = client.clone();
        tokio::spawn(async move { client.send(&mut ask(Body::empty())).await.map(drop) });
        // The connection's task has begun to write, and waits.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The peer reads, and says nothing.
    let mut read = Vec::new();
    let mut part = [0; 1024];
    while let Ok(Ok(n)) = tokio::time::timeout(Duration::from_millis(300), far.read(&mut part)).await {
        read.extend_from_slice(&part[..n]);
    }
    assert_eq!(heads(&read[PREFACE.len()..]), 3, "requests that were sent");
}

#[tokio::test]
async fn of_many_requests_the_first_leave_without_the_connections_task() {
    let (client, mut far) = alone();
    tokio::task::yield_now().await;
    let mut asking: Vec<_> = (0..BATCH + 1)
        .map(|_| {
            let client = client.clone();
            Box::pin(async move { client.send(&mut ask(Body::empty())).await.map(drop) })
        })
        .collect();
    // From here on no task has a turn.
    for one in &mut asking {
        assert!(one.now_or_never().is_none(), "answered by nobody");
    }
    let mut sent = vec![0; 64 * 1024];
    let n = far.read(&mut sent).now_or_never().expect("something was sent").expect("good");
    assert_eq!(heads(&sent[PREFACE.len()..n]), BATCH);
    let n = far.read(&mut sent).await.expect("good");
    assert_eq!(heads(&sent[..n]), 1, "what the task sends");
}

#[tokio::test]
async fn of_many_answers_the_first_leave_while_others_are_made() {
    let (near, far) = duplex(64 * 1024);
    let near = Arc::new(tokio::sync::Mutex::new(near));
    let (client, made, seen) = (Arc::clone(&near), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&seen);
    let handle = move |_| {
        let (client, made, seen) = (Arc::clone(&client), Arc::clone(&made), Arc::clone(&seen));
        async move {
            if made.fetch_add(1, Ordering::Relaxed) == BATCH {
                let mut came = vec![0; 64 * 1024];
                let n = client.lock().await.read(&mut came).now_or_never().map_or(0, |n| n.expect("good"));
                seen.store(heads(&came[..n]), Ordering::Relaxed);
            }
            Response::new(Body::empty())
        }
    };
    let asked: Vec<u8> = (0..=BATCH as u32)
        .flat_map(|n| [&b"\0\0\x06\x01\x05"[..], &(2 * n + 1).to_be_bytes(), b"\x82\x86\x84\x01\x01a"].concat())
        .collect();
    near.lock().await.write_all(&[PREFACE, b"\0\0\0\x04\0\0\0\0\0", &asked].concat()).await.expect("asked");
    let serving = serve(Box::new(far), Drain::never(), std::future::pending(), handle);
    let _ = tokio::time::timeout(Duration::from_millis(200), serving).await;
    assert_eq!(told.load(Ordering::Relaxed), BATCH, "answers that had come when one more was made");
}

/// HEADERS among these frames.
fn heads(mut frames: &[u8]) -> usize {
    let mut heads = 0;
    while let [a, b, c, kind, ..] = *frames {
        heads += usize::from(kind == 1);
        frames = &frames[9 + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))..];
    }
    heads
}

#[tokio::test]
async fn who_does_not_read_stops_the_sender_and_nobody_else() {
    let asked = Arc::new(AtomicUsize::new(0));
    let source = Arc::clone(&asked);
    let client = pair(move |request| {
        let source = Arc::clone(&source);
        async move {
            let slow = request.head.headers.contains("slow");
            Response::new(if slow { endless(&source) } else { Body::whole("quick") })
        }
    });
    let mut slow = ask(Body::empty());
    slow.head.headers.append(http::HeaderName::from_static("slow"), http::HeaderValue::from_static("1"));
    let unread = client.send(&mut slow).await.expect("an answer");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let held = asked.load(Ordering::Relaxed);
    assert!(held <= 512 * 1024, "{held} bytes wait somewhere");
    let quick = client.send(&mut ask(Body::empty())).await.expect("an answer");
    assert_eq!(here(quick.body).collect().await.expect("a body"), "quick");
    drop(unread);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(Arc::strong_count(&asked), 2, "the server has let go of the body");
}

#[tokio::test]
async fn an_answer_that_is_not_read_does_not_stop_the_request() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let asked = Arc::new(AtomicUsize::new(0));
    let client = pair(move |request| {
        let tell = tell.lock().expect("not poisoned").take();
        let endless = endless(&asked);
        async move {
            tokio::spawn(async move {
                let whole = request.body.collect().await.map(|b| b.len());
                let _ = tell.expect("asked once").send(whole.ok());
            });
            Response::new(endless)
        }
    });
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Frame, BodyError>>(1);
    let frames = Box::pin(futures::stream::unfold(receive, |mut r| async { r.recv().await.map(|f| (f, r)) }));
    let _unread = client.send(&mut ask(Body::scripted(frames))).await.expect("an answer");
    for _ in 0..100 {
        send.send(Ok(Frame::Data(Bytes::from(vec![0; CHUNK])))).await.expect("taken");
    }
    drop(send);
    let whole = tokio::time::timeout(Duration::from_secs(5), told).await.expect("in time").expect("told");
    assert_eq!(whole, Some(100 * CHUNK));
}

/// As by Envoy: the endpoint has said what it thinks of it.
#[tokio::test]
async fn a_request_that_is_answered_before_its_end_is_given_up() {
    let (client, mut far) = alone();
    let (held, mut gone) = tokio::sync::mpsc::channel::<()>(1);
    let more = futures::stream::poll_fn(move |_| {
        let _held = &held;
        Poll::Pending
    });
    let frames = futures::stream::iter([Ok(Frame::Data(Bytes::from_static(b"a part")))]).chain(more);
    let answering = async {
        let mut came = vec![0; 64 * 1024];
        let n = far.read(&mut came).await.expect("asked");
        assert_eq!(heads(&came[PREFACE.len()..n]), 1);
        // SETTINGS, and an answer of one frame.
        far.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88").await.expect("answered");
    };
    let mut request = ask(Body::scripted(frames));
    let (answer, ()) = tokio::join!(client.send(&mut request), answering);
    assert_eq!(here(answer.expect("an answer").body).collect().await.expect("no body"), "");
    let reset = b"\0\0\x04\x03\0\0\0\0\x01";
    let mut seen = Vec::new();
    while !seen.windows(reset.len()).any(|w| w == reset) {
        let mut came = [0; 1024];
        let n =
            tokio::time::timeout(Duration::from_secs(5), far.read(&mut came)).await.expect("a reset").expect("good");
        assert!(n > 0, "closed");
        seen.extend_from_slice(&came[..n]);
    }
    let told = tokio::time::timeout(Duration::from_secs(5), gone.recv()).await;
    assert!(told.expect("the client's body is let go").is_none());
}

/// Its handler would take the body's end for a failure, and say so in its record.
#[tokio::test]
async fn of_a_request_that_was_cancelled_nobody_makes_an_answer() {
    let (mut near, far) = duplex(64 * 1024);
    let (begun, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handle = {
        let (begun, answered) = (Arc::clone(&begun), Arc::clone(&answered));
        move |mut request: Request| {
            let (begun, answered) = (Arc::clone(&begun), Arc::clone(&answered));
            async move {
                begun.fetch_add(1, Ordering::Relaxed);
                let _ = request.body.frame().await;
                answered.fetch_add(1, Ordering::Relaxed);
                Response::new(Body::empty())
            }
        }
    };
    tokio::spawn(serve(Box::new(far), Drain::never(), std::future::pending(), handle));
    let asked = b"\0\0\x06\x01\x04\0\0\0\x01\x83\x86\x84\x01\x01a";
    near.write_all(&[PREFACE, b"\0\0\0\x04\0\0\0\0\0", asked].concat()).await.expect("asked");
    tokio::time::sleep(Duration::from_millis(20)).await;
    near.write_all(b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08").await.expect("cancelled");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!((begun.load(Ordering::Relaxed), answered.load(Ordering::Relaxed)), (1, 0));
    assert_eq!(Arc::strong_count(&answered), 2, "its handler was dropped");
}

#[tokio::test]
async fn who_gives_up_is_noticed() {
    let (gone, mut seen) = tokio::sync::mpsc::unbounded_channel();
    struct Told(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let client = pair(move |_| {
        let told = Told(gone.clone());
        async move {
            let _told = told;
            std::future::pending::<Response>().await
        }
    });
    let hasty = tokio::time::timeout(Duration::from_millis(50), client.send(&mut ask(Body::empty()))).await;
    assert!(hasty.is_err());
    tokio::time::timeout(Duration::from_secs(5), seen.recv()).await.expect("the server stops").expect("told");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up() {
    tokio::time::pause();
    let (client, mut silent) = alone();
    let begun = Instant::now();
    let mut request = ask(Body::empty());
    let failed = client.send(&mut request).await.expect_err("nobody answers");
    assert_eq!(begun.elapsed().as_secs(), 50, "30 s of silence, 20 s for the answer to a ping");
    assert_eq!(failed.kind, Some(FailureKind::ResetBeforeResponse));
    assert!(client.is_closed() && request.left);
    let mut said = Vec::new();
    silent.read_to_end(&mut said).await.expect("closed");
    assert!(said.ends_with(b"\0\0\x08\x06\0\0\0\0\0alive?.."), "a ping");
}

#[tokio::test]
async fn a_connection_without_users_is_closed() {
    let (client, mut far) = alone();
    drop(client);
    let mut said = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), far.read_to_end(&mut said)).await.expect("in time").expect("closed");
    assert!(said.ends_with(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0"), "GOAWAY");
}

#[tokio::test]
async fn a_peer_that_goes_away_says_what_it_has_not_looked_at() {
    let (client, mut far) = alone();
    let asking = client.clone();
    let asked = tokio::spawn(async move { asking.send(&mut ask(Body::empty())).await });
    // What every client says first has 64 bytes.
    let mut said = 0;
    while said < 75 {
        said += far.read(&mut [0; 1024]).await.expect("a request");
    }
    far.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0").await.expect("GOAWAY, nothing taken");
    let failed = asked.await.expect("runs").expect_err("refused");
    assert_eq!((failed.reason, failed.kind), (Reason::StreamRefused, Some(FailureKind::RefusedStream)));
    assert!(client.is_closed());
    let mut unsent = ask(Body::whole("x"));
    client.send(&mut unsent).await.expect_err("closed");
    assert!(!unsent.left && !unsent.body.is_end_stream(), "another connection may carry it");
}

#[tokio::test]
async fn connect_becomes_a_tunnel() {
    let (near, far) = duplex(64 * 1024);
    let answer = |request: Request| async move {
        let upgrade = request.upgrade.expect("a promise");
        tokio::spawn(async move {
            let mut tunnel = upgrade.connection().await.expect("a connection");
            let mut said = [0; 4];
            tunnel.read_exact(&mut said).await.expect("4 bytes");
            tunnel.write_all(&said).await.expect("sent");
            tunnel.shutdown().await.expect("ended");
        });
        Response::new(Body::empty())
    };
    tokio::spawn(serve(Box::new(far), Drain::never(), std::future::pending(), answer));
    let (sender, connection) = h2::client::handshake(near).await.expect("greeted");
    tokio::spawn(connection);
    let request = http::Request::connect("a:1").body(()).expect("a request");
    let (answer, mut stream) = sender.ready().await.expect("ready").send_request(request, false).expect("sent");
    let answer = answer.await.expect("answered");
    assert_eq!(answer.status(), StatusCode::OK);
    stream.send_data(Bytes::from_static(b"ping"), true).expect("sent");
    let mut body = answer.into_body();
    assert_eq!(body.data().await.expect("data").expect("good"), "ping");
    assert!(body.data().await.is_none());
}

#[tokio::test]
async fn who_asks_and_never_reads_is_not_served_for_long() {
    let (mut near, far) = duplex(64 * 1024);
    tokio::spawn(serve(Box::new(far), Drain::never(), std::future::pending(), |_| async {
        Response::new(Body::empty())
    }));
    near.write_all(&[PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat()).await.expect("greeted");
    let (mut stream, mut asked) = (1u32, 0);
    loop {
        let mut frame = b"\0\0\x06\x01\x05".to_vec();
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(b"\x82\x86\x84\x01\x01a");
        let sent = tokio::time::timeout(Duration::from_millis(500), near.write_all(&frame)).await;
        if sent.is_err() {
            break;
        }
        sent.expect("in time").expect("taken");
        stream += 2;
        asked += 1;
        assert!(asked < 200_000, "it is served for ever");
    }
    assert!(asked > 1000, "{asked}");
}

const CHUNK: usize = 4096;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
