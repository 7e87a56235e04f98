//! The server's side of a connection.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Buf;
use futures::FutureExt;
use http::header::{CONTENT_LENGTH, TE, TRAILER, UPGRADE};
use http::{HeaderValue, Method, StatusCode, Version};
use leno_http::h1::write::{self, Says};
use leno_http::h1::{self, BadHead, Decoder, Framing, Scan};
use leno_http::spare;
use leno_kit::Drain;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::outgoing::Outgoing;
use super::wire::Wire;
use super::{Polled, poll_body};
use crate::cluster::lock;
use crate::http::body::{Body, BodyError, Fields, Frame, Request, Response, ResponseHead};
use crate::http::heads;
use crate::http::place::Placed;
use crate::tcp::splice::Io;

/// Serves requests until the client leaves or the proxy drains. Requests on one connection are answered in order, pipelined
/// ones too. A client that leaves while its request is under way ends it.
pub async fn serve<F, R>(io: Box<dyn Io>, drain: Drain, idle: Duration, handle: F)
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    let forced = drain.clone();
    let mut server = Server {
        conn: Arc::new(Mutex::new(Conn::new(io))),
        // Accepted while draining, by a client that has not heard of it: one request is served.
        once: drain.is_draining(),
        drain: drain.clone(),
    };
    let rest = Rest { idle: Box::pin(tokio::time::sleep(idle)), limit: idle, since: Instant::now(), over: false };
    let draining = pin!(drain.started());
    tokio::select! {
        biased;
        () = server.run(rest, draining, handle) => {}
        () = forced.forced() => {}
    }
}

/// A request's body. Asking it for a frame reads from the connection.
pub struct Incoming {
    conn: Arc<Mutex<Conn>>,
    request: u64,
}

/// The connection of a request that asks to leave HTTP: it comes once the client has been answered, if it comes to that.
pub struct Upgrade(oneshot::Receiver<Box<dyn Io>>);

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}

impl Upgrade {
    /// With what its connection will be given by.
    pub(in crate::http) fn channel() -> (oneshot::Sender<Box<dyn Io>>, Self) {
        let (give, take) = oneshot::channel();
        (give, Self(take))
    }

    /// Waits for the connection; `None` where the client is not let go.
    pub(in crate::http) async fn connection(self) -> Option<Box<dyn Io>> {
        self.0.await.ok()
    }
}

struct Conn {
    wire: Wire,
    body: Decoder,
    /// Number of the present request. Bodies of earlier ones, which somebody may still hold, get an error.
    request: u64,
    /// The client waits to be told that its body is wanted.
    expects: bool,
    /// Who answers, to be woken when another task has read the body's end.
    owner: Option<Waker>,
}

struct Server {
    conn: Arc<Mutex<Conn>>,
    once: bool,
    drain: Drain,
}

/// The time between two requests. One timer serves a whole connection: it is set anew only when it has run out.
struct Rest {
    idle: Pin<Box<Sleep>>,
    limit: Duration,
    since: Instant,
    /// The drain has begun.
    over: bool,
}

/// What an answer's way came to.
enum Sent {
    Whole,
    /// The client has gone, or the answer broke off: the connection is of no more use.
    Cut,
}

impl Server {
    async fn run<F, R>(&mut self, mut rest: Rest, mut draining: Pin<&mut impl Future<Output = ()>>, handle: F)
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = Response> + Send + 'static,
    {
        loop {
            rest.since = Instant::now();
            let read = match self.head(&mut rest, draining.as_mut()).await {
                Some(Ok(request)) => request,
                Some(Err(bad)) => return self.refuse(bad).await,
                None => break,
            };
            // What comes of this request must not take the rest of the answer before with it.
            std::future::poll_fn(|cx| lock(&self.conn).wire.poll_room(cx)).await;
            let asked = Asked::of(&read);
            let (request, upgrade) = self.request(read);
            let answered = {
                // On the heap: connections at rest do not hold a place for it.
                let mut answering = Placed::new(handle(request));
                std::future::poll_fn(|cx| match answering.poll_unpin(cx) {
                    Poll::Ready(response) => Poll::Ready(Some(response)),
                    Poll::Pending if lock(&self.conn).is_gone(cx) => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                })
                .await
            };
            let Some(response) = answered else { return };
            if let Some(upgrade) = upgrade.filter(|u| asked.is_switched(response.head.status) && !u.is_closed()) {
                self.put_switch(&asked, &response.head);
                drop(response);
                return self.switch(upgrade).await;
            }
            let stays = self.stays(&asked, &response.head.headers);
            let Sent::Whole = self.answer(&asked, response, stays).await else { return };
            if !stays || !self.next().await {
                break;
            }
        }
        self.close().await;
    }

