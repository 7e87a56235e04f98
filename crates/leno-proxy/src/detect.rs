//! What a connection speaks, from its first bytes, without ever making a server-first protocol wait for its client.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use leno_core::decide::sniff::{self, Hello, Sniff};
use leno_core::names;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tcp::splice::Io;

/// How long a client may be silent before its server is asked whether it wants to speak first. Long enough for the
/// first packet of a client that speaks, short against what a person or a connection pool notices.
pub const CLIENT_SILENCE: Duration = Duration::from_millis(30);
/// How long a client that began to speak may take to make clear what it speaks.
pub const PARTIAL_PATIENCE: Duration = Duration::from_secs(1);
/// First bytes read at most before a verdict: a TLS ClientHello with post-quantum key shares fits.
pub const FIRST_BYTES: usize = 16 * 1024;

/// What the first bytes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.x.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// A TLS ClientHello.
    Tls,
    /// Anything else.
    Other,
}

/// A client's first bytes, or the lack of them.
#[derive(Debug)]
pub enum First {
    /// It spoke; the verdict, and what it said so far.
    Spoke(Spoken, Bytes),
    /// It said nothing for as long as asked.
    Silent,
    /// It closed its side without a word.
    Closed,
}

/// Reads until it is clear what the client speaks, at most `silence` for its first byte.
///
/// # Errors
/// Where the connection breaks.
pub async fn first_bytes(client: &mut TcpStream, silence: Option<Duration>) -> io::Result<First> {
    let mut buffer = BytesMut::new();
    let read = match silence {
        Some(limit) => match tokio::time::timeout(limit, read_some(client, &mut buffer)).await {
            Ok(read) => read?,
            Err(_) => return Ok(First::Silent),
        },
        None => read_some(client, &mut buffer).await?,
    };
    if read == 0 {
        return Ok(First::Closed);
    }
    complete(client, buffer).await
}

/// Reads once, with no buffer while there is nothing to read. Nothing is lost where it is given up.
async fn read_some(client: &TcpStream, buffer: &mut BytesMut) -> io::Result<usize> {
    loop {
        client.readable().await?;
        buffer.reserve(2048);
        match client.try_read_buf(buffer) {
            // Readiness is a hint only.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => *buffer = BytesMut::new(),
            read => return read,
        }
    }
}

/// Reads on until `buffer` shows what is spoken.
async fn complete(client: &mut TcpStream, mut buffer: BytesMut) -> io::Result<First> {
    let deadline = tokio::time::Instant::now() + PARTIAL_PATIENCE;
    loop {
        if let Some(spoken) = verdict(&buffer) {
            return Ok(First::Spoke(spoken, buffer.freeze()));
        }
        buffer.reserve(2048);
        match tokio::time::timeout_at(deadline, client.read_buf(&mut buffer)).await {
            Ok(Ok(n)) if n > 0 && buffer.len() < FIRST_BYTES => {}
            Ok(Err(error)) => return Err(error),
            // It stopped in the middle, or it is endless: whatever it is, it is carried as it is.
            Ok(Ok(_)) | Err(_) => return Ok(First::Spoke(Spoken::Other, buffer.freeze())),
        }
    }
}

/// The same for TLS: until the whole ClientHello is there, or it is clear that there is none.
///
/// # Errors
/// Where the connection breaks.
pub async fn whole_hello(client: &mut TcpStream, start: Bytes) -> io::Result<Bytes> {
    let mut buffer = BytesMut::from(&start[..]);
    let deadline = tokio::time::Instant::now() + PARTIAL_PATIENCE;
    while buffer.len() < sniff::MAX_HELLO && sniff::client_hello(&buffer) == Hello::NeedMore {
        buffer.reserve(2048);
        match tokio::time::timeout_at(deadline, client.read_buf(&mut buffer)).await {
            Ok(Ok(0)) | Err(_) => break,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
        }
    }
    Ok(buffer.freeze())
}

/// The server name of a ClientHello, where it has one.
#[must_use]
pub fn server_name(hello: &[u8]) -> Option<String> {
    match sniff::client_hello(hello) {
        Hello::Hello { sni, .. } => sni,
        Hello::NeedMore | Hello::NotTls => None,
    }
}

/// Whether a ClientHello asks for the mesh's own mutual TLS.
#[must_use]
pub fn is_mesh(hello: &[u8]) -> bool {
    match sniff::client_hello(hello) {
        Hello::Hello { alpn, .. } => alpn.iter().any(|p| names::alpn::MESH.contains(&p.as_slice())),
        Hello::NeedMore | Hello::NotTls => false,
    }
}

fn verdict(bytes: &[u8]) -> Option<Spoken> {
    match sniff::sniff(bytes) {
        Sniff::NeedMore => None,
        Sniff::Http1 => Some(Spoken::Http1),
        Sniff::Http2Preface => Some(Spoken::Http2),
        Sniff::Tls => Some(Spoken::Tls),
        Sniff::Opaque => Some(Spoken::Other),
    }
}

/// Which side spoke first, after a silent client's server was connected.
#[derive(Debug)]
pub enum Race {
    /// The client did after all.
    Client(First),
    /// The server did: these bytes, already read from it, go to the client first.
    Server(Bytes),
}

/// Waits for the first byte from either side.
///
/// # Errors
/// Where the server's side breaks; a client that breaks counts as closed.
pub async fn race<S>(client: &mut TcpStream, server: &mut S, limit: Duration) -> io::Result<Race>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut said = BytesMut::new();
    let mut answered = BytesMut::with_capacity(2048);
    let winner = tokio::time::timeout(limit, async {
        tokio::select! {
            biased;
            // Reading is cancel-safe on both sides: nothing is lost by the one that loses.
            read = read_some(client, &mut said) => read.map(|n| (true, n)),
            read = server.read_buf(&mut answered) => read.map(|n| (false, n)),
        }
    })
    .await;
    match winner {
        Ok(Ok((true, 0))) => Ok(Race::Client(First::Closed)),
        Ok(Ok((true, _))) => complete(client, said).await.map(Race::Client),
        Ok(Ok((false, _))) => Ok(Race::Server(answered.freeze())),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(Race::Client(First::Silent)),
    }
}

/// A stream whose first bytes have been read already.
#[derive(Debug)]
pub struct Prefixed<S> {
    prefix: Bytes,
    inner: S,
}

impl<S> Prefixed<S> {
    /// Gives `prefix` back before what `inner` has yet to say.
    pub const fn new(prefix: Bytes, inner: S) -> Self {
        Self { prefix, inner }
    }

    /// The stream beneath; what is left of the prefix is lost.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Io> Io for Prefixed<S> {
    fn abort(&self) {
        self.inner.abort();
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.inner.socket()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let n = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..n]);
        self.prefix.advance(n);
        if self.prefix.is_empty() {
            // Lets go of the whole first read, of which the prefix was a slice.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
