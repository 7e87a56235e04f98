//! Small messages to many sockets leave together.
//!
//! A write to a socket wakes whoever reads it, and where that process is on the same processor it runs at once, in the writer's place: an
//! application finds one message, handles it and sleeps, and a sidecar with thirty answers to give is put aside thirty times. So what is
//! small is kept until the tasks that were ready have had their turn, and then leaves by one system call for all.
//!
//! Only where one thread runs everything, as by default: there the end of a turn is known. Elsewhere, and on what is no plain socket, bytes
//! go straight on.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use leno_kit::kernel::{Batch, Write};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::splice::Io;
use crate::cluster::lock;

/// A stream that keeps small writes until the end of the turn. What it took counts as written, as with what a socket keeps: where it
/// could not be sent, the next use says so.
pub struct Gather(Way);

enum Way {
    Straight(Box<dyn Io>),
    Kept(Arc<Mutex<Kept>>),
}

struct Kept {
    io: Box<dyn Io>,
    unsent: Vec<u8>,
    /// It waits in the thread's outbox. Otherwise what is unsent did not fit into the socket.
    listed: bool,
    /// Bytes of what is unsent have left.
    begun: bool,
    failed: Option<io::Error>,
    /// That failed before a byte of it had left.
    lost: bool,
    /// Who is told when it does not fit, or fails.
    owner: Option<Waker>,
}

impl Gather {
    /// Around a stream that nothing is kept of.
    pub fn new(io: Box<dyn Io>) -> Self {
        let alone = Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::CurrentThread);
        if !alone || io.socket().is_none() {
            return Self(Way::Straight(io));
        }
        let kept = Kept { io, unsent: Vec::new(), listed: false, begun: false, failed: None, lost: false, owner: None };
        Self(Way::Kept(Arc::new(Mutex::new(kept))))
    }

    /// Whether nothing at all has left of what was last written, and will not.
    pub fn is_lost(&self) -> bool {
        match &self.0 {
            Way::Straight(_) => false,
            Way::Kept(kept) => lock(kept).lost,
        }
    }

    /// Sends what is kept now. Pending where the socket has no room for all of it.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Way::Straight(_) => Poll::Ready(Ok(())),
            Way::Kept(kept) => lock(kept).poll_send(cx),
        }
    }

    /// The stream beneath, unless something is kept.
    pub fn into_inner(self) -> Box<dyn Io> {
        match self.0 {
            Way::Straight(io) => io,
            Way::Kept(kept) => {
                match Arc::try_unwrap(kept).map(|kept| kept.into_inner().unwrap_or_else(PoisonError::into_inner)) {
                    Ok(kept) if kept.unsent.is_empty() => kept.io,
                    Ok(kept) => Box::new(Self(Way::Kept(Arc::new(Mutex::new(kept))))),
                    Err(listed) => Box::new(Self(Way::Kept(listed))),
                }
            }
        }
    }

    /// Goes on with what the socket had no room for. Pending while there is any.
    pub fn poll_left_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Way::Straight(_) => Poll::Ready(Ok(())),
            Way::Kept(kept) => {
                let mut kept = lock(kept);
                if kept.listed { Poll::Ready(Ok(())) } else { kept.poll_send(cx) }
            }
        }
    }
}

impl Kept {
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<(usize, bool)>> {
        let total: usize = slices.iter().map(|s| s.len()).sum();
        let waits = self.listed || self.unsent.is_empty() && self.failed.is_none();
        if total == 0 || !waits || self.unsent.len() + total > SMALL {
            ready!(self.poll_send(cx))?;
            return poll_write(&mut *self.io, cx, slices).map_ok(|n| (n, false));
        }
        if self.unsent.capacity() == 0 {
            self.unsent = OUTBOX.with_borrow_mut(|outbox| outbox.spare.pop()).unwrap_or_default();
        }
        slices.iter().for_each(|slice| self.unsent.extend_from_slice(slice));
        (self.begun, self.lost) = (false, false);
        if !self.owner.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            self.owner = Some(cx.waker().clone());
        }
        Poll::Ready(Ok((total, !std::mem::replace(&mut self.listed, true))))
    }

    /// Sends what is kept by itself.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.unsent)) {
                Ok(sent) => self.sent(sent),
                Err(error) => {
                    self.fail();
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, n: usize) {
        self.begun |= n > 0;
        self.unsent.drain(..n);
    }

    fn fail(&mut self) {
        self.lost = !self.begun;
        self.unsent.clear();
    }

    /// Writes what is kept, as far as the socket takes it at once.
    fn write(&self) -> io::Result<usize> {
        self.io.socket().map_or(Ok(0), |socket| SockRef::from(&socket).send(&self.unsent))
    }

    /// What became of it at the end of the turn.
    fn ended(&mut self, written: io::Result<usize>, spare: &mut Vec<Vec<u8>>, owners: &mut Vec<Waker>) {
        self.listed = false;
        match written {
            Ok(n) => self.sent(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.fail();
                self.failed = Some(error);
            }
        }
        if !self.unsent.is_empty() || self.failed.is_some() {
            owners.extend(self.owner.take());
            return;
        }
        let buffer = std::mem::take(&mut self.unsent);
        if spare.len() < SPARE {
            spare.push(buffer);
        }
    }
}

impl Io for Gather {
    /// What is kept is for nobody.
    fn abort(&self) {
        match &self.0 {
            Way::Straight(io) => io.abort(),
            Way::Kept(kept) => {
                let mut kept = lock(kept);
                kept.unsent.clear();
                kept.io.abort();
            }
        }
    }
}

