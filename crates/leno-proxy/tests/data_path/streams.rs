//! HTTP/2, gRPC with its trailers, and connections that become WebSockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use leno_core::model::route::RouteAction;
use leno_core::model::{HttpRoute, Protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::scene::{Scene, Sidecar, app, closed, collect, counter, fresh_ip, to};

/// A gRPC server: echoes the body and ends with trailers.
async fn grpc(status: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::new(fresh_ip(3), 0)).await.expect("a listener");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
                assert_eq!(request.version(), http::Version::HTTP_2);
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", status.parse().expect("a value"));
                let last = futures::stream::once(async { Ok::<_, hyper::Error>(Frame::trailers(trailers)) });
                let frames = request.into_body().into_data_stream();
                let frames = futures::StreamExt::map(frames, |d| d.map(Frame::data));
                let body = StreamBody::new(futures::StreamExt::chain(frames, last));
                let response = Response::builder().header("content-type", "application/grpc").body(body);
                Ok::<_, Infallible>(response.expect("a response"))
            });
            tokio::spawn(async move {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    addr
}

async fn h2(addr: SocketAddr, request: Request<Full<Bytes>>) -> super::scene::Answer {
    let stream = TcpStream::connect(addr).await.expect("connects");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("h2");
    tokio::spawn(connection);
    collect(sender.send_request(request).await.expect("an answer")).await.expect("a body")
}

fn call(addr: SocketAddr) -> Request<Full<Bytes>> {
    let message = Bytes::from_static(b"\0\0\0\0\x05hello");
    Request::post(format!("http://{addr}/shop.Cart/Get"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::from(message))
        .expect("a request")
}

#[tokio::test]
async fn grpc_passes_with_its_trailers() {
    for protocol in [Protocol::Grpc, Protocol::Auto, Protocol::Http] {
        let client = Scene::new(protocol).meshed_pod(grpc("5").await, "v1", Sidecar::strict()).await.start().await;
        let answer = h2(client.addr(), call(client.addr())).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "\0\0\0\0\x05hello"), "{protocol:?}");
        assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "5");
    }
    let client = Scene::new(Protocol::Grpc).plain_pod(grpc("0").await, "v1").start().await;
    let answer = h2(client.addr(), call(client.addr())).await;
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
}

#[tokio::test]
async fn failures_of_the_mesh_are_grpc_statuses_for_grpc_clients() {
    let client = Scene::new(Protocol::Grpc).plain_pod(closed().await, "v1").start().await;
    let answer = h2(client.addr(), call(client.addr())).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, "14"));
    let hanging = app(|_| std::future::pending::<Response<Full<Bytes>>>()).await;
    let client = Scene::new(Protocol::Grpc).plain_pod(hanging, "v1").start().await;
    let mut hurried = call(client.addr());
    hurried.headers_mut().insert("grpc-timeout", "200m".parse().expect("a value"));
    let answer = h2(client.addr(), hurried).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, "4"));
}

#[tokio::test]
async fn messages_stream_both_ways_at_once() {
    let client = Scene::new(Protocol::Grpc).meshed_pod(grpc("0").await, "v1", Sidecar::strict()).await.start().await;
    let stream = TcpStream::connect(client.addr()).await.expect("connects");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("h2");
    tokio::spawn(connection);
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let frames = Box::pin(futures::stream::unfold(receive, |mut r| async { r.recv().await.map(|f| (f, r)) }));
    let request = Request::post(format!("http://{}/x", client.addr()))
        .header("content-type", "application/grpc")
        .body(StreamBody::new(frames))
        .expect("a request");
    let response = sender.send_request(request).await.expect("an answer before the first message");
    let mut body = response.into_body();
    for i in 0..5u8 {
        let message = Bytes::from(vec![0, 0, 0, 0, 1, i]);
        send.send(Ok(Frame::data(message.clone()))).await.expect("sent");
        let back = body.frame().await.expect("a frame").expect("a good one");
        assert_eq!(back.into_data().expect("data"), message);
    }
    drop(send);
    let trailers = body.frame().await.expect("a frame").expect("a good one").into_trailers().expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel() {
    let pod = app(|mut request| async move {
        assert_eq!(request.headers()["upgrade"], "websocket");
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrade.await.expect("upgraded"));
            let mut buffer = [0; 64];
            while let Ok(n @ 1..) = io.read(&mut buffer).await {
                io.write_all(&buffer[..n]).await.expect("written");
            }
        });
        Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .body(Full::default())
            .expect("a response")
    })
    .await;
    for meshed in [true, false] {
        let scene = Scene::new(Protocol::Http);
        let scene =
            if meshed { scene.meshed_pod(pod, "v1", Sidecar::strict()).await } else { scene.plain_pod(pod, "v1") };
        let client = scene.start().await;
        let stream = TcpStream::connect(client.addr()).await.expect("connects");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection.with_upgrades());
        let request = Request::get("/ws")
            .header("host", "web")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["upgrade"]),
            (101, &"websocket".parse().expect("v"))
        );
        let mut io = TokioIo::new(hyper::upgrade::on(response).await.expect("upgraded"));
        for text in ["one", "two"] {
            io.write_all(text.as_bytes()).await.expect("written");
            let mut back = [0; 3];
            io.read_exact(&mut back).await.expect("read");
            assert_eq!(back, text.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_timeout_cuts_a_body_that_stalls() {
    let listener = TcpListener::bind(SocketAddr::new(fresh_ip(3), 0)).await.expect("a listener");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.expect("written");
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let route = HttpRoute {
        timeout: Some(Duration::from_millis(200)),
        action: RouteAction::Forward(vec![to(None, 1)]),
        ..HttpRoute::default()
    };
    let client = Scene::new(Protocol::Http).routes(vec![route]).plain_pod(addr, "v1").start().await;
    let outcome = super::scene::try_send(client.addr(), super::scene::request("GET", "/"));
    let outcome = tokio::time::timeout(Duration::from_secs(2), outcome).await.expect("cut in time");
    assert!(outcome.is_err(), "a body that is cut must not look whole");
}

#[tokio::test]
async fn more_requests_than_one_connection_takes_open_another() {
    let count = counter();
    let seen = std::sync::Arc::clone(&count);
    let pod = app(move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Response::new(Full::from("x"))
        }
    })
    .await;
    let client = Scene::new(Protocol::Http).meshed_pod(pod, "v1", Sidecar::strict()).await.start().await;
    let answers = futures::future::join_all((0..150).map(|_| client.get("/"))).await;
    assert!(answers.iter().all(|a| a.status == 200));
    let cluster = client.path.clusters.all().pop().expect("a cluster");
    assert_eq!(cluster.set().endpoints[0].connections(), (0, 2));
}
