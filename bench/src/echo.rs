//! The application: as cheap as one can be, so that the proxies are what is measured.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
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
        let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
            Ok::<_, Infallible>(http2(request.uri().path()))
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

/// gRPC for `/grpc/N`: N messages of 100 bytes; plain for anything else.
fn http2(path: &str) -> Response<Answer> {
    let messages = path.strip_prefix("/grpc/").and_then(|n| n.parse().ok());
    let mut response = Response::new(messages.map_or(Answer::Plain(false), Answer::Messages));
    if messages.is_some() {
        response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    }
    response
}

/// A body of HTTP/2.
enum Answer {
    /// 100 bytes; whether they have gone.
    Plain(bool),
    /// So many messages of gRPC, then its status.
    Messages(u32),
    Done,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (next, frame) = match *self {
            Self::Plain(false) => (Self::Plain(true), Frame::data(BODY)),
            Self::Plain(true) | Self::Done => return Poll::Ready(None),
            Self::Messages(0) => {
                let status = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
                (Self::Done, Frame::trailers(status))
            }
            Self::Messages(left) => (Self::Messages(left - 1), Frame::data(MESSAGE)),
        };
        *self = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Plain(true) | Self::Done)
    }

    fn size_hint(&self) -> SizeHint {
        if matches!(self, Self::Plain(false)) { SizeHint::with_exact(BODY.len() as u64) } else { SizeHint::default() }
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
/// Not compressed, and its length.
const MESSAGE: Bytes = Bytes::from_static(
    b"\0\0\0\0\x64\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
);
const STATUS: http::HeaderName = http::HeaderName::from_static("grpc-status");
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\n\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
