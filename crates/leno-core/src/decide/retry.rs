//! Whether a failed try is repeated, and when.

mod budget;

use std::time::Duration;

use crate::Reason;
use crate::model::route::RetryPolicy;

pub use budget::RetryBudget;

/// Retries after the first try where no rule asks for any (Istio's default).
pub const DEFAULT_ATTEMPTS: u32 = 2;
/// Base of the back-off (Envoy's).
pub const DEFAULT_BACKOFF: Duration = Duration::from_millis(25);

/// What is known of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryFacts {
    /// Whether repeating the method does no harm (see [`is_idempotent`]).
    pub idempotent_method: bool,
    /// Whether any byte of the request was written to the endpoint in this try.
    pub request_bytes_left: bool,
    /// Whether the whole body can be sent again (none, or still buffered).
    pub body_replayable: bool,
    /// Whether the request is gRPC (`content-type: application/grpc*`).
    pub grpc: bool,
}

/// How one try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The endpoint answered; its response is not yet passed on.
    Answered {
        /// HTTP status.
        status: u16,
        /// `grpc-status` of a response that has it in its headers.
        grpc_status: Option<u32>,
        /// The peer's sidecar says that the application never saw the request.
        unprocessed: bool,
    },
    /// There was no answer.
    Failed(FailureKind),
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Connecting failed: refused, unreachable, or the TLS handshake failed.
    Connect,
    /// Connecting took too long.
    ConnectTimeout,
    /// HTTP/2 `REFUSED_STREAM`, or a stream above the last one of a GOAWAY: not processed.
    RefusedStream,
    /// The connection ended before the request's head was sent whole.
    ResetBeforeRequest,
    /// The connection or stream ended before the response's head came.
    ResetBeforeResponse,
    /// The try took longer than `perTryTimeout`.
    PerTryTimeout,
}

/// Whether a try is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Repeat it, on another endpoint where there is one.
    Retry {
        /// Wait at least this.
        at_least: Duration,
        /// And else between zero and this (full jitter): see [`jittered`].
        at_most: Duration,
    },
    /// Do not.
    No(NoRetry),
}

/// Why a try is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoRetry {
    /// The try did not fail.
    Success,
    /// It failed in a way that is not retried.
    NotAsked,
    /// The rule turned retries off.
    Disabled,
    /// All tries are used up: [`crate::Reason::RetriesExhausted`].
    Exhausted,
    /// Its bytes left and its method must not be repeated by default.
    NotIdempotent,
    /// Its body is gone.
    NotReplayable,
    /// Too many retries beside too few requests.
    OverBudget,
}

/// Methods that may be repeated without harm (RFC 9110, section 9.2.2).
#[must_use]
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// Judges one try; `tries_done` counts tries so far, this one included.
///
/// A rule's policy holds for every method as it asks, without a budget. Where no rule asks: [`DEFAULT_ATTEMPTS`] retries
/// on connect failures, refused streams, gRPC `unavailable` and `cancelled` and resets, under `budget_allows` (call
/// [`RetryBudget::withdraw`] there; it is asked last, and only if all else says yes), and never of a request whose bytes
/// left and whose method is not idempotent. Under either, a request that no application can have seen goes to another
/// endpoint, unless retries are turned off.
#[must_use]
pub fn should_retry(
    policy: Option<&RetryPolicy>,
    facts: RetryFacts,
    attempt: Attempt,
    tries_done: u32,
    budget_allows: impl FnOnce() -> bool,
) -> Verdict {
    if policy.is_some_and(|p| p.attempts == 0) {
        return Verdict::No(if failed(facts, attempt) { NoRetry::Disabled } else { NoRetry::Success });
    }
    let unseen = never_seen(facts, attempt);
    let asked = unseen || policy.map_or_else(|| asked_by_default(facts, attempt), |p| asked_by(p, facts, attempt));
    let attempts = policy.map_or(DEFAULT_ATTEMPTS, |p| p.attempts);
    let refusal = if !asked {
        Some(if failed(facts, attempt) { NoRetry::NotAsked } else { NoRetry::Success })
    } else if policy.is_none() && !unseen && !facts.idempotent_method {
        Some(NoRetry::NotIdempotent)
    } else if !facts.body_replayable {
        Some(NoRetry::NotReplayable)
    } else if tries_done > attempts {
        Some(NoRetry::Exhausted)
    } else if policy.is_none() && !budget_allows() {
        Some(NoRetry::OverBudget)
    } else {
        None
    };
    let at_least = policy.map_or(Duration::ZERO, |p| p.least_backoff);
    match refusal {
        Some(why) => Verdict::No(why),
        // Another endpoint can be tried at once, the first time: waiting helps only the one that failed.
        None if unseen && tries_done <= 1 => Verdict::Retry { at_least, at_most: Duration::ZERO },
        None => {
            let base = policy.map_or(DEFAULT_BACKOFF, |p| p.backoff);
            Verdict::Retry { at_least, at_most: backoff_limit(base, tries_done) }
        }
    }
}

