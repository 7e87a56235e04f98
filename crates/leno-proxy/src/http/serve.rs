//! The server codecs, fed with a connection and a function from request to response: Leno's own for HTTP/1, hyper's for HTTP/2.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use leno_kit::Drain;

use super::body::{Body, Request, Response};
use super::client::{CONNECTION_WINDOW, HEAD_LIMIT_U32, SEND_BUFFER, STREAM_WINDOW};
use super::h1;
use crate::tcp::splice::Io;

/// Serves HTTP/1.x on `io` until the client leaves or the proxy drains. Requests on one connection are answered in order,
/// pipelined ones too.
pub async fn http1<F, R>(io: impl Io + 'static, drain: Drain, handle: F)
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    h1::serve(Box::new(io), drain, IDLE, handle).await;
}

/// Serves HTTP/2 on `io` until the client leaves or the proxy drains. When `leaving` resolves, the client is told to open its
/// next connection elsewhere (GOAWAY); what it has asked is answered.
pub async fn http2<F, R>(io: impl Io + 'static, drain: Drain, leaving: impl Future<Output = ()>, handle: F)
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEAD_LIMIT_U32)
        .max_concurrent_streams(STREAMS)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(io), hyper_service(handle));
    until_drained(connection, http2::Connection::graceful_shutdown, &drain, leaving).await;
}

/// The pipeline as hyper calls it.
fn hyper_service<F, R>(handle: F) -> impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send> + Send
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    service_fn(move |request: http::Request<Incoming>| {
        let answer = handle(request.map(Body::wire));
        async move { Ok::<_, Infallible>(answer.await) }
    })
}

/// Drives a connection to its end; when the proxy drains or `leaving` resolves, it is asked to end, and it is ended when the
/// drain's time is over.
async fn until_drained<C>(
    connection: C,
    shut_down: impl FnOnce(Pin<&mut C>),
    drain: &Drain,
    leaving: impl Future<Output = ()>,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let calm = drain.is_draining();
    let mut connection = pin!(connection);
    let asked = async {
        tokio::select! {
            // Accepted while draining, by a client that has not heard of it: it is served as long as there is time.
            () = drain.started(), if !calm => {}
            () = leaving => {}
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = asked => {
            shut_down(connection.as_mut());
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = drain.forced() => return,
            }
        }
        () = drain.forced() => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection ended early");
    }
}

/// A connection without a request for this long is closed (Envoy's idle timeout).
const IDLE: Duration = Duration::from_secs(3600);
/// Requests at once on one connection.
const STREAMS: u32 = 250;
