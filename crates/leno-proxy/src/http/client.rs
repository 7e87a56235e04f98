//! The client codecs: Leno's own for HTTP/1, hyper's for HTTP/2. What went wrong comes out as [`SendError`].

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use leno_core::Reason;
use leno_core::decide::retry::FailureKind;

use super::body::{Body, BodyError, Request};
use crate::tcp::splice::Io;
use crate::tls::DialError;

/// The response as hyper gives it, before its body is bound to its connection.
pub type RawResponse = http::Response<hyper::body::Incoming>;

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

impl From<hyper::client::conn::TrySendError<Request>> for Unanswered {
    fn from(mut failed: hyper::client::conn::TrySendError<Request>) -> Self {
        let unsent = failed.take_message();
        Self { error: classify(failed.error(), unsent.is_none()), unsent }
    }
}

impl From<Unanswered> for SendError {
    fn from(unanswered: Unanswered) -> Self {
        unanswered.error
    }
}

/// HTTP/2 on one connection: many requests.
#[derive(Clone)]
pub struct Http2 {
    sender: http2::SendRequest<Body>,
    max_streams: Arc<AtomicUsize>,
}

impl Http2 {
    /// Streams that the peer allows at once.
    #[must_use]
    pub fn max_streams(&self) -> usize {
        self.max_streams.load(Ordering::Relaxed)
    }

    /// Whether no request can be sent on it any more (closed, or GOAWAY).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends one request.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn send(&self, request: Request) -> Result<RawResponse, Unanswered> {
        let mut sender = self.sender.clone();
        sender.try_send_request(request).await.map_err(Unanswered::from)
    }
}

/// Starts HTTP/2 on `io`.
///
/// # Errors
/// Where the connection is gone already.
pub async fn http2(io: impl Io + 'static) -> Result<Http2, SendError> {
    let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEAD_LIMIT_U32)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|e| classify(&e, false))?;
    let max_streams = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
    let limit = Arc::clone(&max_streams);
    tokio::spawn(std::future::poll_fn(move |cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        limit.store(connection.current_max_send_streams(), Ordering::Relaxed);
        match polled {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }));
    Ok(Http2 { sender, max_streams })
}

/// Every way hyper fails, as a reason.
fn classify(error: &hyper::Error, bytes_left: bool) -> SendError {
    if let Some(body) = cause::<BodyError>(error) {
        let reason = if matches!(body, BodyError::Timeout) { Reason::Timeout } else { Reason::ClientGone };
        return SendError {
            reason,
            kind: None,
            bytes_left,
            stale: false,
            detail: format!("the request's body: {body}"),
        };
    }
    let (reason, kind) = if let Some(h2) = cause::<h2::Error>(error) {
        of_http2(h2)
    } else if error.is_parse() {
        (Reason::UpstreamProtocol, FailureKind::ResetBeforeResponse)
    } else if bytes_left {
        (Reason::UpstreamReset, FailureKind::ResetBeforeResponse)
    } else {
        (Reason::UpstreamReset, FailureKind::ResetBeforeRequest)
    };
    SendError { reason, kind: Some(kind), bytes_left, stale: false, detail: chain(error) }
}

fn of_http2(error: &h2::Error) -> (Reason, FailureKind) {
    if error.reason() == Some(h2::Reason::REFUSED_STREAM) || (error.is_go_away() && error.is_remote()) {
        // A GOAWAY fails only the streams above the last one that the peer took.
        (Reason::StreamRefused, FailureKind::RefusedStream)
    } else if error.is_library() {
        (Reason::UpstreamProtocol, FailureKind::ResetBeforeResponse)
    } else {
        (Reason::UpstreamReset, FailureKind::ResetBeforeResponse)
    }
}

fn cause<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<E>() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(current) = next {
        text.push_str(": ");
        text.push_str(&current.to_string());
        next = current.source();
    }
    text
}

/// Longest head taken from a client or an endpoint by HTTP/2, bytes.
pub const HEAD_LIMIT_U32: u32 = 64 * 1024;
/// Bytes in flight of one stream. Between sidecars the round trip is short.
pub const STREAM_WINDOW: u32 = 128 * 1024;
/// Bytes in flight of one connection: slow readers of some streams must not stop the others, and together must not fill
/// the memory.
pub const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of one stream waiting to be sent.
pub const SEND_BUFFER: usize = 64 * 1024;
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(20);