    /// The next request's head; `None` where there will be none.
    async fn head(
        &self,
        rest: &mut Rest,
        mut draining: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<Result<h1::Request, BadHead>> {
        let mut scan = Scan::default();
        std::future::poll_fn(|cx| {
            let mut conn = lock(&self.conn);
            if let Poll::Ready(head) = conn.poll_head(cx, &mut scan) {
                return Poll::Ready(head);
            }
            if !self.once && !rest.over {
                rest.over = draining.as_mut().poll(cx).is_ready();
            }
            // Nobody is cut off in the middle of a request.
            if rest.is_over(cx) || (rest.over && conn.wire.input.is_empty()) {
                return Poll::Ready(None);
            }
            conn.wire.rest();
            Poll::Pending
        })
        .await
    }

    /// The request for the pipeline, its body bound to this connection.
    fn request(&self, read: h1::Request) -> (Request, Option<oneshot::Sender<Box<dyn Io>>>) {
        let number = {
            let mut conn = lock(&self.conn);
            conn.request += 1;
            conn.body = Decoder::new(read.framing);
            conn.expects = read.expect_continue;
            conn.request
        };
        let body = match read.framing {
            Framing::Length(0) => Body::empty(),
            _ => Body::http1(Incoming { conn: Arc::clone(&self.conn), request: number }),
        };
        let head = read.head;
        let leaves =
            head.method == Method::CONNECT || (head.version == Version::HTTP_11 && head.headers.contains(UPGRADE));
        let (give, upgrade) = leaves.then(Upgrade::channel).unzip();
        (Request { head, body, upgrade }, give)
    }

    fn stays(&self, asked: &Asked, headers: &Fields) -> bool {
        asked.keep_alive && !self.once && !self.drain.is_draining() && !heads::connection_names(headers, "close")
    }

    /// Sends an answer, one write for a small one.
    async fn answer(&self, asked: &Asked, response: Response, mut stays: bool) -> Sent {
        let Response { head, mut body } = response;
        let framing = asked.framing(head.status, &head.headers, &body);
        if framing == Some(Framing::UntilClose) {
            stays = false;
        }
        {
            let mut conn = lock(&self.conn);
            // Its body is not wanted any more: who waits to send it is told by the answer.
            conn.expects = false;
            let says = match framing {
                Some(framing) => Says::Body(framing),
                None if asked.head || head.status == StatusCode::NOT_MODIFIED => Says::AsItIs,
                None => Says::Nothing,
            };
            let connection = match (stays, asked.version) {
                (false, Version::HTTP_11) if !heads::connection_names(&head.headers, "close") => Some("close"),
                (true, Version::HTTP_10) => Some("keep-alive"),
                _ => None,
            };
            write::response(conn.wire.output(), asked.version, head.status, &head.headers, says, connection);
        }
        let mut out = Outgoing::new(framing, asked.trailers && head.headers.contains(TRAILER));
        spare::give_back(head.headers);
        std::future::poll_fn(|cx| self.poll_answer(&mut body, &mut out, cx)).await
    }

    fn poll_answer(&self, body: &mut Body, out: &mut Outgoing, cx: &mut Context<'_>) -> Poll<Sent> {
        let mut next = None;
        loop {
            // The lock is not held while the body is asked: it may read the request's.
            let ended = body.is_end_stream();
            {
                let mut conn = lock(&self.conn);
                if next.take().is_some_and(|frame| !out.frame(&mut conn.wire, frame)) {
                    return Poll::Ready(Sent::Cut);
                }
                if !out.ended && out.is_complete(ended) {
                    out.end(&mut conn.wire, None);
                }
                if out.ended {
                    let sent = ready!(conn.wire.poll_send(cx));
                    return Poll::Ready(if sent.is_ok() { Sent::Whole } else { Sent::Cut });
                }
                if conn.wire.is_full() && ready!(conn.wire.poll_send(cx)).is_err() {
                    return Poll::Ready(Sent::Cut);
                }
            }
            match body.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => next = Some(frame),
                Poll::Ready(None) if out.may_end() => out.end(&mut lock(&self.conn).wire, None),
                Poll::Ready(None | Some(Err(_))) => {
                    // What came is passed on; that it is not whole shows by the connection's end.
                    let _ = lock(&self.conn).wire.poll_send(cx);
                    return Poll::Ready(Sent::Cut);
                }
                Poll::Pending => {
                    let mut conn = lock(&self.conn);
                    if matches!(conn.wire.poll_send(cx), Poll::Ready(Err(_))) || conn.is_gone(cx) {
                        return Poll::Ready(Sent::Cut);
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn put_switch(&self, asked: &Asked, head: &ResponseHead) {
        let mut conn = lock(&self.conn);
        write::response(conn.wire.output(), asked.version, head.status, &head.headers, Says::Nothing, None);
    }

    /// Hands the connection over to what comes after HTTP.
    async fn switch(&self, to: oneshot::Sender<Box<dyn Io>>) {
        let sent = std::future::poll_fn(|cx| {
            let wire = &mut lock(&self.conn).wire;
            ready!(wire.poll_send(cx))?;
            wire.poll_sent(cx)
        });
        if sent.await.is_ok() {
            let conn = std::mem::replace(&mut *lock(&self.conn), Conn::new(Box::new(tokio::io::empty())));
            let _ = to.send(conn.wire.into_io());
        }
    }

    /// Whether the connection can carry another request: the rest of a body that nobody wanted is read away, if it is there
    /// already.
    async fn next(&self) -> bool {
        std::future::poll_fn(|cx| {
            let mut conn = lock(&self.conn);
            // From here on the body's holder gets an error.
            conn.request += 1;
            let mut drained = 0;
            while !conn.body.is_done() {
                let conn = &mut *conn;
                match poll_body(&mut conn.wire, &mut conn.body, cx) {
                    Poll::Ready(Some(Ok(frame))) if drained < LEFT_OVER => {
                        if let Frame::Data(data) = frame {
                            drained += data.len();
                        }
                    }
                    Poll::Ready(None) => {}
                    _ => return Poll::Ready(false),
                }
            }
            Poll::Ready(true)
        })
        .await
    }

    async fn refuse(&self, bad: BadHead) {
        tracing::debug!(error = %bad, "a client's request was refused");
        let status = StatusCode::from_u16(bad.status()).unwrap_or(StatusCode::BAD_REQUEST);
        {
            let mut conn = lock(&self.conn);
            let says = Says::Body(Framing::Length(0));
            write::response(conn.wire.output(), Version::HTTP_11, status, &Fields::new(), says, Some("close"));
        }
        let _ = std::future::poll_fn(|cx| lock(&self.conn).wire.poll_send(cx)).await;
        self.close().await;
    }

    /// Ends this side, and for a short time reads what the client still sends: a socket that is closed with bytes unread
    /// resets, and the client would lose the answer.
    async fn close(&self) {
        let _ = std::future::poll_fn(|cx| lock(&self.conn).wire.poll_sent(cx)).await;
        let closing = std::future::poll_fn(|cx| {
            let mut conn = lock(&self.conn);
            let _ = ready!(conn.wire.poll_shutdown(cx));
            if conn.body.is_done() && conn.wire.input.is_empty() {
                return Poll::Ready(());
            }
            let mut read = 0;
            loop {
                conn.wire.input.clear();
                match ready!(conn.wire.poll_fill(cx)) {
                    Ok(n) if n > 0 && read < LINGER_BYTES => read += n,
                    _ => return Poll::Ready(()),
                }
            }
        });
        let _ = tokio::time::timeout(LINGER, closing).await;
    }
}

impl Rest {
    /// Whether the connection has rested for too long.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        while self.idle.as_mut().poll(cx).is_ready() {
            if self.since.elapsed() >= self.limit {
                return true;
            }
            self.idle.as_mut().reset(self.since + self.limit);
        }
        false
    }
}

impl Conn {
    fn new(io: Box<dyn Io>) -> Self {
        Self { wire: Wire::new(io), body: Decoder::new(Framing::Length(0)), request: 0, expects: false, owner: None }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, scan: &mut Scan) -> Poll<Option<Result<h1::Request, BadHead>>> {
        loop {
            if !self.wire.input.is_empty() {
                match self.head(scan) {
                    Ok(Some(head)) => return Poll::Ready(Some(Ok(head))),
                    Ok(None) => {}
                    Err(bad) => return Poll::Ready(Some(Err(bad))),
                }
            }
            match ready!(self.wire.poll_fill(cx)) {
                Ok(n) if n > 0 => {}
                _ => return Poll::Ready(None),
            }
        }
    }

    fn head(&mut self, scan: &mut Scan) -> Result<Option<h1::Request>, BadHead> {
        let Some(blank) = h1::blank(&self.wire.input) else { return Ok(None) };
        if blank > 0 {
            self.wire.input.advance(blank);
            // A second one is no request line.
            if self.wire.input.starts_with(b"\r\n") {
                return Err(BadHead::RequestLine);
            }
        }
        let Some(end) = scan.end(&self.wire.input)? else { return Ok(None) };
        let head = self.wire.input.split_to(end).freeze();
        h1::request(&head).map(Some)
    }

    /// Whether the client has ended its side while its answer is being made. Watched only once its body is here: before,
    /// whoever wants the body notices.
    fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.body.is_done() {
            if !self.owner.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                self.owner = Some(cx.waker().clone());
            }
            return false;
        }
        // Pipelined requests wait here, as far as there is room.
        while self.wire.input.len() < PIPELINED {
            match self.wire.poll_fill(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return true,
            }
        }
        false
    }
}

impl Incoming {
    pub(in crate::http) fn poll_frame(&self, cx: &mut Context<'_>) -> Polled {
        let mut conn = lock(&self.conn);
        let conn = &mut *conn;
        if conn.request != self.request {
            return Poll::Ready(Some(Err(BodyError::Abandoned)));
        }
        if std::mem::take(&mut conn.expects) {
            conn.wire.output().extend_from_slice(CONTINUE);
            // What the socket does not take at once goes with the answer.
            let _ = conn.wire.poll_send(cx);
        }
        let polled = poll_body(&mut conn.wire, &mut conn.body, cx);
        if conn.body.is_done()
            && let Some(owner) = conn.owner.take()
            && !owner.will_wake(cx.waker())
        {
            owner.wake();
        }
        polled
    }