/// The time that a try has, and what it is when that runs out: what is left of the whole, or the rule's time for each try
/// where that is less. `None`: no limit.
#[must_use]
pub fn try_limit(left: Option<Duration>, per_try: Option<Duration>) -> Option<(Duration, Reason)> {
    match (left, per_try.filter(|t| !t.is_zero())) {
        (Some(whole), Some(one)) if one < whole => Some((one, Reason::PerTryTimeout)),
        (Some(whole), _) => Some((whole, Reason::Timeout)),
        (None, Some(one)) => Some((one, Reason::PerTryTimeout)),
        (None, None) => None,
    }
}

/// The wait before retry number `retry` (from 1): exponential from `base` up to 10 x `base`, with full jitter; `random`
/// is uniform in `0.0..1.0`.
#[must_use]
pub fn backoff(base: Duration, retry: u32, random: f64) -> Duration {
    jittered(backoff_limit(base, retry), random)
}

/// A time between zero and `at_most`; `random` is uniform in `0.0..1.0`.
#[must_use]
pub fn jittered(at_most: Duration, random: f64) -> Duration {
    at_most.mul_f64(random.clamp(0.0, 1.0))
}

fn backoff_limit(base: Duration, retry: u32) -> Duration {
    let factor = 2u32.saturating_pow(retry.saturating_sub(1)).min(10);
    base.saturating_mul(factor)
}

/// No application can have seen it, so repeating it does no harm whatever the method.
fn never_seen(facts: RetryFacts, attempt: Attempt) -> bool {
    match attempt {
        Attempt::Failed(FailureKind::Connect | FailureKind::ConnectTimeout | FailureKind::RefusedStream) => true,
        Attempt::Failed(FailureKind::ResetBeforeRequest | FailureKind::ResetBeforeResponse) => {
            !facts.request_bytes_left
        }
        Attempt::Failed(FailureKind::PerTryTimeout) => false,
        Attempt::Answered { unprocessed, .. } => unprocessed && failed(facts, attempt),
    }
}

fn failed(facts: RetryFacts, attempt: Attempt) -> bool {
    match attempt {
        Attempt::Failed(_) => true,
        Attempt::Answered { status, grpc_status, .. } => {
            status >= 500 || (facts.grpc && grpc_status.is_some_and(|code| code != 0))
        }
    }
}

fn asked_by_default(facts: RetryFacts, attempt: Attempt) -> bool {
    match attempt {
        Attempt::Failed(FailureKind::PerTryTimeout) => false,
        Attempt::Failed(_) => true,
        Attempt::Answered { grpc_status, .. } => facts.grpc && matches!(grpc_status, Some(1 | 14)),
    }
}

/// Envoy's reading of `retry_on`: an end without an answer counts for `5xx` and `gateway-error` as well, since it would
/// become a 503 or 504.
fn asked_by(policy: &RetryPolicy, facts: RetryFacts, attempt: Attempt) -> bool {
    let on = &policy.retry_on;
    match attempt {
        Attempt::Answered { status, grpc_status, .. } => {
            (on.five_xx && (500..600).contains(&status))
                || (on.gateway_error && (502..=504).contains(&status))
                || (on.retriable_4xx && status == 409)
                || on.statuses.contains(&status)
                || (facts.grpc && grpc_status.is_some_and(|code| on.grpc.contains(&code)))
        }
        Attempt::Failed(kind) => {
            on.five_xx
                || on.gateway_error
                || on.reset
                || match kind {
                    FailureKind::Connect | FailureKind::ConnectTimeout => on.connect_failure,
                    FailureKind::RefusedStream => on.refused_stream,
                    FailureKind::ResetBeforeRequest => on.reset_before_request,
                    FailureKind::ResetBeforeResponse | FailureKind::PerTryTimeout => false,
                }
        }
    }
}

#[cfg(test)]
mod tests;