impl AsyncRead for Gather {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Way::Straight(io) => Pin::new(io).poll_read(cx, buffer),
            Way::Kept(kept) => {
                let mut kept = lock(kept);
                if !kept.listed
                    && let Poll::Ready(Err(error)) = kept.poll_send(cx)
                {
                    return Poll::Ready(Err(error));
                }
                let read = ready!(Pin::new(&mut kept.io).poll_read(cx, buffer));
                if read.is_err() && kept.listed {
                    // There is nobody any more.
                    kept.fail();
                }
                Poll::Ready(read)
            }
        }
    }
}

impl AsyncWrite for Gather {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Way::Straight(io) => poll_write(&mut **io, cx, slices),
            Way::Kept(kept) => {
                let (written, new) = ready!(lock(kept).poll_write(cx, slices))?;
                if new {
                    list(kept);
                }
                Poll::Ready(Ok(written))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What waits for the end of the turn needs no more than that.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Way::Straight(io) => Pin::new(io).poll_flush(cx),
            Way::Kept(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Way::Straight(io) => Pin::new(io).poll_shutdown(cx),
            Way::Kept(kept) => {
                let mut kept = lock(kept);
                ready!(kept.poll_send(cx))?;
                Pin::new(&mut kept.io).poll_shutdown(cx)
            }
        }
    }
}

/// By the call for one slice where there is one: that for several does nothing without bytes, so that it would not tell of an end.
fn poll_write(io: &mut dyn Io, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    match slices {
        [one] => Pin::new(io).poll_write(cx, one),
        many => Pin::new(io).poll_write_vectored(cx, many),
    }
}

/// What the streams of a thread keep.
#[derive(Default)]
struct Outbox {
    listed: Vec<Arc<Mutex<Kept>>>,
    /// The task that sends it: behind all that are ready when it is woken.
    sender: Option<Waker>,
    calls: Calls,
    /// Buffers for those who have something to keep.
    spare: Vec<Vec<u8>>,
}

#[derive(Default)]
enum Calls {
    #[default]
    Untried,
    Together(Batch),
    /// The node has no such calls.
    OneByOne,
}

thread_local! {
    static OUTBOX: RefCell<Outbox> = RefCell::default();
}

fn list(kept: &Arc<Mutex<Kept>>) {
    let (first, full) = OUTBOX.with_borrow_mut(|outbox| {
        outbox.listed.push(Arc::clone(kept));
        match &outbox.sender {
            Some(sender) if outbox.listed.len() == 1 => sender.wake_by_ref(),
            Some(_) => {}
            None => return (true, false),
        }
        (false, outbox.listed.len() >= Batch::MOST)
    });
    if first {
        tokio::spawn(Sender);
    }
    if full {
        send_all();
    }
}

/// Sends what this thread's streams keep. For who is about to work for long.
pub fn send_all() {
    let mut owners = Vec::new();
    // Streams that are dropped while the thread ends find no outbox any more, and nothing to send.
    let _ = OUTBOX.try_with(|outbox| outbox.borrow_mut().send(&mut owners));
    owners.into_iter().for_each(Waker::wake);
}

impl Outbox {
    fn send(&mut self, owners: &mut Vec<Waker>) {
        match self.listed.as_slice() {
            [] => return,
            [one] => {
                let mut one = lock(one);
                let written = one.write();
                one.ended(written, &mut self.spare, owners);
            }
            many => {
                let mut many: Vec<_> = many.iter().map(|kept| lock(kept)).collect();
                let written = self.calls.write(&many);
                for (kept, written) in many.iter_mut().zip(written) {
                    kept.ended(written, &mut self.spare, owners);
                }
            }
        }
        // A stream that was dropped meanwhile is closed with this.
        self.listed.clear();
    }
}

impl Calls {
    fn write(&mut self, all: &[MutexGuard<'_, Kept>]) -> Vec<io::Result<usize>> {
        if let Self::Untried = self {
            *self = Batch::new().map_or(Self::OneByOne, Self::Together);
        }
        if let Self::Together(batch) = self {
            match together(batch, all) {
                Ok(written) => return written,
                Err(error) => tracing::debug!(%error, "the kernel does not make many writes by one call"),
            }
            *self = Self::OneByOne;
        }
        all.iter().map(|kept| kept.write()).collect()
    }
}

fn together(batch: &Batch, all: &[MutexGuard<'_, Kept>]) -> io::Result<Vec<io::Result<usize>>> {
    let writes = all.iter().map(|kept| {
        let to = kept.io.socket().ok_or(io::ErrorKind::Unsupported)?;
        Ok(Write { to, bytes: &kept.unsent, written: Err(io::ErrorKind::WouldBlock.into()) })
    });
    let mut writes = writes.collect::<io::Result<Vec<_>>>()?;
    batch.write(&mut writes)?;
    Ok(writes.into_iter().map(|write| write.written).collect())
}

/// The task that sends what a thread's streams keep.
struct Sender;

impl Future for Sender {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        OUTBOX.with_borrow_mut(|outbox| {
            if !outbox.sender.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                outbox.sender = Some(cx.waker().clone());
            }
        });
        send_all();
        Poll::Pending
    }
}

impl Drop for Sender {
    /// The runtime ends; another one on this thread has its own.
    fn drop(&mut self) {
        send_all();
        let _ = OUTBOX.try_with(|outbox| outbox.borrow_mut().sender = None);
    }
}

/// What is larger leaves at once.
const SMALL: usize = 4 * 1024;
/// Buffers that a thread keeps.
const SPARE: usize = 32;

#[cfg(test)]
mod tests;
