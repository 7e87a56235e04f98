//! Phase 6: sending it: one try after the other, until an answer is accepted or there is no more to try.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderValue, Version, request};
use leno_core::Reason;
use leno_core::decide::outlier::Outcome;
use leno_core::decide::retry::{self, Attempt, FailureKind, NoRetry, RetryFacts, Verdict};
use leno_core::model::Protocol;
use leno_core::model::route::{HttpRoute, RetryPolicy};
use leno_core::names::header;
use tokio::time::Instant;

use super::peer::{ORIG_PROTO, PEER};
use super::route::Chosen;
use crate::cluster::endpoint::Wire;
use crate::cluster::{Cluster, Endpoint};
use crate::http::body::{Request, Response};
use crate::http::client::SendError;
use crate::http::exchange::{Exchange, left};
use crate::http::heads;
use crate::http::replay::Replay;
use crate::http::reply::{Reply, is_unprocessed};
use crate::http::tunnel::Tunnel;
use crate::http::upstream::{Answer, for_http1, for_http2};
use crate::inbound::Inbound;
use crate::outbound::Outbound;

/// An accepted answer.
#[derive(Debug)]
pub struct Forwarded {
    /// For the client.
    pub response: Response,
    /// The endpoint's connection, where it switched protocols.
    pub tunnel: Option<Tunnel>,
}

/// Sends a request to an endpoint of the cluster that was chosen.
///
/// # Errors
/// Where no try got an answer that is passed on.
pub async fn to_service(
    from: &Outbound,
    chosen: &Chosen,
    exchange: &mut Exchange,
    head: &request::Parts,
    body: &Replay,
    tunnel: bool,
) -> Result<Forwarded, Reply> {
    let Some(cluster) = &chosen.cluster else { return Err(Reply::new(Reason::ClusterNotFound, "")) };
    // Delayed by a fault rule for longer than it has: it must not win against the clock.
    if left(exchange.deadline).is_some_and(|left| left.is_zero()) {
        return Err(Reply::new(Reason::Timeout, "before it was sent"));
    }
    cluster.deposit();
    let exclusive = head.version != Version::HTTP_2;
    let admitted = match left(exchange.deadline) {
        None => cluster.admission.request(exclusive).await,
        Some(limit) => tokio::time::timeout(limit, cluster.admission.request(exclusive))
            .await
            .map_err(|_| Reply::new(Reason::Timeout, "while waiting for a connection"))?,
    };
    exchange.hold(admitted.map_err(|reason| Reply::new(reason, cluster.name.to_string()))?);
    let policy = chosen.rule().and_then(|r| r.retry.as_ref());
    let mut tries = Tries { from, cluster, chosen, policy, head, body, tunnel, tried: Vec::new(), retry_permit: None };
    loop {
        match tries.next(exchange).await? {
            Step::Accept(forwarded) => return Ok(forwarded),
            Step::Again(wait) => {
                if !wait.is_zero() {
                    pause(wait, exchange).await?;
                }
            }
        }
    }
}

/// The tries of one request.
struct Tries<'r> {
    from: &'r Outbound,
    cluster: &'r Arc<Cluster>,
    chosen: &'r Chosen,
    policy: Option<&'r RetryPolicy>,
    head: &'r request::Parts,
    body: &'r Replay,
    tunnel: bool,
    tried: Vec<SocketAddr>,
    retry_permit: Option<crate::cluster::Permit>,
}

enum Step {
    Accept(Forwarded),
    /// After this wait.
    Again(Duration),
}

