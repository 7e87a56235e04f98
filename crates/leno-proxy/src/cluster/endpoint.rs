//! One endpoint: where it is, who it must be, how fast it answers, and the connections to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leno_core::decide::balance::PeakEwma;
use leno_core::model::Workload;
use leno_core::names::alpn;

use super::admission::Limits;
use super::http_pool::Http1Pool;
use super::lock;
use super::mux::{Mux, Opened};
use crate::http::client::{Dispatch, SendError};
use crate::http::h1::Http1;
use crate::http::h2;
use crate::http::upstream::{self, Answer};
use crate::identity::Alpn;
use crate::tcp::splice::Io;
use crate::telemetry::PeerInfo;
use crate::tls::{DialError, Dialer, Security};

/// What an endpoint is.
#[derive(Debug)]
pub struct Spec {
    /// Its address.
    pub addr: SocketAddr,
    /// The pod, where it is one of the mesh.
    pub workload: Option<Arc<Workload>>,
    /// How to be sure of it.
    pub security: Security,
}

/// One endpoint with everything remembered about it.
#[derive(Debug)]
pub struct Endpoint {
    /// Its address.
    pub addr: SocketAddr,
    /// Who it is, for records. The identity is the one that every connection to it must prove.
    pub peer: PeerInfo,
    /// How to be sure of it.
    pub security: Security,
    latency: Mutex<PeakEwma>,
    outstanding: AtomicUsize,
    http1: Arc<Http1Pool>,
    mux: Mux,
}

/// How a request is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1, a connection for each request.
    Http1,
    /// HTTP/2, many requests on one connection.
    Http2,
    /// HTTP/1.1 on a connection of its own, which then becomes a tunnel.
    Tunnel,
}

impl Wire {
    /// For a request that leaves HTTP, or one that is carried by HTTP/2.
    #[must_use]
    pub const fn of(tunnel: bool, http2: bool) -> Self {
        match (tunnel, http2) {
            (true, _) => Self::Tunnel,
            (false, true) => Self::Http2,
            (false, false) => Self::Http1,
        }
    }
}

impl Endpoint {
    /// An endpoint not used yet.
    #[must_use]
    pub fn new(spec: Spec, now: Duration) -> Self {
        let principal = match &spec.security {
            Security::Plain => None,
            Security::Mutual { .. } => spec.workload.as_ref().and_then(|w| w.identity.clone()).map(Arc::new),
        };
        Self {
            addr: spec.addr,
            peer: PeerInfo { workload: spec.workload, principal },
            security: spec.security,
            latency: Mutex::new(PeakEwma::new(now)),
            outstanding: AtomicUsize::new(0),
            http1: Arc::default(),
            mux: Mux::default(),
        }
    }

    /// Whether `workload` behind `security` is this endpoint still.
    #[must_use]
    pub fn is_same(&self, workload: &Arc<Workload>, security: &Security) -> bool {
        let same_pod = self.peer.workload.as_ref().is_some_and(|w| Arc::ptr_eq(w, workload) || **w == **workload);
        same_pod && self.security == *security
    }

    /// Whether connections to it are mutual TLS.
    #[must_use]
    pub const fn is_mutual(&self) -> bool {
        matches!(self.security, Security::Mutual { .. })
    }

    /// How loaded it is; comparable between endpoints at the same `now`.
    #[must_use]
    pub fn load(&self, now: Duration) -> f64 {
        lock(&self.latency).load(now, self.outstanding.load(Ordering::Relaxed))
    }

    /// Notes how long an answer took.
    pub fn record(&self, took: Duration, now: Duration) {
        lock(&self.latency).record(took, now);
    }

