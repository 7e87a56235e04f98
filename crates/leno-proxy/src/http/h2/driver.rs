//! The task of a connection: its socket, and the loop around the state machine.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use leno_http::Output;
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use super::Failure;
use super::core::{Asked, Core, Wakers};
use crate::http::output;
use crate::tcp::gather;
use crate::tcp::splice::Io;

/// The socket's side of a connection.
pub(super) struct Driver {
    io: Box<dyn Io>,
    pub(super) core: Arc<Core>,
    /// Read and not yet understood.
    input: BytesMut,
    /// Room for the next read: more where the last one was filled.
    room: usize,
    /// On its way into the socket.
    output: Output,
    flushed: bool,
    /// Nothing is read until that has gone.
    held: bool,
    /// More can be made ready once that has gone.
    more: bool,
    wakers: Wakers,
    epoch: Instant,
    /// When bytes last came.
    pub(super) heard: Instant,
}

impl Driver {
    pub(super) fn new(io: Box<dyn Io>, core: Arc<Core>) -> Self {
        let now = Instant::now();
        Self {
            io,
            core,
            input: BytesMut::new(),
            room: READ,
            output: Output::default(),
            flushed: true,
            held: false,
            more: false,
            wakers: Wakers::new(),
            epoch: now,
            heard: now,
        }
    }

    /// Reads and acts on what there is; streams that were opened go to `asked`. Ready when nothing more will come.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, asked: &mut Vec<Asked>) -> Poll<Failure> {
        for _ in 0..READS {
            let read = match self.poll_fill(cx) {
                Poll::Ready(Ok(read)) => read,
                Poll::Ready(Err(error)) => return Poll::Ready(Failure::Broken(error.to_string())),
                Poll::Pending => {
                    self.rest();
                    return Poll::Pending;
                }
            };
            if read == 0 {
                return Poll::Ready(Failure::Broken("it was closed".into()));
            }
            self.heard = Instant::now();
            let now = self.heard.saturating_duration_since(self.epoch);
            let mut broken = None;
            {
                let mut state = self.core.lock();
                loop {
                    match state.conn.receive(&mut self.input, now) {
                        Ok(Some(event)) => asked.extend(state.take(event, &mut self.wakers)),
                        Ok(None) => break,
                        Err(error) => {
                            broken = Some(error);
                            break;
                        }
                    }
                }
            }
            self.wakers.drain(..).for_each(Waker::wake);
            if let Some(broken) = broken {
                tracing::debug!(error = %broken, "a peer broke the rules of HTTP/2");
                return Poll::Ready(Failure::Malformed(broken.what));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The same, unless so many answers wait that a client must read them first. Whoever asks always reads, so this end
    /// and its peer never wait for each other.
    pub(super) fn poll_read_requests(&mut self, cx: &mut Context<'_>, asked: &mut Vec<Asked>) -> Poll<Failure> {
        self.held = self.output.len() + self.core.lock().conn.waiting() > BACKLOG;
        if self.held { Poll::Pending } else { self.poll_read(cx, asked) }
    }

    /// Sends all that waits. Ready when it has gone; what is added later wakes the task.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was left over from an earlier turn. Whatever was added since has woken nobody, as this task was to look again.
        ready!(output::poll_write(&mut *self.io, &mut self.output, cx))?;
        loop {
            self.take_output();
            if self.output.is_empty() {
                break;
            }
            self.flushed = false;
            ready!(output::poll_write(&mut *self.io, &mut self.output, cx))?;
            if !self.more {
                break;
            }
        }
        if !self.flushed {
            ready!(Pin::new(&mut *self.io).poll_flush(cx))?;
            self.flushed = true;
        }
        self.output.rest();
        if std::mem::take(&mut self.held) {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    /// Makes ready what may be sent now.
    fn take_output(&mut self) {
        {
            let mut state = self.core.lock();
            state.unsent = 0;
            state.conn.fill();
            state.conn.take_output(&mut self.output);
            state.roomy(&mut self.wakers);
            self.more = state.conn.wants_write();
            state.awake = self.more;
        }
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// Ends this side.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() == 0 {
            self.input = SPARE.take();
        }
        if self.input.capacity() - self.input.len() < self.room / 2 {
            self.input.reserve(self.room);
        }
        if self.room == READ_BULK {
            gather::send_all();
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(poll_read_buf(Pin::new(&mut *self.io), cx, &mut self.input))?;
        self.room = if read == room { READ_BULK } else { self.room };
        Poll::Ready(Ok(read))
    }

    /// Lets go of a buffer that is not needed while nothing comes.
    fn rest(&mut self) {
        if self.input.len() >= KEPT {
            return;
        }
        self.room = READ;
        let left = if self.input.is_empty() { BytesMut::new() } else { BytesMut::from(&self.input[..]) };
        let mut buffer = std::mem::replace(&mut self.input, left);
        buffer.clear();
        // Somebody may hold a part of it still.
        if buffer.try_reclaim(READ) {
            SPARE.set(buffer);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.core.end(&Failure::Broken("it was closed".into()));
    }
}

thread_local! {
    static SPARE: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// Bytes taken by one read. What holds a part of them holds the whole buffer, so it is small as long as little comes.
const READ: usize = 16 * 1024;
/// The same where much comes.
const READ_BULK: usize = 128 * 1024;
/// Reads before what they brought is answered and other tasks get their turn.
const READS: usize = 4;
/// Bytes of answers that wait, before no more requests are taken.
const BACKLOG: usize = 256 * 1024;
/// Part of a frame that is copied for the sake of its buffer.
const KEPT: usize = 1024;
