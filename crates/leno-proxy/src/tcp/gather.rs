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
use std::time::Duration;

use leno_kit::kernel::{Batch, Write};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep};

use super::splice::Io;
use crate::cluster::lock;

/// A stream that keeps small writes until the end of the turn. What it took counts as written, as with what a socket keeps: the thread
/// sends it when there is room, and the next write says where that failed.
pub struct Gather(Way);

enum Way {
    Straight(Box<dyn Io>),
    Kept(Held),
}

/// The user's hold on a stream. The outbox has another one while anything is unsent.
struct Held(Arc<Mutex<Kept>>);

/// Unsent bytes are listed or stuck.
struct Kept {
    io: Box<dyn Io>,
    unsent: Vec<u8>,
    /// It waits for the end of the turn; it may have been sent meanwhile.
    listed: bool,
    /// It did not fit into the socket: the thread's [`Sender`] goes on with it, and nobody else.
    stuck: bool,
    /// The socket did not take all of the last direct write, so nothing is kept that it would not take either.
    full: bool,
    /// Bytes of what is unsent have left.
    begun: bool,
    /// What failed had not begun to leave.
    lost: bool,
    failed: Option<io::Error>,
    /// A write has heard that the connection broke, which the kernel says once.
    broke: bool,
    /// Who wrote last, or waits.
    owner: Option<Waker>,
    /// It does wait.
    waits: bool,
    /// When it was seen that nobody uses the stream any more.
    left: Option<Instant>,
}

impl Gather {
    /// Around a stream that nothing is kept of. It is to be used on this thread, and by one runtime.
    pub fn new(io: Box<dyn Io>) -> Self {
        let alone = Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::CurrentThread);
        if alone && io.socket().is_some() {
            Self(Way::Kept(Held(Arc::new(Mutex::new(Kept::new(io))))))
        } else {
            Self(Way::Straight(io))
        }
    }

    /// Whether nothing at all has left of what was last written, and will not.
    pub fn is_lost(&self) -> bool {
        self.kept().is_some_and(|kept| kept.lost)
    }

    /// Whether the socket had no room for all that was written.
    pub fn is_stuck(&self) -> bool {
        self.kept().is_some_and(|kept| kept.stuck)
    }

    /// Waits until it has.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.kept().map_or(Poll::Ready(()), |mut kept| kept.poll_room(cx))
    }

    /// Sends what is kept now. Pending where the socket has no room for all of it.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.kept().map_or(Poll::Ready(Ok(())), |mut kept| kept.poll_send(cx))
    }

    /// The stream beneath; itself where anything is unsent.
    pub fn into_inner(self) -> Box<dyn Io> {
        let held = match self.0 {
            Way::Straight(io) => return io,
            Way::Kept(held) => held,
        };
        if lock(&held.0).unsent.is_empty() {
            OUTBOX.with_borrow_mut(|outbox| outbox.listed.retain(|listed| !Arc::ptr_eq(listed, &held.0)));
        }
        let kept = Arc::clone(&held.0);
        drop(held);
        match Arc::try_unwrap(kept).map(|kept| kept.into_inner().unwrap_or_else(PoisonError::into_inner)) {
            Ok(kept) => kept.io,
            Err(unsent) => Box::new(Self(Way::Kept(Held(unsent)))),
        }
    }

    fn kept(&self) -> Option<MutexGuard<'_, Kept>> {
        match &self.0 {
            Way::Straight(_) => None,
            Way::Kept(held) => Some(lock(&held.0)),
        }
    }
}

impl Drop for Held {
    /// What is stuck has little more time.
    fn drop(&mut self) {
        if lock(&self.0).stuck {
            let _ = OUTBOX.try_with(|outbox| outbox.borrow().wake());
        }
    }
}

impl Kept {
    const fn new(io: Box<dyn Io>) -> Self {
        Self {
            io,
            unsent: Vec::new(),
            listed: false,
            stuck: false,
            full: false,
            begun: false,
            lost: false,
            failed: None,
            broke: false,
            owner: None,
            waits: false,
            left: None,
        }
    }

