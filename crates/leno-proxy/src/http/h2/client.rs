//! The client's side of a connection: many requests at once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method};
use leno_core::Reason;
use leno_core::decide::retry::FailureKind;
use leno_http::h2::{Code, Role};
use tokio::time::{Instant, Sleep};

use super::body::Arrived;
use super::core::{self, Core, Wakers};
use super::driver::Driver;
use super::outgoing::{Failed, Outgoing};
use super::{BATCH, Failure, Incoming, WINDOWS};
use crate::cluster::lock;
use crate::http::body::{BodyError, Response};
use crate::http::client::{Dispatch, SendError, of_body};
use crate::tcp::splice::Io;

/// A connection to an endpoint. It closes once all clones have gone and what they sent is answered.
#[derive(Clone)]
pub struct Http2(Arc<Handle>);

struct Handle {
    core: Arc<Core>,
    /// The connection's task has it.
    driver: Weak<Mutex<Driver>>,
}

/// Starts HTTP/2 on `io`.
#[must_use]
pub fn connect(io: Box<dyn Io>) -> Http2 {
    let core = Core::new(Role::Client, WINDOWS);
    let driver = Arc::new(Mutex::new(Driver::new(io, Arc::clone(&core))));
    let handle = Handle { core, driver: Arc::downgrade(&driver) };
    let mut task = Task { alive: None, asked: None, closing: false };
    tokio::spawn(std::future::poll_fn(move |cx| task.poll(&mut lock(&driver), cx)));
    Http2(Arc::new(handle))
}

impl Http2 {
    /// Streams that the peer allows at once; `None` where no request can be sent any more.
    #[must_use]
    pub fn streams(&self) -> Option<usize> {
        let state = self.0.core.lock();
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
    pub async fn send(&self, request: &mut Dispatch) -> Result<Response<Arrived>, SendError> {
        let core = &self.0.core;
        let head = &mut request.head;
        let end = request.body.is_end_stream();
        let length = if end { Some(0) } else { request.body.left() };
        let says = length.is_some_and(|n| n > 0) || [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
        let told = head.headers.contains(CONTENT_LENGTH);
        let opened = core.change(|state| {
            if state.over.is_some() || !state.conn.can_open() {
                return None;
            }
            if let Some(length) = length.filter(|_| says && !told) {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            let stream = state.conn.open(head, end);
            state.add(stream, if end { 1 } else { 2 });
            state.unsent += 1;
            Some((stream, state.unsent))
        });
        let Some((stream, unsent)) = opened else {
            return Err(SendError { bytes_left: false, ..of_failure(&Failure::Refused) });
        };
        if unsent.is_multiple_of(BATCH) {
            self.0.write();
        }
        request.left = true;
        let incoming = Incoming::answer(Arc::clone(core), stream);
        let mut upload = (!end).then(|| Outgoing::new(Arc::clone(core), stream, request.take_body()));
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
        let core::Head { head, whole } = head;
        let body = incoming.arrived(core::length(&head.headers), whole);
        Ok(Response { head, body })
    }
}

impl Handle {
    /// Sends what waits, without the connection's task, whose turn may be long to come. Where that is at work it does so itself;
    /// where this fails it will learn of it, as it was woken.
    fn write(&self) {
        let Some(driver) = self.driver.upgrade() else { return };
        let Ok(mut driver) = driver.try_lock() else { return };
        if let Some(task) = self.core.task() {
            let _ = driver.poll_write(&mut Context::from_waker(&task));
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.change(|state| state.abandoned = true);
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
    /// Runs while there are requests under way.
    alive: Option<Pin<Box<Sleep>>>,
    /// When the peer was asked whether it is still there.
    asked: Option<Instant>,
    closing: bool,
}

impl Task {
    fn poll(&mut self, driver: &mut Driver, cx: &mut Context<'_>) -> Poll<()> {
        if self.closing {
            return driver.poll_shutdown(cx).map(|_| ());
        }
        let core = Arc::clone(&driver.core);
        core.begin(cx);
        let mut none = Vec::new();
        let mut over = match driver.poll_read(cx, &mut none) {
            Poll::Ready(why) => Some(why),
            Poll::Pending => self.is_lost(driver, cx).then(|| Failure::Broken("the peer does not answer pings".into())),
        };
        {
            let mut state = core.lock();
            if state.abandoned && state.conn.open_streams() == 0 {
                state.conn.leave();
            }
        }
        match driver.poll_write(cx) {
            Poll::Ready(Err(error)) => over = over.or(Some(Failure::Broken(error.to_string()))),
            Poll::Ready(Ok(())) if core.lock().conn.is_done() => {
                over = over.or(Some(Failure::Broken("it was closed".into())));
            }
            _ => {}
        }
        let Some(why) = over else { return Poll::Pending };
        core.end(&why);
        self.closing = true;
        driver.poll_shutdown(cx).map(|_| ())
    }

    /// Whether the peer has said nothing for too long while something is expected of it.
    fn is_lost(&mut self, driver: &Driver, cx: &mut Context<'_>) -> bool {
        let busy = driver.core.lock().conn.open_streams() > 0;
        if !busy && self.alive.is_none() {
            return false;
        }
        let heard = driver.heard;
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
                driver.core.lock().conn.ping();
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
