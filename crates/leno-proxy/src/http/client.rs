//! What it means that a request got no answer.

use leno_core::Reason;
use leno_core::decide::retry::FailureKind;

use super::body::{BodyError, Request};
use crate::tls::DialError;

/// A try that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct SendError {
    /// What it means for the client, if it stays so.
    pub reason: Reason,
    /// How retries see it; `None` = it is the client's own doing and never retried.
    pub kind: Option<FailureKind>,
    /// Whether any byte of the request may have reached the endpoint.
    pub bytes_left: bool,
    /// Whether the connection was idle for so long before that the endpoint may have closed it meanwhile.
    pub stale: bool,
    /// In words.
    pub detail: String,
}

impl From<DialError> for SendError {
    fn from(error: DialError) -> Self {
        Self { reason: error.reason, kind: Some(error.kind()), bytes_left: false, stale: false, detail: error.detail }
    }
}

/// No answer on one connection. A request that was never sent comes back: another connection may carry it, whatever the
/// rules say of retries.
#[derive(Debug)]
pub struct Unanswered {
    /// Why.
    pub error: SendError,
    /// The request, where no byte of it has left.
    pub unsent: Option<Request>,
}

impl From<Unanswered> for SendError {
    fn from(unanswered: Unanswered) -> Self {
        unanswered.error
    }
}

/// A request's body that broke off: the client's own doing.
pub(super) fn of_body(error: &BodyError) -> SendError {
    let reason = if matches!(error, BodyError::Timeout) { Reason::Timeout } else { Reason::ClientGone };
    let detail = format!("the request's body: {error}");
    SendError { reason, kind: None, bytes_left: true, stale: false, detail }
}