    pub(in crate::http) fn is_end_stream(&self) -> bool {
        let conn = lock(&self.conn);
        conn.request == self.request && conn.body.is_done()
    }

    pub(in crate::http) fn left(&self) -> Option<u64> {
        let conn = lock(&self.conn);
        if conn.request == self.request { conn.body.left() } else { None }
    }
}

/// What an answer must know of its request.
struct Asked {
    version: Version,
    head: bool,
    connect: bool,
    keep_alive: bool,
    /// The client takes trailers.
    trailers: bool,
}

impl Asked {
    fn of(read: &h1::Request) -> Self {
        let head = &read.head;
        Self {
            version: head.version,
            head: head.method == Method::HEAD,
            connect: head.method == Method::CONNECT,
            keep_alive: read.keep_alive,
            trailers: head.headers.get(TE).is_some_and(names_trailers),
        }
    }

    fn is_switched(&self, status: StatusCode) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS || (self.connect && status.is_success())
    }

    /// How the answer's body is framed; `None` where there is none.
    fn framing(&self, status: StatusCode, headers: &Fields, body: &Body) -> Option<Framing> {
        if self.head
            || status.is_informational()
            || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
            || (self.connect && status.is_success())
        {
            return None;
        }
        let said = || headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        Some(match body.left().or_else(said) {
            Some(length) => Framing::Length(length),
            None if self.version == Version::HTTP_10 => Framing::UntilClose,
            None => Framing::Chunked,
        })
    }
}

fn names_trailers(value: &HeaderValue) -> bool {
    value.as_bytes().split(|b| *b == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Bytes of pipelined requests that wait for the present one.
const PIPELINED: usize = 128 * 1024;
/// Rest of an unwanted body that is read away for the sake of the connection.
const LEFT_OVER: usize = 64 * 1024;
/// Longest time, and most bytes, that a client may go on sending after its answer.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 1024 * 1024;
