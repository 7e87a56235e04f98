//! What it means that a request got no answer.

use leno_core::Reason;
use leno_core::decide::retry::FailureKind;
use leno_http::spare;

use super::body::{Body, BodyError, Head};
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
    /// Whether the endpoint had closed the connection before the request came, and so has read nothing of it.
    pub unread: bool,
    /// In words.
    pub detail: String,
}

impl From<DialError> for SendError {
    fn from(error: DialError) -> Self {
        Self { reason: error.reason, kind: Some(error.kind()), bytes_left: false, unread: false, detail: error.detail }
    }
}

/// A request for a connection to carry. Until a byte of it has left another connection may carry it, whatever the rules say
/// of retries.
#[derive(Debug)]
pub struct Dispatch {
    /// Its head, in the form that the endpoint wants.
    pub head: Head,
    /// Its body; empty once a connection has taken it.
    pub body: Body,
    /// Whether a byte of it may have left.
    pub left: bool,
}

impl Dispatch {
    /// Nothing of it has left.
    #[must_use]
    pub const fn new(head: Head, body: Body) -> Self {
        Self { head, body, left: false }
    }

    /// The body, for the connection that sends it.
    pub(super) const fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, Body::empty())
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        spare::give_back(std::mem::take(&mut self.head.headers));
    }
}

/// A request's body that broke off: the client's own doing.
pub(super) fn of_body(error: &BodyError) -> SendError {
    let reason = if matches!(error, BodyError::Timeout) { Reason::Timeout } else { Reason::ClientGone };
    let detail = format!("the request's body: {error}");
    SendError { reason, kind: None, bytes_left: true, unread: false, detail }
}
