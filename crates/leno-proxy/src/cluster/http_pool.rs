//! Idle HTTP/1.1 connections to one endpoint, the last used first.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::lock;
use crate::http::h1::Http1;

/// Idle connections.
#[derive(Default)]
pub struct Http1Pool {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    sender: Http1,
    local: Option<SocketAddr>,
    since: Instant,
    /// Requests that it may still carry.
    left: u32,
}

/// A connection on loan for one request.
pub struct Lease {
    pool: Arc<Http1Pool>,
    connection: Idle,
}

impl Http1Pool {
    /// An idle connection, if there is one that is alive.
    pub fn take(self: &Arc<Self>) -> Option<Lease> {
        let mut idle = lock(&self.idle);
        loop {
            let mut connection = idle.pop()?;
            if connection.sender.is_alive() {
                return Some(Lease { pool: Arc::clone(self), connection });
            }
        }
    }

    /// A new connection, on loan for its first request. It is closed after `per_connection` requests.
    #[must_use]
    pub fn lease(pool: &Arc<Self>, sender: Http1, local: Option<SocketAddr>, per_connection: u32) -> Lease {
        let connection = Idle { sender, local, since: Instant::now(), left: per_connection };
        Lease { pool: Arc::clone(pool), connection }
    }

    /// Keeps a new connection for the next request.
    pub fn put(&self, sender: Http1, local: Option<SocketAddr>) {
        lock(&self.idle).push(Idle { sender, local, since: Instant::now(), left: u32::MAX });
    }

    /// Idle connections.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.idle).len()
    }

    /// Whether none is idle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes those that are dead or were idle for longer than `limit`, and all but a few after [`SPARE`].
    pub fn sweep(&self, limit: Duration) {
        let now = Instant::now();
        let mut idle = lock(&self.idle);
        let mut kept = 0;
        idle.sort_by_key(|c| std::cmp::Reverse(c.since));
        idle.retain_mut(|c| {
            let rested = now.saturating_duration_since(c.since);
            let keep = c.sender.is_alive() && rested < limit && (rested < SPARE || kept < KEPT);
            kept += usize::from(keep);
            keep
        });
        idle.reverse();
        idle.shrink_to_fit();
    }
}

impl fmt::Debug for Http1Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http1Pool({} idle)", self.len())
    }
}

impl Lease {
    /// The connection.
    pub const fn sender(&mut self) -> &mut Http1 {
        &mut self.connection.sender
    }

    /// The connection, to look at.
    #[must_use]
    pub const fn connection(&self) -> &Http1 {
        &self.connection.sender
    }

    /// This end's address.
    #[must_use]
    pub const fn local(&self) -> Option<SocketAddr> {
        self.connection.local
    }

    /// The response has ended as it should: the connection can carry the next request.
    pub fn give_back(self) {
        let Self { pool, mut connection } = self;
        connection.left = connection.left.saturating_sub(1);
        if connection.left == 0 || !connection.sender.is_free() {
            return;
        }
        connection.since = Instant::now();
        let mut idle = lock(&pool.idle);
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({:?})", self.local())
    }
}

/// Idle connections kept at most.
const MAX_IDLE: usize = 256;
/// After this time of rest only [`KEPT`] connections stay.
const SPARE: Duration = Duration::from_secs(15);
/// Connections that stay until the idle timeout.
const KEPT: usize = 4;