impl Tries<'_> {
    /// One try, and what follows from it.
    async fn next(&mut self, exchange: &mut Exchange) -> Result<Step, Reply> {
        let endpoint = self.pick().map_err(|reason| Reply::new(reason, self.cluster.name.to_string()))?;
        exchange.record.attempts += 1;
        exchange.record.destination = endpoint.peer.clone();
        exchange.record.upstream_addr = Some(endpoint.addr);
        exchange.record.mtls = endpoint.is_mutual();
        if endpoint.is_mutual() {
            exchange.record.source = self.from.path.me(true);
        }
        let busy = endpoint.busy();
        let sent = Instant::now();
        let outcome = self.send(&endpoint, exchange).await;
        let took = sent.elapsed();
        self.note(&endpoint, &outcome, took);
        let verdict = self.judge(&outcome, exchange);
        match (verdict, outcome) {
            (Verdict::Retry { at_least, at_most }, outcome) => {
                self.tried.push(endpoint.addr);
                self.retry_permit = match self.cluster.admission.retry() {
                    Ok(permit) => Some(permit),
                    Err(_) => return self.conclude(exchange, outcome, NoRetry::OverBudget, took, busy),
                };
                Ok(Step::Again(at_least.max(retry::jittered(at_most, rand::random()))))
            }
            (Verdict::No(why), outcome) => self.conclude(exchange, outcome, why, took, busy),
        }
    }

    fn pick(&self) -> Result<Arc<Endpoint>, Reason> {
        match &self.chosen.pinned {
            Some(endpoint) => Ok(Arc::clone(endpoint)),
            None => self.cluster.pick(&self.tried, self.chosen.hash),
        }
    }

    async fn send(&self, endpoint: &Arc<Endpoint>, exchange: &Exchange) -> Result<Answer, SendError> {
        let request = Request::from_parts(copy(self.head), self.body.attempt());
        let authority = match self.head.uri.authority() {
            Some(authority) => authority.as_str(),
            None => heads::text(&self.head.headers, &http::header::HOST),
        };
        let attempt = exchange.record.attempts;
        let (request, wire) = shape(self.from, self.cluster, endpoint, request, authority, self.tunnel, attempt);
        let limits = self.cluster.set().limits.clone();
        let sending = endpoint.send(self.cluster.dialer(), request, wire, &limits);
        let each = self.chosen.rule().and_then(HttpRoute::time_of_try);
        let limit = retry::try_limit(left(exchange.deadline), each);
        let Some((limit, reason)) = limit else { return sending.await };
        tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| Err(timed_out(reason, limit, endpoint.addr)))
    }

    /// What the try says of the endpoint's health.
    fn note(&self, endpoint: &Endpoint, outcome: &Result<Answer, SendError>, took: Duration) {
        let (health, latency) = match outcome {
            Ok(answer) => match answer.response.status().as_u16() {
                status @ 500.. => (Outcome::ServerError(status), Some(took)),
                _ => (Outcome::Success, Some(took)),
            },
            Err(SendError { kind: None, reason: Reason::Timeout, .. }) => (Outcome::GatewayError, Some(took)),
            // The client's own doing.
            Err(SendError { kind: None, .. }) => return,
            Err(SendError { kind: Some(FailureKind::Connect | FailureKind::ConnectTimeout), .. }) => {
                (Outcome::LocalOrigin, Some(PENALTY))
            }
            Err(_) => (Outcome::GatewayError, Some(took.max(PENALTY))),
        };
        self.cluster.note(endpoint, health, latency);
    }

    fn judge(&self, outcome: &Result<Answer, SendError>, exchange: &Exchange) -> Verdict {
        let (attempt, bytes_left) = match outcome {
            Ok(answer) => {
                let headers = answer.response.headers();
                let attempt = Attempt::Answered {
                    status: answer.response.status().as_u16(),
                    grpc_status: heads::grpc_status(headers),
                    unprocessed: exchange.record.mtls && is_unprocessed(headers),
                };
                (attempt, true)
            }
            // The client's own doing, or the whole time is over.
            Err(SendError { kind: None, .. }) => return Verdict::No(NoRetry::NotAsked),
            Err(SendError { kind: Some(kind), bytes_left, .. }) => (Attempt::Failed(*kind), *bytes_left),
        };
        let facts = RetryFacts {
            idempotent_method: retry::is_idempotent(self.head.method.as_str()),
            request_bytes_left: bytes_left,
            body_replayable: self.body.can_replay(),
            grpc: exchange.is_grpc(),
        };
        retry::should_retry(self.policy, facts, attempt, exchange.record.attempts, || self.cluster.withdraw())
    }

    /// Takes the try's outcome as the request's.
    fn conclude(
        &mut self,
        exchange: &mut Exchange,
        outcome: Result<Answer, SendError>,
        why: NoRetry,
        took: Duration,
        busy: crate::cluster::endpoint::Busy,
    ) -> Result<Step, Reply> {
        self.body.commit();
        let exhausted = why == NoRetry::Exhausted && exchange.record.attempts > 1;
        match outcome {
            Ok(Answer { response, tunnel, local }) => {
                exchange.hold_busy(busy);
                exchange.record.upstream_time = Some(took);
                exchange.record.upstream_local = local;
                if exhausted {
                    exchange.record.reason = Reason::RetriesExhausted;
                }
                Ok(Step::Accept(Forwarded { response, tunnel }))
            }
            Err(error) => {
                let tries = exchange.record.attempts;
                let detail = if tries > 1 { format!("{} (after {tries} tries)", error.detail) } else { error.detail };
                // What went wrong with the last try says more than that it was the last.
                let mut reply = Reply::new(error.reason, detail);
                reply.grpc_status = (error.reason == Reason::PerTryTimeout).then_some(4);
                Err(reply)
            }
        }
    }
}

