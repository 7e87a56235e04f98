//! A stream that has left HTTP, by CONNECT: bytes both ways.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use leno_http::h2::Code;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Incoming;
use super::outgoing::Outgoing;
use crate::http::body::Frame;
use crate::tcp::splice::Io;

/// One end of a tunnel.
pub(super) struct Stream {
    incoming: Incoming,
    outgoing: Outgoing,
    /// Received and not yet read.
    rest: Bytes,
    shut: bool,
}

impl Stream {
    pub(super) const fn new(incoming: Incoming, outgoing: Outgoing) -> Self {
        Self { incoming, outgoing, rest: Bytes::new(), shut: false }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.incoming.poll_frame(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                Some(Ok(Frame::Data(data))) => self.rest = data,
                Some(Ok(Frame::Trailers(_))) => {}
            }
        }
        let n = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..n]);
        self.rest.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Outgoing { core, stream, .. } = &self.outgoing;
        ready!(core.poll_room(*stream, cx)).map_err(io::Error::other)?;
        let n = bytes.len().min(MOST);
        let data = Bytes::copy_from_slice(&bytes[..n]);
        core.change(|state| state.conn.send(*stream, data, false));
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            self.shut = true;
            let Outgoing { core, stream, .. } = &self.outgoing;
            core.change(|state| state.conn.send(*stream, Bytes::new(), true));
        }
        Poll::Ready(Ok(()))
    }
}

/// Dropping it resets the stream.
impl Io for Stream {}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.shut || !self.incoming.is_end_stream() {
            let Outgoing { core, stream, .. } = &self.outgoing;
            core.change(|state| state.conn.reset(*stream, Code::CANCEL));
        }
    }
}

/// Bytes taken by one write.
const MOST: usize = 16 * 1024;
