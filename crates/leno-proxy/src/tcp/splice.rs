//! The byte loop of opaque connections.
//!
//! A connection at rest holds no buffer: bytes are read into a scratch buffer of the thread and written at once; only
//! what the other side does not take immediately is kept, and nothing more is read in that direction until it is gone.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use leno_core::Reason;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::gather;

/// Bytes moved by one read. Larger reads measured no better.
const SCRATCH: usize = 64 * 1024;
/// How long a side may go on saying what nobody takes, once it has been told the end of the other.
const LINGER: Duration = Duration::from_millis(500);
/// Reads of one direction before other tasks get their turn.
const TURNS: u32 = 16;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A byte stream that can be spliced.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// Lets the peer see a connection that broke, not one that ended, when this is dropped. Nothing to do where a drop says so itself.
    fn abort(&self) {}

    /// Its socket, where what is written goes there as it is.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Io for TcpStream {
    /// A reset instead of a FIN. What the peer has not been sent yet is lost, as it is where the peer's own peer breaks off.
    fn abort(&self) {
        // The socket may have been shut by the kernel already: then the peer knows.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
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

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        (**self).socket()
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
/// its own: the other direction goes on (half-close). So it does where one side takes no more, until what that side had sent before is
/// read: an answer and the end of who gave it. What the other still says meanwhile is for nobody. Where one breaks so does the other: an
/// end that nobody meant could be taken for the end of what was sent, as by HTTP/1.0 or FTP (Envoy's TCP proxy resets too).
pub async fn splice(
    client: &mut (impl Io + ?Sized),
    server: &mut (impl Io + ?Sized),
    idle: Duration,
    meter: &impl Meter,
) -> Ended {
    let mut up = Half::new(Reason::ClientGone, Reason::UpstreamAborted);
    let mut down = Half::new(Reason::UpstreamAborted, Reason::ClientGone);
    let mut timer = IdleTimer::new(idle);
    let (ended, abort) = poll_fn(|cx| {
        let mut moved = false;
        let upward = up.poll(cx, client, server, down.is_reset(), &mut moved, |n| meter.received(n));
        let downward = down.poll(cx, server, client, up.is_reset(), &mut moved, |n| meter.sent(n));
        // One has ended and takes no more, and the other has been told.
        let left = match (&upward, &downward) {
            (Poll::Ready(Way::Untaken) | Poll::Pending, Poll::Ready(Way::Done)) => up.untaken(),
            (Poll::Ready(Way::Done), Poll::Ready(Way::Untaken) | Poll::Pending) => down.untaken(),
            _ => None,
        };
        if left.is_some() {
            timer.linger();
        }
        Poll::Ready(match (upward, downward, left) {
            (Poll::Ready(Way::Broken(error)), ..) => (Ended::by(up.reader, &error), true),
            (_, Poll::Ready(Way::Broken(error)), _) => (Ended::by(down.reader, &error), true),
            (Poll::Ready(Way::Done), Poll::Ready(Way::Done), _) => (Ended::closed(), false),
            (Poll::Ready(_), Poll::Ready(_), Some(left)) => (left, false),
            (Poll::Ready(_), Poll::Ready(_), None) => (up.untaken().unwrap_or_else(Ended::closed), true),
            (_, _, left) => {
                let idle = ready!(timer.poll(cx, moved));
                (left.unwrap_or(idle), false)
            }
        })
    })
    .await;
    if abort {
        client.abort();
        server.abort();
    }
    ended
}

impl Ended {
    fn by(reason: Reason, error: &io::Error) -> Self {
        Self { reason, detail: error.to_string() }
    }

    const fn closed() -> Self {
        Self { reason: Reason::Closed, detail: String::new() }
    }
}

/// What became of a direction that carries nothing more.
enum Way {
    /// Its reader ended, and its writer has been told.
    Done,
    /// Its writer took no more, and its reader has ended.
    Untaken,
    /// Its reader broke off.
    Broken(io::Error),
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
    /// Why nothing more can be written.
    untaken: Option<io::Error>,
}

impl Half {
    const fn new(reader: Reason, writer: Reason) -> Self {
        Self { reader, writer, pending: Bytes::new(), ended: false, flush: false, shut: false, untaken: None }
    }

    /// How it ended, where its writer takes no more.
    fn untaken(&self) -> Option<Ended> {
        self.untaken.as_ref().map(|error| Ended::by(self.writer, error))
    }

    /// Whether its writer broke off, as it did not end before. The kernel says so once, to whoever asks first: who reads from it
    /// afterwards sees an end.
    fn is_reset(&self) -> bool {
        self.untaken.as_ref().is_some_and(|e| !matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero))
    }

    /// `reset`: its reader is known to have broken off, so that an end is none.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl Io + ?Sized),
        to: &mut (impl Io + ?Sized),
        reset: bool,
        moved: &mut bool,
        count: impl Fn(u64),
    ) -> Poll<Way> {
        if self.untaken.is_none() {
            match self.carry(cx, from, to, reset, moved, count) {
                Poll::Ready(Ok(())) => return Poll::Ready(Way::Done),
                Poll::Ready(Err(Stop::Read(error))) => return Poll::Ready(Way::Broken(error)),
                Poll::Ready(Err(Stop::Write(error))) => {
                    self.pending = Bytes::new();
                    self.untaken = Some(error);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        match ready!(self.discard(cx, from)) {
            Ok(()) => Poll::Ready(Way::Untaken),
            Err(error) => Poll::Ready(Way::Broken(error)),
        }
    }

    /// Reads what nobody takes: its sender may read nothing before it has said all, and a socket that is closed with bytes unread
    /// resets, and takes from its peer what has not arrived.
    fn discard(&mut self, cx: &mut Context<'_>, from: &mut (impl Io + ?Sized)) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            self.ended = ready!(read(cx, from, |filled, _| filled.is_empty()))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn carry(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl Io + ?Sized),
        to: &mut (impl Io + ?Sized),
        reset: bool,
        moved: &mut bool,
        count: impl Fn(u64),
    ) -> Poll<Result<(), Stop>> {
        for _ in 0..TURNS {
            if self.shut {
                return Poll::Ready(Ok(()));
            }
            ready!(self.drain(cx, to))?;
            if self.ended {
                // The peer may have gone already: then there is nobody to tell that this side ended.
                let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                self.shut = true;
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(read) = self.pass(cx, from, to) else {
                self.flush(cx, to)?;
                return Poll::Pending;
            };
            let read = read?;
            *moved = true;
            self.ended = read == 0;
            if self.ended && reset {
                return Poll::Ready(Err(Stop::Read(io::ErrorKind::ConnectionReset.into())));
            }
            count(read as u64);
        }
        cx.waker().wake_by_ref();
        self.flush(cx, to)?;
        Poll::Pending
    }

    /// Writes what is left over.
    fn drain(&mut self, cx: &mut Context<'_>, to: &mut (impl Io + ?Sized)) -> Poll<Result<(), Stop>> {
        while !self.pending.is_empty() {
            let written = ready!(write(cx, to, &self.pending))?;
            self.pending.advance(written);
            self.flush = true;
        }
        self.pending = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// Reads once and writes as much of it as is taken at once.
    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl Io + ?Sized),
        to: &mut (impl Io + ?Sized),
    ) -> Poll<Result<usize, Stop>> {
        let passed = read(cx, from, |filled, cx| {
            if filled.len() == SCRATCH {
                gather::send_all();
            }
            let mut rest = filled;
            while !rest.is_empty() {
                let Poll::Ready(written) = write(cx, to, rest) else {
                    self.pending = Bytes::copy_from_slice(rest);
                    break;
                };
                self.flush = true;
                rest = &rest[written?..];
            }
            Ok(filled.len())
        });
        Poll::Ready(ready!(passed).map_err(Stop::Read)?)
    }

    fn flush(&mut self, cx: &mut Context<'_>, to: &mut (impl Io + ?Sized)) -> Result<(), Stop> {
        if self.flush
            && let Poll::Ready(flushed) = Pin::new(to).poll_flush(cx)
        {
            flushed.map_err(Stop::Write)?;
            self.flush = false;
        }
        Ok(())
    }
}

/// Reads once into the thread's scratch buffer; `take` looks at what came, which is nothing at the end.
fn read<T>(
    cx: &mut Context<'_>,
    from: &mut (impl Io + ?Sized),
    take: impl FnOnce(&[u8], &mut Context<'_>) -> T,
) -> Poll<io::Result<T>> {
    BUFFER.with_borrow_mut(|scratch| {
        scratch.resize(SCRATCH, 0);
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(from).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(take(buffer.filled(), cx)))
    })
}

fn write(cx: &mut Context<'_>, to: &mut (impl Io + ?Sized), bytes: &[u8]) -> Poll<Result<usize, Stop>> {
    Poll::Ready(match ready!(Pin::new(to).poll_write(cx, bytes)) {
        Ok(0) => Err(Stop::Write(io::ErrorKind::WriteZero.into())),
        Ok(written) => Ok(written),
        Err(error) => Err(Stop::Write(error)),
    })
}

/// Which end of a direction failed.
enum Stop {
    Read(io::Error),
    Write(io::Error),
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

    /// From now on hardly any more time is given.
    fn linger(&mut self) {
        if self.limit > LINGER {
            self.limit = LINGER;
            self.last = Instant::now();
            self.sleep.as_mut().reset(self.last + LINGER);
        }
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
