//! The byte loop of opaque connections.
//!
//! A connection at rest holds no buffer: bytes are read into a scratch buffer of the thread and written at once; only
//! what the other side does not take immediately is kept, and nothing more is read in that direction until it is gone.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use leno_core::Reason;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Bytes moved by one read. Larger reads measured no better.
const SCRATCH: usize = 64 * 1024;
/// Reads of one direction before other tasks get their turn.
const TURNS: u32 = 16;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A byte stream that can be spliced.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// Lets the peer see a connection that broke, not one that ended, when this is dropped. Nothing to do where a drop says so itself.
    fn abort(&self) {}
}

impl Io for TcpStream {
    /// A reset instead of a FIN. What the peer has not been sent yet is lost, as it is where the peer's own peer breaks off.
    fn abort(&self) {
        // The socket may have been shut by the kernel already: then the peer knows.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

/// A drop writes no close_notify, which other sidecars take for what it is; the reset tells who does not look.
impl<S: Io> Io for leno_tls::Stream<S> {
    fn abort(&self) {
        self.get_ref().abort();
    }
}

impl<S: Io + ?Sized> Io for Box<S> {
    fn abort(&self) {
        (**self).abort();
    }
}

/// Where there is nobody.
impl Io for tokio::io::Empty {}

#[cfg(test)]
impl Io for tokio::io::DuplexStream {}

/// Counts bytes as they pass.
pub trait Meter {
    /// Bytes from the client to the server.
    fn received(&self, bytes: u64);
    /// Bytes from the server to the client.
    fn sent(&self, bytes: u64);
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Closed, broken by one side, or idle.
    pub reason: Reason,
    /// The error's text, or empty.
    pub detail: String,
}

/// Carries bytes both ways until both sides have ended, one breaks, or nothing moves for `idle`. Each side may end on
/// its own: the other direction goes on (half-close). Where one breaks so does the other: an end that nobody meant could be taken for
/// the end of what was sent, as by HTTP/1.0 or FTP (Envoy's TCP proxy resets too).
pub async fn splice(
    client: &mut (impl Io + ?Sized),
    server: &mut (impl Io + ?Sized),
    idle: Duration,
    meter: &impl Meter,
) -> Ended {
    let mut up = Half::new(Reason::ClientGone, Reason::UpstreamAborted);
    let mut down = Half::new(Reason::UpstreamAborted, Reason::ClientGone);
    let mut timer = IdleTimer::new(idle);
    let ended = poll_fn(|cx| {
        let mut moved = false;
        let upward = up.poll(cx, client, server, &mut moved, |n| meter.received(n));
        let downward = down.poll(cx, server, client, &mut moved, |n| meter.sent(n));
        match (upward, downward) {
            (Poll::Ready(Err(error)), _) => Poll::Ready(up.broken(&error)),
            (_, Poll::Ready(Err(error))) => Poll::Ready(down.broken(&error)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => {
                Poll::Ready(Ended { reason: Reason::Closed, detail: String::new() })
            }
            _ => timer.poll(cx, moved),
        }
    })
    .await;
    if matches!(ended.reason, Reason::ClientGone | Reason::UpstreamAborted) {
        client.abort();
        server.abort();
    }
    ended
}

/// One direction.
struct Half {
    /// Who is to blame when reading breaks, and when writing does.
    reader: Reason,
    writer: Reason,
    /// Read and not yet taken by the other side.
    pending: Bytes,
    ended: bool,
    flush: bool,
    shut: bool,
    writing: bool,
}

impl Half {
    const fn new(reader: Reason, writer: Reason) -> Self {
        Self { reader, writer, pending: Bytes::new(), ended: false, flush: false, shut: false, writing: false }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl Io + ?Sized),
        to: &mut (impl Io + ?Sized),
        moved: &mut bool,
        count: impl Fn(u64),
    ) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            if self.shut {
                return Poll::Ready(Ok(()));
            }
            ready!(self.drain(cx, to))?;
            if self.ended {
                self.writing = true;
                // The peer may have gone already: then there is nobody to tell that this side ended.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                self.shut = true;
                return Poll::Ready(Ok(()));
            }
            self.writing = false;
            let read = match self.read(cx, from, to) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    self.flush(cx, to)?;
                    return Poll::Pending;
                }
            };
            *moved = true;
            self.ended = read == 0;
            count(read as u64);
        }
        cx.waker().wake_by_ref();
        self.flush(cx, to)?;
        Poll::Pending
    }

    /// Writes what is left over.
    fn drain(&mut self, cx: &mut Context<'_>, to: &mut (impl Io + ?Sized)) -> Poll<io::Result<()>> {
        self.writing = true;
        while !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.advance(written);
            self.flush = true;
        }
        self.pending = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// Reads once and writes as much of it as is taken at once.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl Io + ?Sized),
        to: &mut (impl Io + ?Sized),
    ) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|scratch| {
            scratch.resize(SCRATCH, 0);
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut buffer))?;
            let filled = buffer.filled();
            let mut rest = filled;
            self.writing = true;
            while !rest.is_empty() {
                match Pin::new(&mut *to).poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(n)) => {
                        self.flush = true;
                        rest = &rest[n..];
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        self.pending = Bytes::copy_from_slice(rest);
                        break;
                    }
                }
            }
            Poll::Ready(Ok(filled.len()))
        })
    }

    fn flush(&mut self, cx: &mut Context<'_>, to: &mut (impl Io + ?Sized)) -> io::Result<()> {
        if self.flush {
            match Pin::new(to).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.flush = false,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> Ended {
        let reason = if self.writing { self.writer } else { self.reader };
        Ended { reason, detail: error.to_string() }
    }
}

/// Fires when nothing moved for a while. The timer is moved only when it fires: traffic costs one clock read.
struct IdleTimer {
    limit: Duration,
    last: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl IdleTimer {
    fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self { limit, last: now, sleep: Box::pin(tokio::time::sleep_until(now + limit)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<Ended> {
        if moved {
            self.last = Instant::now();
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let due = self.last + self.limit;
            if due <= Instant::now() {
                let detail = format!("nothing moved for {} s", self.limit.as_secs());
                return Poll::Ready(Ended { reason: Reason::IdleTimeout, detail });
            }
            self.sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
