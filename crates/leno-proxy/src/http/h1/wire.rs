//! A socket with what has been read from it and not yet understood, and what is written and not yet sent.
//!
//! At rest it holds no buffer: reading goes through a scratch buffer of the thread, writing through a spare one.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::ReadBuf;

use crate::detect::Prefixed;
use crate::tcp::splice::Io;

/// One end of a connection.
pub(super) struct Wire {
    io: Box<dyn Io>,
    /// Read and not yet understood.
    pub(super) input: BytesMut,
    /// To be sent, in this order: `output`, `large`, `after`.
    output: BytesMut,
    large: Bytes,
    after: &'static [u8],
    flushed: bool,
    /// The other end has ended its side.
    pub(super) ended: bool,
}

impl Wire {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            output: BytesMut::new(),
            large: Bytes::new(),
            after: &[],
            flushed: true,
            ended: false,
        }
    }

    /// Reads once and appends it to `input`; 0 at the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.is_empty() {
                scratch.resize(READ, 0);
            }
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *self.io).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            if read.is_empty() {
                self.ended = true;
            } else if self.input.is_empty() {
                // Not the rest of a buffer whose beginning somebody still holds.
                self.input = BytesMut::from(read);
            } else {
                self.input.extend_from_slice(read);
            }
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Lets go of an input buffer that is empty.
    pub(super) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Where to write what is to be sent next. Must not be called while [`Self::is_full`].
    pub(super) fn output(&mut self) -> &mut BytesMut {
        if self.output.capacity() == 0 {
            self.output = SPARE.take();
        }
        self.flushed = false;
        &mut self.output
    }

    /// Adds a body's bytes, and what follows them. Large ones are not copied.
    pub(super) fn put(&mut self, data: Bytes, after: &'static [u8]) {
        if data.len() < COPY {
            let output = self.output();
            output.extend_from_slice(&data);
            output.extend_from_slice(after);
        } else {
            self.flushed = false;
            self.large = data;
            self.after = after;
        }
    }

    /// Whether so much waits that nothing may be added before it has gone.
    pub(super) fn is_full(&self) -> bool {
        !self.large.is_empty() || !self.after.is_empty() || self.output.len() >= FULL
    }

    /// Sends all that waits, as one write where the socket takes it.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let slices = [IoSlice::new(&self.output), IoSlice::new(&self.large), IoSlice::new(self.after)];
            let written = if self.large.is_empty() && self.after.is_empty() {
                if self.output.is_empty() {
                    break;
                }
                ready!(Pin::new(&mut *self.io).poll_write(cx, &self.output))?
            } else {
                ready!(Pin::new(&mut *self.io).poll_write_vectored(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent(written);
        }
        self.give_back();
        if !self.flushed {
            ready!(Pin::new(&mut *self.io).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, mut n: usize) {
        let part = n.min(self.output.len());
        self.output.advance(part);
        n -= part;
        let part = n.min(self.large.len());
        self.large.advance(part);
        n -= part;
        if self.large.is_empty() {
            self.large = Bytes::new();
            self.after = &self.after[n.min(self.after.len())..];
        }
    }

    fn give_back(&mut self) {
        if self.output.capacity() > 0 {
            let mut output = std::mem::take(&mut self.output);
            output.clear();
            // Its beginning was sent: without this, what is left of it would shrink from message to message.
            if output.try_reclaim(SPARE_SIZE) && output.capacity() <= FULL {
                SPARE.set(output);
            }
        }
    }

    /// Ends this side.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }

    /// The stream beneath, with what was read too early in front.
    pub(super) fn into_io(self) -> Box<dyn Io> {
        if self.input.is_empty() { self.io } else { Box::new(Prefixed::new(self.input.freeze(), self.io)) }
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SPARE: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// Bytes taken by one read.
const READ: usize = 64 * 1024;
/// Shorter parts of a body are copied behind their head, so that both leave in one write and one TLS record.
const COPY: usize = 8 * 1024;
/// Bytes waiting to be sent at most, before the last part.
const FULL: usize = 32 * 1024;
/// What a spare buffer has room for, or it is not kept.
const SPARE_SIZE: usize = 1024;
