//! A socket with what has been read from it and not yet understood, and what is written and not yet sent.
//!
//! At rest it holds no buffer: reading goes through a scratch buffer of the thread, writing through a spare one.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use leno_http::Output;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::detect::Prefixed;
use crate::http::output;
use crate::tcp::gather::{self, Gather};
use crate::tcp::splice::Io;

/// One end of a connection.
pub(super) struct Wire {
    io: Gather,
    /// Read and not yet understood.
    pub(super) input: BytesMut,
    output: Output,
    flushed: bool,
    /// The other end has ended its side.
    pub(super) ended: bool,
    /// The last read brought as much as it might.
    bulk: bool,
}

impl Wire {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        let io = Gather::new(io);
        Self { io, input: BytesMut::new(), output: Output::default(), flushed: true, ended: false, bulk: false }
    }

    /// Reads once and appends it to `input`; 0 at the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        if self.bulk && self.input.is_empty() {
            return self.poll_fill_bulk(cx);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.is_empty() {
                scratch.resize(READ, 0);
            }
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            if read.is_empty() {
                self.ended = true;
            } else if self.input.is_empty() {
                // Not the rest of a buffer whose beginning somebody still holds.
                self.input = BytesMut::from(read);
            } else {
                self.input.extend_from_slice(read);
            }
            self.bulk = read.len() == READ;
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Reads into a buffer of its own, which then need not be copied. After a read that does not fill it the next is small again: who
    /// holds a few bytes for long must not hold a large buffer with them.
    fn poll_fill_bulk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        gather::send_all();
        let mut buffer = BytesMut::with_capacity(READ_BULK);
        let read = poll_read_buf(Pin::new(&mut self.io), cx, &mut buffer);
        self.bulk = matches!(read, Poll::Ready(Ok(READ_BULK)));
        let read = ready!(read)?;
        self.ended = read == 0;
        self.input = buffer;
        Poll::Ready(Ok(read))
    }

    /// Lets go of an input buffer that is empty.
    pub(super) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Where to write what is to be sent next.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        self.flushed = false;
        self.output.tail()
    }

    /// Adds a body's bytes, and what follows them. Large ones are not copied.
    pub(super) fn put(&mut self, data: Bytes, after: &'static [u8]) {
        self.flushed = false;
        self.output.payload(data);
        if !after.is_empty() {
            self.output.tail().extend_from_slice(after);
        }
    }

    /// Whether so much waits that it should go before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.output.len() >= FULL
    }

    /// Sends all that waits, as one write where the socket takes it. What is small leaves at the end of the thread's turn ([`Gather`]).
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(output::poll_write(&mut self.io, &mut self.output, cx))?;
        self.output.rest();
        if !self.flushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the other end, which has ended its side, also refuses what is sent to it. On the same host this says that it
    /// was closed before the last bytes came: their refusal (RST) is there before the sending of them returns. An end that
    /// has read them and is closed then refuses nothing.
    pub(super) fn is_refused(&mut self, cx: &mut Context<'_>) -> bool {
        // Nothing is sent by this; the system only tells the connection's state.
        self.ended && matches!(Pin::new(&mut self.io).poll_write(cx, &[]), Poll::Ready(Err(_)))
    }

    /// Whether the socket had no room for all that was sent.
    pub(super) fn is_stuck(&self) -> bool {
        self.io.is_stuck()
    }

    /// Waits until it has.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_room(cx)
    }

    /// Waits until the socket has all that was sent.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_sent(cx)
    }

    /// Whether nothing at all has left of what was last sent, and will not.
    pub(super) fn is_lost(&self) -> bool {
        self.io.is_lost()
    }

    /// Ends this side.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// The stream beneath, with what was read too early in front.
    pub(super) fn into_io(self) -> Box<dyn Io> {
        let io = self.io.into_inner();
        if self.input.is_empty() { io } else { Box::new(Prefixed::new(self.input.freeze(), io)) }
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes taken by one read.
const READ: usize = 64 * 1024;
/// The same after one that was filled.
const READ_BULK: usize = 128 * 1024;
/// Bytes waiting to be sent at most, before the last part.
const FULL: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn reads_become_large_after_one_that_was_filled_and_small_again() {
        let (mut other, io) = tokio::io::duplex(1024 * 1024);
        let mut wire = Wire::new(Box::new(io));
        let bytes: Vec<u8> = (0..READ + READ_BULK + 10).map(|i| (i % 251) as u8).collect();
        other.write_all(&bytes).await.unwrap();
        let mut came = Vec::new();
        for wanted in [READ, READ_BULK, 10] {
            assert_eq!(poll_fn(|cx| wire.poll_fill(cx)).await.unwrap(), wanted);
            came.extend_from_slice(&wire.input.split());
        }
        assert!(came == bytes, "other bytes came");
        other.write_all(b"a few").await.unwrap();
        assert_eq!(poll_fn(|cx| wire.poll_fill(cx)).await.unwrap(), 5);
        assert!(wire.input.capacity() < READ, "a few bytes hold {} with them", wire.input.capacity());
        drop(other);
        assert_eq!(poll_fn(|cx| wire.poll_fill(cx)).await.unwrap(), 0);
        assert!(wire.ended);
    }
}