    /// Takes bytes. Says how many, and whether it is to be listed for them.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<(usize, bool)>> {
        let total: usize = slices.iter().map(|s| s.len()).sum();
        if total == 0 || self.full || self.stuck || self.failed.is_some() || self.unsent.len() + total > SMALL {
            ready!(self.poll_send(cx))?;
            let written = ready!(poll_write(&mut *self.io, cx, slices))?;
            self.full = written < total;
            return Poll::Ready(Ok((written, false)));
        }
        if self.unsent.is_empty() {
            (self.begun, self.lost) = (false, false);
        }
        if self.unsent.capacity() == 0 {
            self.unsent = OUTBOX.with_borrow_mut(|outbox| outbox.spare.pop()).unwrap_or_default();
        }
        slices.iter().for_each(|slice| self.unsent.extend_from_slice(slice));
        self.belongs_to(cx);
        Poll::Ready(Ok((total, !std::mem::replace(&mut self.listed, true))))
    }

    fn belongs_to(&mut self, cx: &Context<'_>) {
        if !self.owner.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            self.owner = Some(cx.waker().clone());
        }
    }

    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.stuck { self.wait(cx) } else { Poll::Ready(()) }
    }

    /// For room.
    fn wait(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.belongs_to(cx);
        self.waits = true;
        Poll::Pending
    }

    /// Sends what is kept before the turn's end.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_room(cx));
        if self.poll_push(cx).is_pending() {
            // What does not fit will be stuck.
            ready!(self.wait(cx));
        }
        Poll::Ready(self.failed.take().map_or(Ok(()), Err))
    }

    /// Writes until all has left, or that failed.
    fn poll_push(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.unsent)) {
                Ok(n) => self.sent(n),
                Err(error) => self.fail(error),
            }
        }
        Poll::Ready(())
    }

    fn sent(&mut self, n: usize) {
        self.begun |= n > 0;
        self.unsent.drain(..n);
    }

    fn fail(&mut self, error: io::Error) {
        self.lost = !self.begun;
        self.unsent.clear();
        // A pipe is said to be broken where the peer has closed both ways, so that what it said before had its end.
        self.broke |= error.kind() != io::ErrorKind::BrokenPipe;
        self.failed = Some(error);
    }

    /// Writes what is kept, as far as the socket takes it at once.
    fn write(&self) -> io::Result<usize> {
        self.io.socket().map_or(Ok(0), |socket| SockRef::from(&socket).send(&self.unsent))
    }

    /// When the time runs out of a stream that nobody uses any more.
    fn due(&mut self) -> Instant {
        *self.left.get_or_insert_with(Instant::now) + LINGER
    }

    /// What became of it at the end of the turn.
    fn ended(&mut self, written: io::Result<usize>) {
        self.listed = false;
        match written {
            Ok(n) => self.sent(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.fail(error),
        }
        self.stuck = !self.unsent.is_empty();
    }

    /// All has left, or failed: who is to be told, and a buffer for others. A stream at rest does not hold the task that used it.
    fn settled(&mut self) -> (Option<Waker>, Vec<u8>) {
        let tell = std::mem::take(&mut self.waits) || self.failed.is_some();
        (self.owner.take().filter(|_| tell), std::mem::take(&mut self.unsent))
    }
}

