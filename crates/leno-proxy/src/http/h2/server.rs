//! The server's side of a connection.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, StatusCode};
use leno_http::h2::{Code, Role};
use leno_http::spare;
use leno_kit::Drain;

use super::core::{Asked, Core};
use super::driver::Driver;
use super::outgoing::{Failed, Outgoing};
use super::stream::Stream;
use super::{BATCH, Failure, Incoming, WINDOWS};
use crate::http::body::{Body, BodyError, Head, Request, Response};
use crate::http::h1::Upgrade;
use crate::tcp::splice::Io;

/// Serves requests until the client leaves or the proxy drains; all of a connection's requests in its own task. When `leaving`
/// resolves or the drain begins, the client is told to open its next connection elsewhere (GOAWAY), and what it has asked is
/// answered.
pub async fn serve<F, R>(io: Box<dyn Io>, drain: Drain, leaving: impl Future<Output = ()>, handle: F)
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    let calm = drain.is_draining();
    let core = Core::new(Role::Server, WINDOWS);
    let mut driver = Driver::new(io, Arc::clone(&core));
    let mut exchanges = FuturesUnordered::new();
    let mut asked = Vec::new();
    let mut ended = Vec::new();
    let mut told = false;
    let mut closed = None;
    let leave = async {
        tokio::select! {
            // Accepted while draining, by a client that has not heard of it: it is served as long as there is time.
            () = drain.started(), if !calm => {}
            () = leaving => {}
        }
    };
    let mut leave = pin!(leave);
    let serving = std::future::poll_fn(|cx| {
        core.begin(cx);
        if closed.is_none()
            && let Poll::Ready(why) = driver.poll_read_requests(cx, &mut asked)
        {
            core.end(&why);
            closed = Some(why);
        }
        for Asked { stream, head, end } in asked.drain(..) {
            exchanges.push(exchange(&core, stream, head, end, &handle));
        }
        if !told && leave.as_mut().poll(cx).is_ready() {
            told = true;
            core.lock().conn.leave();
        }
        while let Poll::Ready(Some(rest)) = exchanges.poll_next_unpin(cx) {
            ended.push(rest);
            if ended.len().is_multiple_of(BATCH) {
                // The client goes on with these meanwhile. Where it fails, the next one does.
                let _ = driver.poll_write(cx);
            }
        }
        let written = driver.poll_write(cx);
        // With them their records are made, which nobody should have to wait for.
        ended.clear();
        match (&closed, written) {
            // What is to be said of its mistake has been said, as far as the socket took it at once.
            (Some(_), _) | (None, Poll::Ready(Err(_))) => Poll::Ready(()),
            (None, Poll::Ready(Ok(()))) if core.lock().conn.is_done() => Poll::Ready(()),
            (None, _) => Poll::Pending,
        }
    });
    tokio::select! {
        biased;
        () = serving => {}
        () = drain.forced() => return,
    }
    let _ = tokio::time::timeout(LINGER, std::future::poll_fn(|cx| driver.poll_shutdown(cx))).await;
}

/// From a request's head to the end of its answer; gives what is left of that.
fn exchange<F, R>(
    core: &Arc<Core>,
    stream: u32,
    head: Head,
    end: bool,
    handle: &F,
) -> impl Future<Output = Option<Outgoing>> + use<F, R>
where
    F: Fn(Request) -> R,
    R: Future<Output = Response>,
{
    let connect = head.method == Method::CONNECT;
    let bodiless = head.method == Method::HEAD;
    let incoming = (!end).then(|| Incoming::request(Arc::clone(core), stream));
    let (body, tunnel) = if connect { (None, incoming) } else { (incoming, None) };
    let (give, upgrade) = tunnel.is_some().then(Upgrade::channel).unzip();
    let request = Request { head, body: body.map_or_else(Body::empty, Body::http2), upgrade };
    // On the heap, and made there alone: what is in a future is moved with it, and twice in it where it is pinned inside.
    let mut answering = Box::pin(handle(request));
    let outgoing = Outgoing { core: Arc::clone(core), stream, body: Body::empty() };
    async move {
        let response = until_reset(&outgoing.core, outgoing.stream, &mut answering).await?;
        drop(answering);
        match give.zip(tunnel) {
            Some((give, incoming)) if response.head.status.is_success() && !give.is_closed() => {
                let (status, headers) = (response.head.status, &response.head.headers);
                outgoing.core.change(|state| state.conn.respond(outgoing.stream, status, headers, false));
                let _ = give.send(Box::new(Stream::new(incoming, outgoing)));
                None
            }
            _ => Some(answer(outgoing, response, bodiless).await),
        }
    }
}

/// The answer, unless the client gives up before.
async fn until_reset<R>(core: &Core, stream: u32, answering: &mut Pin<Box<R>>) -> Option<Response>
where
    R: Future<Output = Response>,
{
    std::future::poll_fn(|cx| {
        if core.is_over(stream, cx) {
            return Poll::Ready(None);
        }
        answering.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Sends an answer.
async fn answer(mut outgoing: Outgoing, response: Response, bodiless: bool) -> Outgoing {
    let Response { mut head, body } = response;
    let none = bodiless || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
    let end = none || body.is_end_stream();
    if !end
        && let Some(length) = body.left()
        && !head.headers.contains(CONTENT_LENGTH)
    {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let stream = outgoing.stream;
    outgoing.core.change(|state| {
        state.answered(stream);
        state.conn.respond(stream, head.status, &head.headers, end)
    });
    spare::give_back(head.headers);
    outgoing.body = body;
    if end {
        return outgoing;
    }
    if let Err(Failed::Body(error)) = std::future::poll_fn(|cx| outgoing.poll(cx)).await {
        outgoing.core.change(|state| state.conn.reset(stream, code(&error)));
    }
    outgoing
}

/// What a client is told of an answer that broke off.
fn code(error: &BodyError) -> Code {
    match error {
        BodyError::Http2(failure) => Failure::code(failure),
        _ => Code::INTERNAL_ERROR,
    }
}

/// Longest time for the connection's end to be said.
const LINGER: Duration = Duration::from_millis(500);