    /// Counts one more in flight until the guard goes.
    #[must_use]
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Requests and connections in flight.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// Idle HTTP/1 connections and HTTP/2 connections.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        (self.http1.len(), self.mux.len())
    }

    /// Sends a request; the answer's body is bound to its connection.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        self: &Arc<Self>,
        dialer: &Dialer,
        request: &mut Dispatch,
        wire: Wire,
        limits: &Limits,
    ) -> Result<Answer, SendError> {
        match (wire, &self.security) {
            // What is rare is on the heap, so that what is not has a small future.
            (Wire::Tunnel, _) => Box::pin(self.send_tunnel(dialer, request, limits)).await,
            (Wire::Http1, Security::Plain) => self.send_http1(dialer, request, limits).await,
            (Wire::Http2, Security::Plain) | (Wire::Http1 | Wire::Http2, Security::Mutual { .. }) => {
                self.send_http2(dialer, request, limits).await
            }
        }
    }

    /// An opaque connection, mutual TLS where the endpoint is meshed.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn connect(&self, dialer: &Dialer, limit: Duration) -> Result<Box<dyn Io>, DialError> {
        match &self.security {
            Security::Plain => Ok(Box::new(dialer.plain(self.addr, limit).await?)),
            Security::Mutual { expected, sni } => {
                Ok(Box::new(dialer.mutual(self.addr, expected, sni, OPAQUE, limit).await?.0))
            }
        }
    }

    /// Closes connections that were idle for longer than `idle`, and most of the others: a few are enough to start with.
    pub fn sweep(&self, idle: Duration) {
        self.http1.sweep(idle);
        self.mux.sweep(idle);
    }

    async fn send_http1(&self, dialer: &Dialer, request: &mut Dispatch, limits: &Limits) -> Result<Answer, SendError> {
        // What an idle connection did not take, because the endpoint closed it meanwhile, the next one may; a new one is the
        // last try.
        while let Some(mut lease) = self.http1.take() {
            match lease.sender().send(request).await {
                Ok(response) => return Ok(Answer::on_http1(response, lease)),
                Err(_) if !request.left => {}
                Err(error) => return Err(error),
            }
        }
        let (io, local) = Box::pin(self.connect_http1(dialer, limits.connect_timeout)).await?;
        let mut lease = Http1Pool::lease(&self.http1, Http1::new(io), local, limits.per_connection);
        let response = lease.sender().send(request).await?;
        Ok(Answer::on_http1(response, lease))
    }

    async fn send_http2(
        self: &Arc<Self>,
        dialer: &Dialer,
        request: &mut Dispatch,
        limits: &Limits,
    ) -> Result<Answer, SendError> {
        let open = || {
            let (endpoint, dialer, limit) = (Arc::clone(self), dialer.clone(), limits.connect_timeout);
            async move { endpoint.open_http2(&dialer, limit).await }
        };
        let mut tries = 0;
        loop {
            let Some(ticket) = self.mux.ticket(open, limits.per_connection).await? else {
                return Box::pin(self.send_foreign(dialer, request, limits)).await;
            };
            tries += 1;
            match ticket.sender().send(request).await {
                Ok(response) => return Ok(Answer::on_http2(response, ticket)),
                // The peer said GOAWAY: the connection takes no more requests, the next one will.
                Err(_) if !request.left && tries < UNSENT_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens a connection that carries many requests. [`Opened::Refused`]: the peer's sidecar speaks HTTP/1.1 only.
    async fn open_http2(&self, dialer: &Dialer, limit: Duration) -> Result<Opened, SendError> {
        match &self.security {
            Security::Plain => {
                let stream = dialer.plain(self.addr, limit).await?;
                let local = stream.local_addr().ok();
                Ok(Opened::Http2(h2::connect(Box::new(stream)), local))
            }
            Security::Mutual { expected, sni } => {
                let (stream, session) = dialer.mutual(self.addr, expected, sni, REQUESTS, limit).await?;
                let local = stream.get_ref().local_addr().ok();
                if session.alpn == alpn::H2 || session.alpn == b"h2" {
                    return Ok(Opened::Http2(h2::connect(Box::new(stream)), local));
                }
                self.http1.put(Http1::new(Box::new(stream)), local);
                Ok(Opened::Refused)
            }
        }
    }

    /// HTTP/1.1 over mutual TLS, to a sidecar that does not multiplex.
    async fn send_foreign(
        &self,
        dialer: &Dialer,
        request: &mut Dispatch,
        limits: &Limits,
    ) -> Result<Answer, SendError> {
        upstream::shape(&mut request.head, Wire::Http1, self.addr);
        self.send_http1(dialer, request, limits).await
    }

    async fn send_tunnel(&self, dialer: &Dialer, request: &mut Dispatch, limits: &Limits) -> Result<Answer, SendError> {
        let (io, local) = self.connect_http1(dialer, limits.connect_timeout).await?;
        let mut sender = Http1::new(io);
        let connect = request.head.method == http::Method::CONNECT;
        let head = sender.send(request).await?;
        let status = head.status;
        let switched = status == http::StatusCode::SWITCHING_PROTOCOLS || (connect && status.is_success());
        // Used once: it is never given back to the pool.
        Ok(Answer::on_own_connection(head, sender, local, switched))
    }

    async fn connect_http1(
        &self,
        dialer: &Dialer,
        limit: Duration,
    ) -> Result<(Box<dyn Io>, Option<SocketAddr>), DialError> {
        match &self.security {
            Security::Plain => {
                let stream = dialer.plain(self.addr, limit).await?;
                let local = stream.local_addr().ok();
                Ok((Box::new(stream), local))
            }
            Security::Mutual { expected, sni } => {
                let (stream, _) = dialer.mutual(self.addr, expected, sni, ONE_REQUEST, limit).await?;
                let local = stream.get_ref().local_addr().ok();
                Ok((Box::new(stream), local))
            }
        }
    }
}

/// One in flight.
#[derive(Debug)]
pub struct Busy(Arc<Endpoint>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For requests, many on one connection; what a foreign sidecar without Leno's protocol understands comes last.
const REQUESTS: Alpn = &[alpn::H2, b"h2", alpn::HTTP_1_1];
/// For a request that becomes a tunnel, and towards sidecars that do not multiplex.
const ONE_REQUEST: Alpn = &[alpn::HTTP_1_1, b"http/1.1"];
/// For opaque connections.
const OPAQUE: Alpn = &[alpn::TCP];
/// Connections tried with a request that keeps coming back unsent.
const UNSENT_TRIES: u32 = 4;
