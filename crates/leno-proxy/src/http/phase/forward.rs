//! Phase 6: sending it: one try after the other, until an answer is accepted or there is no more to try.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderValue, Version};
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
use crate::cluster::{Admitted, Cluster, Endpoint, EndpointSet};
use crate::datapath::Me;
use crate::http::body::{Head, Response};
use crate::http::client::{Dispatch, SendError};
use crate::http::exchange::{Exchange, left};
use crate::http::heads;
use crate::http::replay::Replay;
use crate::http::reply::{Reply, is_unprocessed};
use crate::http::tunnel::Tunnel;
use crate::http::upstream::{self, Answer};
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
    request: &mut Dispatch,
    body: &Replay,
    tunnel: bool,
) -> Result<Forwarded, Reply> {
    let Some(cluster) = &chosen.cluster else { return Err(Reply::new(Reason::ClusterNotFound, "")) };
    let now = exchange.now();
    // Delayed by a fault rule for longer than it has: it must not win against the clock.
    if exchange.deadline.is_some_and(|deadline| deadline <= now) {
        return Err(Reply::new(Reason::Timeout, "before it was sent"));
    }
    cluster.deposit(now);
    let version = request.head.version;
    let exclusive = version != Version::HTTP_2;
    let admitted =
        cluster.admission.request(exclusive).map_err(|reason| Reply::new(reason, cluster.name.to_string()))?;
    let (permit, now) = match admitted {
        Admitted::Now(permit) => (permit, now),
        Admitted::Queued(queue) => {
            let permit = Box::pin(within(exchange.deadline, queue.turn())).await;
            let permit = permit.ok_or_else(|| Reply::new(Reason::Timeout, "while waiting for a connection"))?;
            (permit, Instant::now())
        }
    };
    exchange.hold(permit);
    let policy = chosen.rule().and_then(|r| r.retry.as_ref());
    let (named, tried, retry_permit) = (true, Vec::new(), None);
    let mut tries = Tries { from, cluster, chosen, policy, request, version, named, body, tunnel, tried, retry_permit };
    let mut now = now;
    loop {
        match tries.next(exchange, now).await? {
            Step::Accept(forwarded) => return Ok(forwarded),
            Step::Again(wait) => {
                if !wait.is_zero() {
                    Box::pin(pause(wait, exchange.deadline)).await?;
                }
                now = Instant::now();
            }
        }
    }
}

/// `None` where the deadline came first.
async fn within<T>(deadline: Option<Instant>, waiting: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(waiting.await),
        Some(deadline) => tokio::time::timeout_at(deadline, waiting).await.ok(),
    }
}

