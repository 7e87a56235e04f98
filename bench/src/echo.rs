//! The application: as cheap as one can be, so that the proxies are what is measured.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves for good.
pub(crate) fn run(listen: SocketAddr) -> anyhow::Result<()> {
    crate::runtime()?.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(stream));
        }
    })
}

async fn connection(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut first = [0; 3];
    stream.peek(&mut first).await?;
    if &first == b"PRI" {
        let service = service_fn(|_: Request<hyper::body::Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(BODY)))
        });
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(TokioIo::new(stream), service).await?;
        return Ok(());
    }
    let mut buffer = vec![0; 16 * 1024];
    let mut length = 0;
    loop {
        let read = stream.read(&mut buffer[length..]).await?;
        if read == 0 {
            return Ok(());
        }
        length += read;
        while let Some(end) = buffer[..length].windows(4).position(|w| w == b"\r\n\r\n") {
            let size = asked(&buffer[..end]);
            buffer.copy_within(end + 4..length, 0);
            length -= end + 4;
            answer(&mut stream, size).await?;
        }
    }
}

/// The N of `GET /bytes/N`.
fn asked(head: &[u8]) -> Option<usize> {
    let target = head.strip_prefix(b"GET /bytes/")?;
    std::str::from_utf8(target.split(|b| *b == b' ').next()?).ok()?.parse().ok()
}

async fn answer(stream: &mut TcpStream, size: Option<usize>) -> anyhow::Result<()> {
    let Some(mut left) = size else {
        return Ok(stream.write_all(ANSWER).await?);
    };
    stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {left}\r\n\r\n").as_bytes()).await?;
    let zeros = vec![b'0'; 256 * 1024];
    while left > 0 {
        let n = left.min(zeros.len());
        stream.write_all(&zeros[..n]).await?;
        left -= n;
    }
    Ok(())
}

const BODY: Bytes = Bytes::from_static(&[b'x'; 100]);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\n\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
