//! The server's side of a connection.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, TE, TRAILER, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use http_body::{Body as HttpBody, SizeHint};
use leno_http::h1::write::{self, Says};
use leno_http::h1::{self, BadHead, Decoder, Framing, RequestHead, Scan};
use leno_http::spare;
use leno_kit::Drain;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::outgoing::Outgoing;
use super::wire::Wire;
use super::{Polled, poll_body};
use crate::cluster::lock;
use crate::http::body::{Body, BodyError, Request, Response};
use crate::http::heads;
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

/// How a request that asks to leave HTTP gets its connection, if it comes to that.
#[derive(Clone)]
pub struct Upgrade(Arc<Mutex<Option<Promise>>>);

/// A connection that comes once its client has been answered.
pub(in crate::http) type Promise = oneshot::Receiver<Box<dyn Io>>;

impl Upgrade {
    /// From whoever will give the connection.
    pub(in crate::http) fn new(promise: Promise) -> Self {
        Self(Arc::new(Mutex::new(Some(promise))))
    }

    /// The promise of a connection; once.
    #[must_use]
    pub(in crate::http) fn take(&self) -> Option<Promise> {
        lock(&self.0).take()
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
            let head = match self.head(&mut rest, draining.as_mut()).await {
                Some(Ok(head)) => head,
                Some(Err(bad)) => return self.refuse(bad).await,
                None => break,
            };
            let asked = Asked::of(&head);
            let (request, upgrade) = self.request(head);
            let answered = {
                // On the heap: connections at rest do not hold a place for it.
                let mut answering = Box::pin(handle(request));
                std::future::poll_fn(|cx| match answering.as_mut().poll(cx) {
                    Poll::Ready(response) => Poll::Ready(Some(response)),
                    Poll::Pending if lock(&self.conn).is_gone(cx) => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                })
                .await
            };
            let Some(response) = answered else { return };
            if let Some(upgrade) = upgrade.filter(|u| asked.is_switched(response.status()) && !u.is_closed()) {
                self.put_switch(&asked, &response);
                drop(response);
                return self.switch(upgrade).await;
            }
            let stays = self.stays(&asked, response.headers());
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
    ) -> Option<Result<RequestHead, BadHead>> {
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
    fn request(&self, head: RequestHead) -> (Request, Option<oneshot::Sender<Box<dyn Io>>>) {
        let number = {
            let mut conn = lock(&self.conn);
            conn.request += 1;
            conn.body = Decoder::new(head.framing);
            conn.expects = head.expect_continue;
            conn.request
        };
        let body = match head.framing {
            Framing::Length(0) => Body::empty(),
            _ => Body::http1(Incoming { conn: Arc::clone(&self.conn), request: number }),
        };
        let leaves =
            head.method == Method::CONNECT || (head.version == Version::HTTP_11 && head.headers.contains_key(UPGRADE));
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.version_mut() = head.version;
        *request.headers_mut() = head.headers;
        let upgrade = leaves.then(|| {
            let (give, take) = oneshot::channel();
            request.extensions_mut().insert(Upgrade::new(take));
            give
        });
        (request, upgrade)
    }

    fn stays(&self, asked: &Asked, headers: &HeaderMap) -> bool {
        asked.keep_alive && !self.once && !self.drain.is_draining() && !heads::connection_names(headers, "close")
    }

    /// Sends an answer, one write for a small one.
    async fn answer(&self, asked: &Asked, response: Response, mut stays: bool) -> Sent {
        let (parts, mut body) = response.into_parts();
        let framing = asked.framing(parts.status, &parts.headers, &body);
        if framing == Some(Framing::UntilClose) {
            stays = false;
        }
        {
            let mut conn = lock(&self.conn);
            // Its body is not wanted any more: who waits to send it is told by the answer.
            conn.expects = false;
            let says = match framing {
                Some(framing) => Says::Body(framing),
                None if asked.head || parts.status == StatusCode::NOT_MODIFIED => Says::AsItIs,
                None => Says::Nothing,
            };
            let connection = match (stays, asked.version) {
                (false, Version::HTTP_11) if !heads::connection_names(&parts.headers, "close") => Some("close"),
                (true, Version::HTTP_10) => Some("keep-alive"),
                _ => None,
            };
            write::response(conn.wire.output(), asked.version, parts.status, &parts.headers, says, connection);
        }
        let mut out = Outgoing::new(framing, asked.trailers && parts.headers.contains_key(TRAILER));
        spare::give_back(parts.headers);
        std::future::poll_fn(|cx| self.poll_answer(&mut body, &mut out, cx)).await
    }

    fn poll_answer(&self, body: &mut Body, out: &mut Outgoing, cx: &mut Context<'_>) -> Poll<Sent> {
        loop {
            // The lock is not held while the body is asked: it may read the request's.
            {
                let mut conn = lock(&self.conn);
                if out.ended {
                    let sent = ready!(conn.wire.poll_send(cx));
                    return Poll::Ready(if sent.is_ok() { Sent::Whole } else { Sent::Cut });
                }
                if conn.wire.is_full() && ready!(conn.wire.poll_send(cx)).is_err() {
                    return Poll::Ready(Sent::Cut);
                }
            }
            if out.is_complete(body) {
                out.end(&mut lock(&self.conn).wire, None);
                continue;
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if !out.frame(&mut lock(&self.conn).wire, frame) {
                        return Poll::Ready(Sent::Cut);
                    }
                }
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

    fn put_switch(&self, asked: &Asked, response: &Response) {
        let mut conn = lock(&self.conn);
        let (status, headers) = (response.status(), response.headers());
        write::response(conn.wire.output(), asked.version, status, headers, Says::Nothing, None);
    }

    /// Hands the connection over to what comes after HTTP.
    async fn switch(&self, to: oneshot::Sender<Box<dyn Io>>) {
        let sent = std::future::poll_fn(|cx| lock(&self.conn).wire.poll_send(cx)).await;
        if sent.is_ok() {
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
                        drained += frame.data_ref().map_or(0, Bytes::len);
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
            write::response(conn.wire.output(), Version::HTTP_11, status, &HeaderMap::new(), says, Some("close"));
        }
        let _ = std::future::poll_fn(|cx| lock(&self.conn).wire.poll_send(cx)).await;
        self.close().await;
    }

    /// Ends this side, and for a short time reads what the client still sends: a socket that is closed with bytes unread
    /// resets, and the client would lose the answer.
    async fn close(&self) {
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

    fn poll_head(&mut self, cx: &mut Context<'_>, scan: &mut Scan) -> Poll<Option<Result<RequestHead, BadHead>>> {
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

    fn head(&mut self, scan: &mut Scan) -> Result<Option<RequestHead>, BadHead> {
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

    pub(in crate::http) fn size_hint(&self) -> SizeHint {
        let conn = lock(&self.conn);
        if conn.request != self.request {
            return SizeHint::default();
        }
        conn.body.left().map_or_else(SizeHint::default, SizeHint::with_exact)
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
    fn of(head: &RequestHead) -> Self {
        Self {
            version: head.version,
            head: head.method == Method::HEAD,
            connect: head.method == Method::CONNECT,
            keep_alive: head.keep_alive,
            trailers: head.headers.get(TE).is_some_and(names_trailers),
        }
    }

    fn is_switched(&self, status: StatusCode) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS || (self.connect && status.is_success())
    }

    /// How the answer's body is framed; `None` where there is none.
    fn framing(&self, status: StatusCode, headers: &HeaderMap, body: &Body) -> Option<Framing> {
        if self.head
            || status.is_informational()
            || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
            || (self.connect && status.is_success())
        {
            return None;
        }
        let said = || headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        Some(match body.size_hint().exact().or_else(said) {
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
