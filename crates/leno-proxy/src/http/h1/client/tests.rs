//! What an endpoint that closes its connections has read. The endpoint acts while the client's task does not rest, so the
//! runtime has not told of it: the client finds out by sending.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::Http1;
use crate::http::body::{Body, Head};
use crate::http::client::{Dispatch, SendError};

/// A connection that has carried one request, and the endpoint's end of it.
async fn used() -> (Http1, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let client =
        tokio::net::TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
    let (mut server, _) = listener.accept().expect("its other end");
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("written");
    let mut http = Http1::new(Box::new(client));
    http.send(&mut get()).await.expect("an answer");
    let _ = server.read(&mut [0; 1024]).expect("read");
    (http, server)
}

fn get() -> Dispatch {
    let mut head = Head::new(http::Method::GET, http::Uri::from_static("/"), http::Version::HTTP_11);
    head.headers.append(http::header::HOST, http::HeaderValue::from_static("web"));
    Dispatch::new(head, Body::empty())
}

async fn failure(http: &mut Http1) -> SendError {
    http.send(&mut get()).await.expect_err("no answer")
}

#[tokio::test]
async fn what_came_after_the_end_was_not_read() {
    let (mut http, server) = used().await;
    drop(server);
    assert!(http.is_alive(), "nobody has told of it yet");
    let error = failure(&mut http).await;
    assert!(error.bytes_left && error.unread, "{error:?}");
}

#[tokio::test]
async fn a_server_that_ends_after_it_has_read_may_have_acted() {
    let (mut http, mut server) = used().await;
    let reads = std::thread::spawn(move || server.read(&mut [0; 1024]));
    let error = failure(&mut http).await;
    assert!(error.bytes_left && !error.unread, "{error:?}");
    assert!(reads.join().expect("it ends").expect("read") > 0);
}

#[tokio::test]
async fn a_server_that_resets_may_have_acted() {
    let (mut http, mut server) = used().await;
    let resets = std::thread::spawn(move || {
        socket2::SockRef::from(&server).set_linger(Some(std::time::Duration::ZERO)).expect("a reset at the end");
        server.read(&mut [0; 1024])
    });
    let error = failure(&mut http).await;
    assert!(error.bytes_left && !error.unread, "{error:?}");
    assert!(resets.join().expect("it ends").expect("read") > 0);
}