impl Io for Gather {
    /// What is kept is for nobody.
    fn abort(&self) {
        match &self.0 {
            Way::Straight(io) => io.abort(),
            Way::Kept(held) => {
                let mut kept = lock(&held.0);
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
            Way::Kept(held) => lock(&held.0).poll_read(cx, buffer),
        }
    }
}

impl Kept {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer));
        if let Err(error) = &read
            && !self.unsent.is_empty()
        {
            self.fail(error.kind().into());
        }
        // Whoever reads after the write that heard of it sees an end.
        if self.broke && read.is_ok() && buffer.filled().len() == before && buffer.remaining() > 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(read)
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
            Way::Kept(held) => {
                let (written, list) = ready!(lock(&held.0).poll_write(cx, slices))?;
                if list {
                    enlist(&held.0);
                }
                Poll::Ready(Ok(written))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is kept leaves by itself.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Way::Straight(io) => Pin::new(io).poll_flush(cx),
            Way::Kept(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Way::Straight(io) => Pin::new(io).poll_shutdown(cx),
            Way::Kept(held) => {
                let mut kept = lock(&held.0);
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
    /// For the end of the turn.
    listed: Vec<Arc<Mutex<Kept>>>,
    /// For when there is room.
    stuck: Vec<Arc<Mutex<Kept>>>,
    /// A [`Sender`] was spawned.
    spawned: bool,
    /// It, once it has run.
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
    /// The node has no such calls, or does not allow them.
    OneByOne,
}

thread_local! {
    static OUTBOX: RefCell<Outbox> = RefCell::default();
}

fn enlist(kept: &Arc<Mutex<Kept>>) {
    let (spawn, full) = OUTBOX.with_borrow_mut(|outbox| {
        outbox.listed.push(Arc::clone(kept));
        if outbox.listed.len() == 1 {
            outbox.wake();
        }
        (!std::mem::replace(&mut outbox.spawned, true), outbox.listed.len() >= Batch::MOST)
    });
    if spawn {
        tokio::spawn(Sender::default());
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
                let written = if one.unsent.is_empty() { Ok(0) } else { one.write() };
                one.ended(written);
            }
            many => {
                let mut many: Vec<_> = many.iter().map(|kept| lock(kept)).collect();
                // Of some all was sent meanwhile, or given up.
                many.iter_mut().for_each(|kept| kept.listed = false);
                many.retain(|kept| !kept.unsent.is_empty());
                let written = self.calls.write(&many);
                many.iter_mut().zip(written).for_each(|(kept, written)| kept.ended(written));
            }
        }
        let before = self.stuck.len();
        for kept in self.listed.drain(..) {
            let mut guard = lock(&kept);
            if guard.stuck {
                drop(guard);
                self.stuck.push(kept);
                continue;
            }
            let (owner, buffer) = guard.settled();
            owners.extend(owner);
            if self.spare.len() < SPARE {
                self.spare.push(buffer);
            }
            // A stream that was dropped meanwhile is closed with this.
        }
        if self.stuck.len() > before {
            self.wake();
        }
    }

    /// Goes on with what is stuck. A stream that nobody uses any more has a little time for that: says when the first one's runs out.
    fn poll_stuck(&mut self, cx: &mut Context<'_>, owners: &mut Vec<Waker>) -> Option<Instant> {
        let mut first: Option<Instant> = None;
        self.stuck.retain(|kept| {
            let unused = Arc::strong_count(kept) == 1;
            let mut kept = lock(kept);
            if unused && kept.due() <= Instant::now() {
                return false;
            }
            if kept.poll_push(cx).is_pending() {
                first = first.into_iter().chain(unused.then(|| kept.due())).min();
                return true;
            }
            kept.stuck = false;
            owners.extend(kept.settled().0);
            false
        });
        first
    }

    fn wake(&self) {
        if let Some(sender) = &self.sender {
            sender.wake_by_ref();
        }
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
                // For want of memory: the next time there may be some.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory) => {}
                Err(error) => {
                    tracing::debug!(%error, "the kernel does not make many writes by one call");
                    *self = Self::OneByOne;
                }
            }
        }
        all.iter().map(|kept| kept.write()).collect()
    }
}

fn together(batch: &mut Batch, all: &[MutexGuard<'_, Kept>]) -> io::Result<Vec<io::Result<usize>>> {
    let writes = all.iter().map(|kept| {
        let to = kept.io.socket().ok_or(io::ErrorKind::Unsupported)?;
        Ok(Write::new(to, &kept.unsent))
    });
    let mut writes = writes.collect::<io::Result<Vec<_>>>()?;
    batch.write(&mut writes)?;
    Ok(writes.into_iter().map(|write| write.written).collect())
}

/// The task that sends what a thread's streams keep: behind all that are ready when it is woken.
#[derive(Default)]
struct Sender {
    /// Until the first of the streams that nobody uses any more has no time left.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Future for Sender {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut owners = Vec::new();
        let due = OUTBOX.with_borrow_mut(|outbox| {
            if !outbox.sender.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                outbox.sender = Some(cx.waker().clone());
            }
            outbox.send(&mut owners);
            outbox.poll_stuck(cx, &mut owners)
        });
        owners.into_iter().for_each(Waker::wake);
        self.timer = due.map(|due| Box::pin(tokio::time::sleep_until(due)));
        if self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Sender {
    /// The runtime ends; another one on this thread has its own.
    fn drop(&mut self) {
        send_all();
        let _ = OUTBOX.try_with(|outbox| {
            let mut outbox = outbox.borrow_mut();
            (outbox.sender, outbox.spawned) = (None, false);
            outbox.stuck.clear();
        });
    }
}

/// What is larger leaves at once.
const SMALL: usize = 4 * 1024;
/// Time for what is stuck once its stream is dropped.
const LINGER: Duration = Duration::from_millis(500);
/// Buffers that a thread keeps.
const SPARE: usize = 32;

#[cfg(test)]
mod tests;
