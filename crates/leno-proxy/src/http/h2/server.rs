//! The server's side of a connection.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, StatusCode};
use leno_http::h2::{Code, Role};
use leno_http::spare;
use leno_kit::Drain;
use tokio::sync::oneshot;

use super::core::{Asked, Core, length};
use super::driver::Driver;
use super::outgoing::{Failed, Outgoing};
use super::stream::Stream;
use super::tasks::Tasks;
use super::{BATCH, Failure, Incoming, WINDOWS};
use crate::http::body::{Body, BodyError, Request, Response};
use crate::http::h1::Upgrade;
use crate::http::place::Placed;
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
    let mut exchanges = Tasks::new();
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
        asked.drain(..).for_each(|asked| exchanges.push(Exchange::begin(&core, asked, &handle)));
        if !told && leave.as_mut().poll(cx).is_ready() {
            told = true;
            core.lock().conn.leave();
        }
        exchanges.poll(cx, |rest| {
            ended.push(rest);
            if ended.len().is_multiple_of(BATCH) {
                // The client goes on with these meanwhile. Where it fails, the next one does.
                let _ = driver.poll_write(&mut Context::from_waker(cx.waker()));
            }
        });
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

/// From a request's head to the end of its answer. It gives what is left of that.
struct Exchange<R: 'static> {
    outgoing: Option<Outgoing>,
    /// Until there is an answer. On the heap, so that it is moved once.
    asked: Option<Placed<R>>,
    /// The answer will have no body, as its request is a HEAD.
    bodiless: bool,
    /// Where the client asks for a tunnel.
    upgrade: Option<Box<Leaving>>,
}

/// A client's end of a tunnel to be: who waits for it, and what the client says.
type Leaving = (oneshot::Sender<Box<dyn Io>>, Incoming);

impl<R: Future<Output = Response>> Exchange<R> {
    fn begin<F: Fn(Request) -> R>(core: &Arc<Core>, asked: Asked, handle: &F) -> Self {
        let Asked { stream, head, end } = asked;
        let connect = head.method == Method::CONNECT;
        let bodiless = head.method == Method::HEAD;
        let incoming = (!end).then(|| Incoming::request(Arc::clone(core), stream, length(&head.headers)));
        let (body, tunnel) = if connect { (None, incoming) } else { (incoming, None) };
        let (give, upgrade) = tunnel.is_some().then(Upgrade::channel).unzip();
        let request = Request { head, body: body.map_or_else(Body::empty, Body::http2), upgrade };
        let outgoing = Outgoing::new(Arc::clone(core), stream, Body::empty());
        let upgrade = give.zip(tunnel).map(Box::new);
        Self { outgoing: Some(outgoing), asked: Some(Placed::new(handle(request))), bodiless, upgrade }
    }

    /// The answer, unless the client gives up before: then `None`.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Response>> {
        let (Some(outgoing), Some(asked)) = (&self.outgoing, &mut self.asked) else { return Poll::Ready(None) };
        // First: what its handler makes of a request that broke off would be recorded as a failure.
        if outgoing.is_over(cx) {
            return Poll::Ready(None);
        }
        asked.poll_unpin(cx).map(Some)
    }

    /// Sends the answer's head, and as much of its body as there is.
    fn answer(&mut self, response: Response, cx: &mut Context<'_>) {
        let Some(outgoing) = &mut self.outgoing else { return };
        match self.upgrade.take() {
            Some(upgrade) if response.head.status.is_success() && !upgrade.0.is_closed() => {
                outgoing.switch(&response.head);
                let (give, incoming) = *upgrade;
                let _ = self.outgoing.take().map(|outgoing| give.send(Box::new(Stream::new(incoming, outgoing))));
            }
            _ => answer(outgoing, response, self.bodiless, cx),
        }
    }
}

impl<R: Future<Output = Response>> Future for Exchange<R> {
    type Output = Option<Outgoing>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        if self.asked.is_some() {
            let response = ready!(self.poll_answer(cx));
            self.asked = None;
            match response {
                Some(response) => self.answer(response, cx),
                None => return Poll::Ready(None),
            }
        }
        let Some(outgoing) = &mut self.outgoing else { return Poll::Ready(None) };
        if let Err(Failed::Body(error)) = ready!(outgoing.poll(cx)) {
            outgoing.reset(code(&error));
        }
        Poll::Ready(self.outgoing.take())
    }
}

/// Sends an answer's head; its body follows, the first part of it in one step with the head, where it is here already.
fn answer(outgoing: &mut Outgoing, response: Response, bodiless: bool, cx: &mut Context<'_>) {
    let Response { mut head, body } = response;
    let none = bodiless || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
    let end = none || body.is_end_stream();
    if !end
        && let Some(length) = body.left()
        && !head.headers.contains(CONTENT_LENGTH)
    {
        head.headers.append(CONTENT_LENGTH, HeaderValue::from(length));
    }
    outgoing.answer(&head, end, body, cx);
    spare::give_back(head.headers);
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