/// The tries of one request.
struct Tries<'r> {
    from: &'r Outbound,
    cluster: &'r Arc<Cluster>,
    chosen: &'r Chosen,
    policy: Option<&'r RetryPolicy>,
    /// Shaped anew for each try.
    request: &'r mut Dispatch,
    /// What the client spoke.
    version: Version,
    /// The client named a host. If not, each endpoint is called by its address.
    named: bool,
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
    async fn next(&mut self, exchange: &mut Exchange, now: Instant) -> Result<Step, Reply> {
        let set = self.cluster.current();
        let endpoint = self.pick(&set, now).map_err(|reason| Reply::new(reason, self.cluster.name.to_string()))?;
        exchange.record.attempts += 1;
        exchange.record.destination = endpoint.peer.clone();
        exchange.record.upstream_addr = Some(endpoint.addr);
        exchange.record.mtls = endpoint.is_mutual();
        let me = endpoint.is_mutual().then(|| self.from.path.me());
        if let Some(me) = &me {
            exchange.record.source = me.proven.clone();
        }
        let busy = endpoint.busy();
        let outcome = self.send(&set, &endpoint, me.as_deref(), exchange, now).await;
        let ended = Instant::now();
        let took = ended.saturating_duration_since(now);
        self.note(&endpoint, &outcome, took, ended);
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

    fn pick(&self, set: &EndpointSet, now: Instant) -> Result<Arc<Endpoint>, Reason> {
        match &self.chosen.pinned {
            Some(endpoint) => Ok(Arc::clone(endpoint)),
            None => self.cluster.pick(set, &self.tried, self.chosen.hash, now),
        }
    }

    async fn send(
        &mut self,
        set: &EndpointSet,
        endpoint: &Arc<Endpoint>,
        me: Option<&Me>,
        exchange: &mut Exchange,
        now: Instant,
    ) -> Result<Answer, SendError> {
        let head = &mut self.request.head;
        head.version = self.version;
        if !self.named {
            heads::forget_host(head);
        }
        let (wire, named) = shape(set, endpoint, me, head, self.tunnel, exchange.record.attempts);
        self.named = named;
        self.request.body = self.body.attempt();
        self.request.left = false;
        let sending = self.cluster.send(endpoint, self.request, wire, &set.limits);
        let each = self.chosen.rule().and_then(HttpRoute::time_of_try);
        let limit = retry::try_limit(exchange.deadline.map(|d| d.saturating_duration_since(now)), each);
        let Some((limit, reason)) = limit else { return sending.await };
        tokio::time::timeout_at(now + limit, sending)
            .await
            .unwrap_or_else(|_| Err(timed_out(reason, limit, endpoint.addr)))
    }

    /// What the try says of the endpoint's health.
    fn note(&self, endpoint: &Endpoint, outcome: &Result<Answer, SendError>, took: Duration, now: Instant) {
        let (health, latency) = match outcome {
            Ok(answer) => match answer.response.head.status.as_u16() {
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
        self.cluster.note(endpoint, health, latency, now);
    }

    fn judge(&self, outcome: &Result<Answer, SendError>, exchange: &Exchange) -> Verdict {
        let (attempt, bytes_left) = match outcome {
            Ok(answer) => {
                let headers = &answer.response.head.headers;
                let attempt = Attempt::Answered {
                    status: answer.response.head.status.as_u16(),
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
            idempotent_method: retry::is_idempotent(self.request.head.method.as_str()),
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

/// Gives a request the form that its endpoint wants, and the headers that sidecars and applications expect. `me`: this pod, where
/// the connection is mutual TLS. Says too whether the client named a host; if not, it is the endpoint's address now.
#[must_use]
pub fn shape(
    set: &EndpointSet,
    endpoint: &Endpoint,
    me: Option<&Me>,
    head: &mut Head,
    tunnel: bool,
    attempt: u32,
) -> (Wire, bool) {
    let native = head.version == Version::HTTP_2 || matches!(set.protocol, Protocol::Http2 | Protocol::Grpc);
    let mutual = me.is_some();
    head.headers.insert(ATTEMPT, attempt_value(attempt));
    if let Some(me) = me {
        head.headers.insert(PEER, me.header.clone());
    }
    if mutual && !native && !tunnel {
        head.headers.insert(ORIG_PROTO, HeaderValue::from_static("HTTP/1.1"));
    }
    if attempt > 1 && !mutual {
        // Said to the endpoint before; this one is no sidecar.
        head.headers.remove(PEER);
        head.headers.remove(ORIG_PROTO);
    }
    let wire = Wire::of(tunnel, mutual || native);
    (wire, upstream::shape(head, wire, endpoint.addr))
}

/// Sends a request to this pod's application. It is repeated only where the application cannot have seen it: a
/// connection of the pool that turned out to be closed.
///
/// # Errors
/// Where the application does not answer.
pub async fn to_app(
    from: &Inbound,
    exchange: &mut Exchange,
    request: &mut Dispatch,
    body: &Replay,
    native: bool,
    tunnel: bool,
) -> Result<Forwarded, Reply> {
    let cluster = &from.cluster;
    let sent = exchange.now();
    cluster.deposit(sent);
    let set = cluster.current();
    let endpoint = cluster.pick(&set, &[], None, sent).map_err(|reason| Reply::new(reason, ""))?;
    exchange.hold_busy(endpoint.busy());
    exchange.record.upstream_cluster = Arc::clone(&cluster.name);
    exchange.record.upstream_addr = Some(endpoint.addr);
    let wire = Wire::of(tunnel, native);
    upstream::shape(&mut request.head, wire, endpoint.addr);
    loop {
        exchange.record.attempts += 1;
        request.body = body.attempt();
        request.left = false;
        match cluster.send(&endpoint, request, wire, &set.limits).await {
            Ok(Answer { response, tunnel, local }) => {
                body.commit();
                exchange.record.upstream_time = Some(sent.elapsed());
                exchange.record.upstream_local = local;
                return Ok(Forwarded { response, tunnel });
            }
            Err(error) => {
                let again = exchange.record.attempts <= REPEATS && is_safe(&error, &request.head) && body.can_replay();
                if !again {
                    return Err(app_failed(error));
                }
            }
        }
    }
}

/// Whether the application behind this proxy cannot have seen the request, or does not mind.
fn is_safe(error: &SendError, head: &Head) -> bool {
    match error.kind {
        Some(FailureKind::ResetBeforeRequest | FailureKind::RefusedStream) => true,
        // The application closed the connection while it was idle, or because it ends (RFC 9112, section 9.3.1). A server can
        // close one side, read on, and then the other, so only what may be repeated is. Where it has read the request it is
        // the client's proxy that decides: its tries are counted.
        Some(FailureKind::ResetBeforeResponse) => {
            !error.bytes_left || error.unread && retry::is_idempotent(head.method.as_str())
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
    SendError { reason, kind, bytes_left: true, unread: false, detail }
}

async fn pause(wait: Duration, deadline: Option<Instant>) -> Result<(), Reply> {
    match left(deadline) {
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

/// The number of a try.
fn attempt_value(attempt: u32) -> HeaderValue {
    if attempt == 1 { HeaderValue::from_static("1") } else { HeaderValue::from(attempt) }
}

const ATTEMPT: HeaderName = HeaderName::from_static(header::ATTEMPT);
/// What a failure weighs in an endpoint's latency: it must not look fast because it fails fast.
const PENALTY: Duration = Duration::from_secs(1);
/// Times that a request is sent to the application again, after its connection was closed.
const REPEATS: u32 = 2;
