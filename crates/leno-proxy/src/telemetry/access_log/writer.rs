//! Lines to a file that may be slow: a bounded buffer and a thread that empties it.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that wait at most; what comes on top is dropped.
const CAPACITY: usize = 1024 * 1024;
/// Lines wait so long for others to be written with.
const GATHER: Duration = Duration::from_millis(100);
/// From so many bytes on the thread is woken at once.
const PLENTY: usize = 32 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes those who wait in `flush`.
    done: Condvar,
    dropped: AtomicU64,
}

struct State {
    lines: String,
    /// Where to; taken by the thread, which starts with the first line, so that a silent log costs nothing.
    sink: Option<Box<dyn Write + Send>>,
    writing: bool,
    closing: bool,
    hurry: bool,
}

impl Writer {
    pub(super) fn new(sink: impl Write + Send + 'static) -> Self {
        let state =
            State { lines: String::new(), sink: Some(Box::new(sink)), writing: false, closing: false, hurry: false };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                work: Condvar::new(),
                done: Condvar::new(),
                dropped: AtomicU64::new(0),
            }),
        }
    }

    /// Adds what `write` writes: one whole line.
    pub(super) fn line(&self, write: impl FnOnce(&mut String)) {
        let mut state = self.shared.lock();
        if state.lines.len() >= CAPACITY {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = state.lines.is_empty();
        write(&mut state.lines);
        let plenty = state.lines.len() >= PLENTY && !state.hurry;
        state.hurry |= plenty;
        if let Some(sink) = state.sink.take() {
            self.start(sink);
        }
        drop(state);
        if was_empty || plenty {
            self.shared.work.notify_one();
        }
    }

    pub(super) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.lock();
        state.hurry = true;
        self.shared.work.notify_one();
        while !state.lines.is_empty() || state.writing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.shared.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    fn start(&self, sink: Box<dyn Write + Send>) {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("access-log".to_owned()).stack_size(128 * 1024);
        if let Err(e) = thread.spawn(move || shared.run(sink)) {
            tracing::error!("the access log stays silent: its thread does not start: {e}");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
    }
}

impl Shared {
    fn run(&self, mut sink: Box<dyn Write + Send>) {
        let mut state = self.lock();
        loop {
            while state.lines.is_empty() {
                state.hurry = false;
                self.done.notify_all();
                if state.closing {
                    return;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.hurry && !state.closing {
                let gather = self.work.wait_timeout_while(state, GATHER, |s| !s.hurry && !s.closing);
                state = gather.unwrap_or_else(PoisonError::into_inner).0;
            }
            let lines = std::mem::take(&mut state.lines);
            (state.writing, state.hurry) = (true, false);
            drop(state);
            if let Err(e) = sink.write_all(lines.as_bytes()).and_then(|()| sink.flush()) {
                // Nobody reads it any more; the data path goes on.
                self.dropped.fetch_add(lines.lines().count() as u64, Ordering::Relaxed);
                tracing::debug!("the access log cannot be written: {e}");
            }
            state = self.lock();
            state.writing = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}
