//! The client's side of a connection: many requests at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response};
use http_body::Body as HttpBody;
use leno_core::Reason;
use leno_core::decide::retry::FailureKind;
use leno_http::h2::{Code, Role};
use tokio::time::{Instant, Sleep};

use super::core::{Core, Wakers};
use super::driver::Driver;
use super::outgoing::{Failed, Outgoing};
use super::{Failure, Incoming, WINDOWS};
use crate::http::body::BodyError;
use crate::http::client::{Dispatch, SendError, of_body};
use crate::tcp::splice::Io;

/// A connection to an endpoint. It closes once all clones have gone and what they sent is answered.
#[derive(Clone)]
pub struct Http2(Arc<Handle>);

struct Handle(Arc<Core>);

/// Starts HTTP/2 on `io`.
#[must_use]
pub fn connect(io: Box<dyn Io>) -> Http2 {
    let core = Core::new(Role::Client, WINDOWS);
    let driver = Driver::new(io, Arc::clone(&core));
    let mut task = Task { driver, alive: None, asked: None, closing: false };
    tokio::spawn(std::future::poll_fn(move |cx| task.poll(cx)));
    Http2(Arc::new(Handle(core)))
}

impl Http2 {
    /// Streams that the peer allows at once; `None` where no request can be sent any more.
    #[must_use]
    pub fn streams(&self) -> Option<usize> {
        let state = self.0.0.lock();
        let closed = state.over.is_some() || state.conn.is_closing();
        (!closed).then(|| state.conn.max_streams())
    }

    /// Whether no request can be sent on it any more (closed, or GOAWAY).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.streams().is_none()
    }

    /// Sends one request. Dropped before the answer has come, or with the answer's body before its end, the stream is reset.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, request: &mut Dispatch) -> Result<Response<Incoming>, SendError> {
        let core = &self.0.0;
        let head = &mut request.head;
        let end = request.body.is_end_stream();
        let length = if end { Some(0) } else { request.body.size_hint().exact() };
        let says = length.is_some_and(|n| n > 0) || [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
        let told = head.headers.contains_key(CONTENT_LENGTH);
        let opened = core.change(|state| {
            if state.over.is_some() || !state.conn.can_open() {
                return None;
            }
            if let Some(length) = length.filter(|_| says && !told) {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            let stream = state.conn.open(head, end);
            state.add(stream, if end { 1 } else { 2 });
            Some(stream)
        });
        let Some(stream) = opened else {
            return Err(SendError { bytes_left: false, ..of_failure(&Failure::Refused) });
        };
        request.left = true;
        let incoming = Incoming::answer(Arc::clone(core), stream);
        let mut upload = (!end).then(|| Outgoing { core: Arc::clone(core), stream, body: request.take_body() });
        let head = std::future::poll_fn(|cx| {
            if let Some(Poll::Ready(sent)) = upload.as_mut().map(|u| u.poll(cx)) {
                upload = None;
                if let Err(Failed::Body(error)) = sent {
                    core.change(|state| state.conn.reset(stream, code(&error)));
                    return Poll::Ready(Err(of_body(&error)));
                }
            }
            core.poll_head(stream, cx).map_err(|failure| of_failure(&failure))
        });
        let head = head.await?;
        if let Some(upload) = upload {
            // Both ways at once: whoever does not read the answer for a while must not stop the request.
            tokio::spawn(go_on(upload));
        }
        Ok(head.map(|()| incoming))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.change(|state| state.abandoned = true);
    }
}

/// The rest of a request's body, while its answer is on its way already.
async fn go_on(mut upload: Outgoing) {
    if let Err(Failed::Body(error)) = std::future::poll_fn(|cx| upload.poll(cx)).await {
        let mut wakers = Wakers::new();
        upload.core.change(|state| {
            state.conn.reset(upload.stream, code(&error));
            state.broke(upload.stream, &mut wakers);
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// What an endpoint is told of a request that broke off.
fn code(error: &BodyError) -> Code {
    match error {
        BodyError::Http2(Failure::Reset(code)) if *code != Code::NO_ERROR => *code,
        _ => Code::CANCEL,
    }
}

/// The task of a connection.
struct Task {
    driver: Driver,
    /// Runs while there are requests under way.
    alive: Option<Pin<Box<Sleep>>>,
    /// When the peer was asked whether it is still there.
    asked: Option<Instant>,
    closing: bool,
}

impl Task {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing {
            return self.driver.poll_shutdown(cx).map(|_| ());
        }
        let core = Arc::clone(&self.driver.core);
        core.begin(cx);
        let mut none = Vec::new();
        let mut over = match self.driver.poll_read(cx, &mut none) {
            Poll::Ready(why) => Some(why),
            Poll::Pending => self.is_lost(cx).then(|| Failure::Broken("the peer does not answer pings".into())),
        };
        {
            let mut state = core.lock();
            if state.abandoned && state.conn.open_streams() == 0 {
                state.conn.leave();
            }
        }
        match self.driver.poll_write(cx) {
            Poll::Ready(Err(error)) => over = over.or(Some(Failure::Broken(error.to_string()))),
            Poll::Ready(Ok(())) if core.lock().conn.is_done() => {
                over = over.or(Some(Failure::Broken("it was closed".into())));
            }
            _ => {}
        }
        let Some(why) = over else { return Poll::Pending };
        core.end(&why);
        self.closing = true;
        self.driver.poll_shutdown(cx).map(|_| ())
    }

    /// Whether the peer has said nothing for too long while something is expected of it.
    fn is_lost(&mut self, cx: &mut Context<'_>) -> bool {
        let busy = self.driver.core.lock().conn.open_streams() > 0;
        if !busy && self.alive.is_none() {
            return false;
        }
        let heard = self.driver.heard;
        if self.asked.is_some_and(|asked| heard > asked) {
            self.asked = None;
        }
        let timer = self.alive.get_or_insert_with(|| Box::pin(tokio::time::sleep(PING_EVERY)));
        while timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if let Some(asked) = self.asked {
                if now >= asked + PING_PATIENCE {
                    return true;
                }
                timer.as_mut().reset(asked + PING_PATIENCE);
            } else if !busy {
                self.alive = None;
                return false;
            } else if now >= heard + PING_EVERY {
                self.driver.core.lock().conn.ping();
                self.asked = Some(now);
                timer.as_mut().reset(now + PING_PATIENCE);
            } else {
                timer.as_mut().reset(heard + PING_EVERY);
            }
        }
        false
    }
}

/// What a stream's end means for its request.
fn of_failure(failure: &Failure) -> SendError {
    let (reason, kind) = match failure {
        Failure::Refused | Failure::Reset(Code::REFUSED_STREAM) => (Reason::StreamRefused, FailureKind::RefusedStream),
        Failure::Malformed(_) => (Reason::UpstreamProtocol, FailureKind::ResetBeforeResponse),
        Failure::Reset(_) | Failure::Broken(_) => (Reason::UpstreamReset, FailureKind::ResetBeforeResponse),
    };
    SendError { reason, kind: Some(kind), bytes_left: true, unread: false, detail: failure.to_string() }
}

/// A peer that has said nothing for this time is asked whether it is still there, while a request is under way.
const PING_EVERY: Duration = Duration::from_secs(30);
/// It answers within this time, or the connection is given up.
const PING_PATIENCE: Duration = Duration::from_secs(20);