/// Gives a request the form that its endpoint wants, and the headers that sidecars and applications expect.
#[must_use]
pub fn shape(
    from: &Outbound,
    cluster: &Cluster,
    endpoint: &Endpoint,
    mut request: Request,
    authority: &str,
    tunnel: bool,
    attempt: u32,
) -> (Request, Wire) {
    let native =
        request.version() == Version::HTTP_2 || matches!(cluster.set().protocol, Protocol::Http2 | Protocol::Grpc);
    request.headers_mut().insert(ATTEMPT, HeaderValue::from(attempt));
    if tunnel {
        if endpoint.is_mutual() {
            request.headers_mut().insert(PEER, from.path.me_header());
        }
        return (for_http1(request, endpoint.addr), Wire::Tunnel);
    }
    if endpoint.is_mutual() {
        request.headers_mut().insert(PEER, from.path.me_header());
        if !native {
            request.headers_mut().insert(ORIG_PROTO, HeaderValue::from_static("HTTP/1.1"));
        }
        return (for_http2(request, authority, endpoint.addr), Wire::Http2);
    }
    if native {
        return (for_http2(request, authority, endpoint.addr), Wire::Http2);
    }
    (for_http1(request, endpoint.addr), Wire::Http1)
}

/// Sends a request to this pod's application. It is repeated only where the application cannot have seen it: a
/// connection of the pool that turned out to be closed.
///
/// # Errors
/// Where the application does not answer.
pub async fn to_app(
    from: &Inbound,
    exchange: &mut Exchange,
    head: &request::Parts,
    body: &Replay,
    native: bool,
    tunnel: bool,
) -> Result<Forwarded, Reply> {
    let cluster = &from.cluster;
    cluster.deposit();
    let endpoint = cluster.pick(&[], None).map_err(|reason| Reply::new(reason, ""))?;
    exchange.hold_busy(endpoint.busy());
    exchange.record.upstream_cluster = Arc::clone(&cluster.name);
    exchange.record.upstream_addr = Some(endpoint.addr);
    let limits = cluster.set().limits.clone();
    let sent = Instant::now();
    loop {
        exchange.record.attempts += 1;
        let request = Request::from_parts(copy(head), body.attempt());
        let named = head.uri.authority().map(ToString::to_string);
        let authority = named.unwrap_or_else(|| heads::text(&head.headers, &http::header::HOST).to_owned());
        let (request, wire) = match (tunnel, native) {
            (true, _) => (for_http1(request, endpoint.addr), Wire::Tunnel),
            (false, true) => (for_http2(request, &authority, endpoint.addr), Wire::Http2),
            (false, false) => (for_http1(request, endpoint.addr), Wire::Http1),
        };
        match endpoint.send(cluster.dialer(), request, wire, &limits).await {
            Ok(Answer { response, tunnel, local }) => {
                body.commit();
                exchange.record.upstream_time = Some(sent.elapsed());
                exchange.record.upstream_local = local;
                return Ok(Forwarded { response, tunnel });
            }
            Err(error) => {
                let again = exchange.record.attempts <= STALE_TRIES && is_safe(&error, head) && body.can_replay();
                if !again {
                    return Err(app_failed(error));
                }
            }
        }
    }
}

/// Whether the application behind this proxy cannot have seen the request, or does not mind.
fn is_safe(error: &SendError, head: &request::Parts) -> bool {
    match error.kind {
        Some(FailureKind::ResetBeforeRequest | FailureKind::RefusedStream) => true,
        // A connection that the application closed while it was idle looks like this. It may also have crashed over the
        // request, so only what may be repeated is; on a fresh connection it is the client's proxy that decides.
        Some(FailureKind::ResetBeforeResponse) => {
            !error.bytes_left || error.stale && retry::is_idempotent(head.method.as_str())
        }
        Some(FailureKind::Connect | FailureKind::ConnectTimeout | FailureKind::PerTryTimeout) | None => false,
    }
}

fn app_failed(error: SendError) -> Reply {
    let reason = match error.kind {
        Some(FailureKind::Connect | FailureKind::ConnectTimeout) => Reason::AppUnreachable,
        _ => error.reason,
    };
    Reply::new(reason, error.detail)
}

fn timed_out(reason: Reason, limit: Duration, addr: SocketAddr) -> SendError {
    // The whole time being over is no failure of the try: nothing follows it.
    let kind = (reason == Reason::PerTryTimeout).then_some(FailureKind::PerTryTimeout);
    let detail = format!("{addr} did not answer within {} ms", limit.as_millis());
    SendError { reason, kind, bytes_left: true, stale: false, detail }
}

async fn pause(wait: Duration, exchange: &Exchange) -> Result<(), Reply> {
    match left(exchange.deadline) {
        Some(limit) if limit <= wait => {
            tokio::time::sleep(limit).await;
            Err(Reply::new(Reason::Timeout, "while waiting to retry"))
        }
        _ => {
            tokio::time::sleep(wait).await;
            Ok(())
        }
    }
}

/// A head for one try; the original stays for the next.
fn copy(head: &request::Parts) -> request::Parts {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = head.method.clone();
    parts.uri = head.uri.clone();
    parts.version = head.version;
    parts.headers = head.headers.clone();
    parts
}

const ATTEMPT: HeaderName = HeaderName::from_static(header::ATTEMPT);
/// What a failure weighs in an endpoint's latency: it must not look fast because it fails fast.
const PENALTY: Duration = Duration::from_secs(1);
/// Fresh connections tried towards the application after a stale one.
const STALE_TRIES: u32 = 2;
