//! Connections that carry many requests at once: opened once under concurrency, more only when all are full.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lock;
use crate::http::client::SendError;
use crate::http::h2::Http2;

/// What opening a connection came to.
pub enum Opened {
    /// It carries many requests; this end's address.
    Http2(Http2, Option<SocketAddr>),
    /// The peer does not speak HTTP/2.
    Refused,
}

/// The connections to one endpoint.
#[derive(Default)]
pub struct Mux {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    connections: Vec<Arc<Connection>>,
    opening: bool,
    refused: bool,
    /// Counts failures to open, so that those who waited for one learn of it once.
    failures: u64,
    last_failure: Option<SendError>,
}

struct Connection {
    sender: Http2,
    local: Option<SocketAddr>,
    active: AtomicUsize,
    carried: AtomicU32,
    idle_since: Mutex<Instant>,
}

/// A place for one request on a connection; given back when it is dropped.
pub struct Ticket {
    connection: Arc<Connection>,
    shared: Arc<Shared>,
}

impl Mux {
    /// A place on a connection; opens one where there is none with room. `None`: the peer refuses HTTP/2.
    ///
    /// # Errors
    /// Where a connection cannot be opened.
    pub async fn ticket<F, O>(&self, open: F, per_connection: u32) -> Result<Option<Ticket>, SendError>
    where
        F: Fn() -> O,
        O: Future<Output = Result<Opened, SendError>> + Send + 'static,
    {
        // Nearly always there is a place. Nothing is made ready for waiting then, and the future is small.
        let found = self.shared.free(&mut lock(&self.shared.state), per_connection);
        match found {
            Free::Ticket(ticket) => Ok(Some(ticket)),
            Free::Refused => Ok(None),
            Free::Nothing => Box::pin(self.wait(open, per_connection)).await,
        }
    }

    async fn wait<F, O>(&self, open: F, per_connection: u32) -> Result<Option<Ticket>, SendError>
    where
        F: Fn() -> O,
        O: Future<Output = Result<Opened, SendError>> + Send + 'static,
    {
        let mut failures = None;
        // Counted before it looks, so that whoever frees a place after that knows that somebody waits.
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.shared);
        loop {
            let changed = self.shared.changed.notified();
            {
                // One lock for the look and for what follows from it: what opens meanwhile must not be opened once more.
                let mut state = lock(&self.shared.state);
                match self.shared.free(&mut state, per_connection) {
                    Free::Ticket(ticket) => return Ok(Some(ticket)),
                    Free::Refused => return Ok(None),
                    Free::Nothing => {}
                }
                if failures.is_some_and(|seen| seen != state.failures)
                    && let Some(error) = state.last_failure.clone()
                {
                    return Err(error);
                }
                failures = Some(state.failures);
                if !state.opening && state.connections.len() < MAX_CONNECTIONS {
                    state.opening = true;
                    drop(state);
                    self.spawn(open());
                }
            }
            changed.await;
        }
    }

    /// Open connections.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.shared.state).connections.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes connections without a request for longer than `limit`; of several idle ones all but one after [`SPARE`].
    pub fn sweep(&self, limit: Duration) {
        let now = Instant::now();
        let mut state = lock(&self.shared.state);
        let mut idle = 0;
        state.connections.retain(|c| {
            if c.sender.is_closed() {
                return false;
            }
            if c.active.load(Ordering::Relaxed) > 0 {
                return true;
            }
            let rested = now.saturating_duration_since(*lock(&c.idle_since));
            idle += 1;
            rested < limit && (idle == 1 || rested < SPARE)
        });
    }

    /// Opens in a task of its own: the request that asked may be given up, those that wait for it with it may not.
    fn spawn(&self, opening: impl Future<Output = Result<Opened, SendError>> + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let opened = opening.await;
            {
                let mut state = lock(&shared.state);
                state.opening = false;
                match opened {
                    Ok(Opened::Http2(sender, local)) => state.add(sender, local),
                    Ok(Opened::Refused) => state.refused = true,
                    Err(error) => {
                        state.failures += 1;
                        state.last_failure = Some(error);
                    }
                }
            }
            shared.changed.notify_waiters();
        });
    }
}

/// What a look for a place finds.
enum Free {
    Ticket(Ticket),
    /// The peer does not speak HTTP/2.
    Refused,
    Nothing,
}

impl Shared {
    fn free(self: &Arc<Self>, state: &mut State, per_connection: u32) -> Free {
        if state.refused {
            return Free::Refused;
        }
        let Some(connection) = state.with_room(per_connection) else { return Free::Nothing };
        connection.active.fetch_add(1, Ordering::Relaxed);
        connection.carried.fetch_add(1, Ordering::Relaxed);
        Free::Ticket(Ticket { connection, shared: Arc::clone(self) })
    }
}

impl State {
    /// The connection with the most requests that has room for one more: few connections stay busy and the others can
    /// go.
    fn with_room(&mut self, per_connection: u32) -> Option<Arc<Connection>> {
        let mut best: Option<(usize, Arc<Connection>)> = None;
        self.connections.retain(|c| {
            let Some(streams) = c.sender.streams() else { return false };
            let active = c.active.load(Ordering::Relaxed);
            // One that has carried its share takes no more; it goes when its last request has gone.
            let spent = c.carried.load(Ordering::Relaxed) >= per_connection;
            let most = best.as_ref().is_none_or(|(most, _)| active >= *most);
            if !spent && most && active < streams.min(STREAMS) {
                best = Some((active, Arc::clone(c)));
            }
            !spent || active > 0
        });
        best.map(|(_, connection)| connection)
    }

    fn add(&mut self, sender: Http2, local: Option<SocketAddr>) {
        self.connections.push(Arc::new(Connection {
            sender,
            local,
            active: AtomicUsize::new(0),
            carried: AtomicU32::new(0),
            idle_since: Mutex::new(Instant::now()),
        }));
    }
}

impl Ticket {
    /// The connection.
    #[must_use]
    pub fn sender(&self) -> &Http2 {
        &self.connection.sender
    }

    /// This end's address.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.connection.local
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.connection.active.fetch_sub(1, Ordering::SeqCst) == 1 {
            *lock(&self.connection.idle_since) = Instant::now();
        }
        if self.shared.waiting.load(Ordering::SeqCst) > 0 {
            self.shared.changed.notify_waiters();
        }
    }
}

struct Waiting<'s>(&'s Shared);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Mux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mux({} connections)", self.len())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({:?})", self.local())
    }
}

/// Requests at once on one connection, where the peer allows more.
const STREAMS: usize = 100;
/// Connections to one endpoint. Beyond, requests wait for a place.
const MAX_CONNECTIONS: usize = 64;
/// After this time of rest a second idle connection is closed.
const SPARE: Duration = Duration::from_secs(15);
