//! A connection after its handshake.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustls::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::records::Records;

/// Bytes under TLS over `IO`.
///
/// Reading fails with [`io::ErrorKind::UnexpectedEof`] where the stream beneath ends before the peer has said that it is the end, and with
/// [`io::ErrorKind::InvalidData`] and a [`rustls::Error`] inside where the peer breaks the rules or gives up.
pub struct Stream<IO> {
    io: IO,
    pub(crate) records: Records,
    /// Read and not yet opened.
    pub(crate) held: Vec<u8>,
    /// Opened and not yet taken.
    pub(crate) opened: Bytes,
    /// Sealed and not yet taken by the stream beneath.
    pub(crate) unsent: Bytes,
    failed: Option<Error>,
}

impl<IO> Stream<IO> {
    /// `held` came behind the handshake.
    pub(crate) const fn new(io: IO, records: Records, held: Vec<u8>) -> Self {
        Self { io, records, held, opened: Bytes::new(), unsent: Bytes::new(), failed: None }
    }

    /// The stream beneath.
    pub const fn get_ref(&self) -> &IO {
        &self.io
    }

    #[cfg(test)]
    pub(crate) const fn get_mut(&mut self) -> &mut IO {
        &mut self.io
    }

    /// The stream beneath and its keys, for who does the rest himself. What was read and not taken is lost.
    pub fn into_parts(self) -> (IO, Records) {
        (self.io, self.records)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Stream<IO> {
    /// Reads once, or until there is something for `into`, and opens what came.
    fn poll_fill(&mut self, cx: &mut Context<'_>, wire: &mut [u8], into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let mut filled = self.held.len();
        wire[..filled].copy_from_slice(&self.held);
        let outcome = loop {
            if !Records::is_whole(&wire[..filled]) {
                match self.poll_wire(cx, wire, filled, into.remaining()) {
                    Poll::Ready(Ok(0)) => break Poll::Ready(Err(truncated())),
                    Poll::Ready(Ok(n)) => filled += n,
                    Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                    Poll::Pending => break Poll::Pending,
                }
            }
            let opened = self.open(&mut wire[..filled], into);
            wire.copy_within(opened..filled, 0);
            filled -= opened;
            if into.filled().len() > before || self.records.is_ended() {
                break Poll::Ready(Ok(()));
            }
            if self.failed.is_some() {
                break Poll::Ready(self.fail(cx));
            }
        };
        if filled == 0 || self.records.is_ended() || self.failed.is_some() {
            self.held = Vec::new();
        } else {
            self.held.clear();
            self.held.extend_from_slice(&wire[..filled]);
        }
        outcome
    }

    /// Reads behind what is there; not much more than there is room for in the end.
    fn poll_wire(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut [u8],
        filled: usize,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        let end = (filled + room + ONE_RECORD).min(wire.len());
        let mut buffer = ReadBuf::new(&mut wire[filled..end]);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Opens records as long as there is room for what they bring; returns how many bytes of them are done with.
    fn open(&mut self, wire: &mut [u8], into: &mut ReadBuf<'_>) -> usize {
        let mut at = 0;
        while into.remaining() > 0 && !self.records.is_ended() {
            match self.records.open(&mut wire[at..]) {
                Ok(Some(opened)) => {
                    at += opened.length;
                    let fits = opened.data.len().min(into.remaining());
                    into.put_slice(&opened.data[..fits]);
                    if fits < opened.data.len() {
                        self.opened = Bytes::copy_from_slice(&opened.data[fits..]);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let mut unsent = self.unsent.to_vec();
                    self.records.give_up(&error, &mut unsent);
                    self.unsent = unsent.into();
                    self.failed = Some(error);
                    break;
                }
            }
        }
        at
    }

    /// Sends what was sealed before.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.unsent))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(n);
        }
        self.unsent = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// The error, where this end has given up. The peer is told why, as far as that is possible at once.
    fn fail(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(error) = self.failed.clone() else { return Ok(()) };
        if self.poll_unsent(cx).is_ready() {
            let _ = Pin::new(&mut self.io).poll_flush(cx);
        }
        Err(broken(&error))
    }

    /// Sends what was just sealed; what is not taken at once waits.
    fn poll_send(&mut self, cx: &mut Context<'_>, mut sealed: &[u8]) -> io::Result<()> {
        while !sealed.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, sealed) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => sealed = &sealed[n..],
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.unsent = Bytes::copy_from_slice(sealed);
                    break;
                }
            }
        }
        Ok(())
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.opened.is_empty() {
            let n = this.opened.len().min(into.remaining());
            into.put_slice(&this.opened[..n]);
            this.opened.advance(n);
            if this.opened.is_empty() {
                this.opened = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        this.fail(cx)?;
        if this.records.is_ended() || into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut wire = READ.take();
        wire.resize(WIRE, 0);
        let outcome = this.poll_fill(cx, &mut wire, into);
        READ.set(wire);
        outcome
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.fail(cx)?;
        ready!(this.poll_unsent(cx))?;
        let mut sealed = WRITE.take();
        sealed.clear();
        let outcome = match this.records.seal(slices, WRITTEN, &mut sealed) {
            Ok(n) => this.poll_send(cx, &sealed).map(|()| n),
            Err(error) => Err(broken(&error)),
        };
        WRITE.set(sealed);
        Poll::Ready(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut farewell = this.unsent.to_vec();
        this.records.close(&mut farewell).map_err(|e| broken(&e))?;
        this.unsent = farewell.into();
        ready!(this.poll_unsent(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<IO: fmt::Debug> fmt::Debug for Stream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("io", &self.io).field("records", &self.records).finish_non_exhaustive()
    }
}

fn broken(error: &Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.clone())
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the connection without TLS' close_notify")
}

thread_local! {
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes of records in the hand at once.
const WIRE: usize = 148 * 1024;
/// The longest record, and a little.
const ONE_RECORD: usize = 17 * 1024;
/// Bytes taken by one write: 128 KiB of bodies with the heads of their frames, which would else leave as a record and a packet of their own.
const WRITTEN: usize = 132 * 1024;
