//! The circuit breaker: how many requests a backend gets at once, and how many wait for their turn.
//!
//! Requests of HTTP/1 clients share connections between sidecars, so Istio's limits on connections are kept in their
//! meaning: each such request counts as the connection that it would have needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use leno_core::Reason;
use leno_core::model::traffic::ConnectionPool;
use tokio::sync::Notify;

/// Limits and times of one cluster, with Istio's defaults where a rule says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections (requests of HTTP/1 clients, and opaque connections).
    pub connections: u32,
    /// Requests waiting for a connection.
    pub pending: u32,
    /// Requests in flight.
    pub requests: u32,
    /// Retries in flight.
    pub retries: u32,
    /// Requests on one connection; `u32::MAX` = no limit.
    pub per_connection: u32,
    /// Time to connect, the TLS handshake included; 10 s.
    pub connect_timeout: Duration,
    /// Idle time of HTTP connections; 1 h.
    pub http_idle: Duration,
    /// Idle time of opaque connections; 1 h.
    pub tcp_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: u32::MAX,
            pending: u32::MAX,
            requests: u32::MAX,
            retries: u32::MAX,
            per_connection: u32::MAX,
            connect_timeout: Duration::from_secs(10),
            http_idle: HOUR,
            tcp_idle: HOUR,
        }
    }
}

impl Limits {
    /// A rule's limits. 0 means no limit where Istio reads it so.
    #[must_use]
    pub fn of(pool: Option<&ConnectionPool>) -> Self {
        let default = Self::default();
        let Some(pool) = pool else { return default };
        let limit = |v: Option<u32>| v.filter(|n| *n > 0).unwrap_or(u32::MAX);
        Self {
            connections: limit(pool.max_connections),
            pending: limit(pool.http1_max_pending),
            requests: limit(pool.http2_max_requests),
            retries: limit(pool.max_retries),
            per_connection: limit(pool.max_requests_per_connection),
            connect_timeout: pool.connect_timeout.unwrap_or(default.connect_timeout),
            http_idle: pool.http_idle_timeout.unwrap_or(default.http_idle),
            tcp_idle: pool.tcp_idle_timeout.filter(|t| !t.is_zero()).unwrap_or(default.tcp_idle),
        }
    }
}

/// What a request is told that asks for a place.
#[derive(Debug)]
pub enum Admitted<'a> {
    /// It has one.
    Now(Permit),
    /// Connections are the limit, and the queue was not full.
    Queued(Queue<'a>),
}

/// A place in the queue; dropped, the request has given up.
#[derive(Debug)]
pub struct Queue<'a> {
    admission: &'a Admission,
    permit: Permit,
    queued: Queued<'a>,
}

impl Queue<'_> {
    /// Waits for its turn.
    pub async fn turn(self) -> Permit {
        let Self { admission, mut permit, queued } = self;
        loop {
            let freed = queued.0.freed.notified();
            if take(&queued.0.connections, &admission.most.connections) {
                permit.held = Held::Both;
                return permit;
            }
            freed.await;
        }
    }
}

/// Counts of one cluster beside its limits.
#[derive(Debug)]
pub struct Admission {
    most: Most,
    counts: Arc<Counts>,
}

/// The limits of [`Limits`] on counts. Each is read by itself: a change of several need not be seen at once.
#[derive(Debug, Default)]
struct Most {
    connections: AtomicU32,
    requests: AtomicU32,
    retries: AtomicU32,
    pending: AtomicU32,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU32,
    requests: AtomicU32,
    retries: AtomicU32,
    pending: AtomicU32,
    waiting: AtomicUsize,
    freed: Notify,
}

/// What a permit was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Connection,
    Request,
    Both,
    Retry,
}

/// A place in the cluster; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    counts: Arc<Counts>,
    held: Held,
}

impl Admission {
    /// Starts with nothing in flight.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let admission = Self { most: Most::default(), counts: Arc::default() };
        admission.configure(limits);
        admission
    }

    /// Takes over changed limits.
    pub fn configure(&self, limits: &Limits) {
        let most = &self.most;
        most.connections.store(limits.connections, Ordering::SeqCst);
        most.requests.store(limits.requests, Ordering::SeqCst);
        most.retries.store(limits.retries, Ordering::SeqCst);
        most.pending.store(limits.pending, Ordering::SeqCst);
        // There may be room now.
        self.counts.freed.notify_waiters();
    }

    /// A place for a request; `exclusive` ones would need a connection of their own (HTTP/1).
    ///
    /// # Errors
    /// [`Reason::Overflow`].
    pub fn request(&self, exclusive: bool) -> Result<Admitted<'_>, Reason> {
        let Self { most, counts } = self;
        if !take(&counts.requests, &most.requests) {
            return Err(Reason::Overflow);
        }
        let mut permit = Permit { counts: Arc::clone(counts), held: Held::Request };
        if !exclusive {
            return Ok(Admitted::Now(permit));
        }
        if take(&counts.connections, &most.connections) {
            permit.held = Held::Both;
            return Ok(Admitted::Now(permit));
        }
        if !take(&counts.pending, &most.pending) {
            return Err(Reason::Overflow);
        }
        Ok(Admitted::Queued(Queue { admission: self, permit, queued: Queued::new(counts) }))
    }

    /// A place for an opaque connection.
    ///
    /// # Errors
    /// [`Reason::Overflow`].
    pub fn connection(&self) -> Result<Permit, Reason> {
        self.take_one(Held::Connection)
    }

    /// A place for a retry.
    ///
    /// # Errors
    /// [`Reason::Overflow`].
    pub fn retry(&self) -> Result<Permit, Reason> {
        self.take_one(Held::Retry)
    }

    /// Requests in flight.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.counts.requests.load(Ordering::SeqCst)
    }

    fn take_one(&self, held: Held) -> Result<Permit, Reason> {
        let (count, most) = match held {
            Held::Retry => (&self.counts.retries, &self.most.retries),
            Held::Connection | Held::Request | Held::Both => (&self.counts.connections, &self.most.connections),
        };
        if take(count, most) { Ok(Permit { counts: Arc::clone(&self.counts), held }) } else { Err(Reason::Overflow) }
    }
}

/// A request in the queue; leaves it when it is dropped, served or not.
#[derive(Debug)]
struct Queued<'c>(&'c Counts);

impl<'c> Queued<'c> {
    fn new(counts: &'c Counts) -> Self {
        counts.waiting.fetch_add(1, Ordering::SeqCst);
        Self(counts)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::SeqCst);
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let one = |count: &AtomicU32| count.fetch_sub(1, Ordering::SeqCst);
        match self.held {
            Held::Connection => one(&self.counts.connections),
            Held::Request => one(&self.counts.requests),
            Held::Retry => one(&self.counts.retries),
            Held::Both => {
                one(&self.counts.requests);
                one(&self.counts.connections)
            }
        };
        if self.counts.waiting.load(Ordering::SeqCst) > 0 {
            // All of them look again: which one was woken may have given up meanwhile.
            self.counts.freed.notify_waiters();
        }
    }
}

fn take(count: &AtomicU32, most: &AtomicU32) -> bool {
    let limit = most.load(Ordering::SeqCst);
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < limit).then_some(n + 1)).is_ok()
}

const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
