//! One HTTP/1.1 server per port: small, bounded, and never in the way of the data path.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use leno_core::id::SpiffeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::body::Body;
use crate::App;
use crate::detect::Prefixed;
use crate::tls;

/// Connections to one port at a time; more wait to be accepted. A scraper or a probe needs one.
const CONNECTIONS: usize = 64;
/// A client that sends no request for so long is cut, so that idle ones cannot take all connections.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// What is read at a time.
const BUFFER: usize = 16 * 1024;
/// Questions at a time on one connection.
const STREAMS: u32 = 16;
/// First byte of a TLS handshake record.
const HANDSHAKE: u8 = 22;

/// What a page needs of a request.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) peer: SocketAddr,
    /// `User-Agent`.
    pub(super) agent: Option<HeaderValue>,
    /// Who asks, where it proved that by mutual TLS.
    pub(super) caller: Option<SpiffeId>,
    /// `Accept`.
    pub(super) accept: Option<HeaderValue>,
}

impl Ask {
    /// The value of a query parameter; none of ours needs percent-decoding.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.split('&').filter_map(|p| p.split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| value)
    }
}

/// Whether a port also takes the mesh's mutual TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Plain HTTP.
    Plain,
    /// Either: the first byte tells.
    Both,
}

/// Accepts until the process ends.
pub(super) async fn run<P, F>(listener: TcpListener, takes: Takes, app: Arc<App>, page: P)
where
    P: Fn(Arc<App>, Ask) -> F + Copy + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let app = Arc::clone(&app);
                tokio::spawn(async move {
                    match takes {
                        Takes::Both if begins_tls(&stream).await => secured(stream, peer, app, page).await,
                        _ => serve(stream, (peer, None), app, page).await,
                    }
                    drop(place);
                });
            }
            Err(e) => {
                // Out of file descriptors, as a rule: trying at once again would only burn CPU.
                tracing::warn!("an admin server cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Whether a client's first byte is that of a TLS handshake. It is left for who reads on.
async fn begins_tls(stream: &TcpStream) -> bool {
    let mut first = [0];
    let read = timeout(PATIENCE, stream.peek(&mut first)).await;
    matches!(read, Ok(Ok(1))) && first[0] == HANDSHAKE
}

async fn secured<P, F>(stream: TcpStream, peer: SocketAddr, app: Arc<App>, page: P)
where
    P: Fn(Arc<App>, Ask) -> F + Copy + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Some(config) = app.identity.server_tls() else {
        tracing::debug!(%peer, "TLS on an admin port before there is a certificate");
        return;
    };
    match tls::accept(config, Prefixed::new(Bytes::new(), stream)).await {
        Ok((stream, caller)) => serve(stream, (peer, Some(caller.id)), app, page).await,
        Err(why) => tracing::debug!(%peer, "TLS on an admin port: {why}"),
    }
}

pub(super) async fn serve<S, P, F>(stream: S, (peer, caller): (SocketAddr, Option<SpiffeId>), app: Arc<App>, page: P)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    P: Fn(Arc<App>, Ask) -> F + Copy + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let secured = caller.is_some();
    let heard = Arc::new(watch::Sender::new(0_u64));
    let asked = Arc::clone(&heard);
    let answer = service_fn(move |request: Request<Incoming>| {
        asked.send_modify(|count| *count = count.wrapping_add(1));
        let ask = Ask {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            peer,
            agent: request.headers().get(header::USER_AGENT).cloned(),
            caller: caller.clone(),
            accept: request.headers().get(header::ACCEPT).cloned(),
        };
        let headless = ask.method == Method::HEAD;
        let page = page(Arc::clone(&app), ask);
        async move {
            let mut response = page.await;
            if headless {
                *response.body_mut() = Body::Whole(None);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let done = if secured {
        // A sidecar multiplexes what its pod asks, so it may come by HTTP/2.
        let mut both = auto::Builder::new(TokioExecutor::new());
        both.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(BUFFER);
        both.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
        let mut connection = pin!(both.serve_connection(TokioIo::new(stream), answer));
        let done = tokio::select! {
            done = connection.as_mut() => Ok(done),
            () = silence(heard.subscribe()) => {
                // HTTP/1.1 has a limit of its own for this, HTTP/2 none. What is under way may end.
                connection.as_mut().graceful_shutdown();
                timeout(PATIENCE, connection).await
            }
        };
        done.map_err(|_| "nothing was asked for too long".to_owned()).and_then(|done| done.map_err(|e| e.to_string()))
    } else {
        let plain = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), answer);
        plain.await.map_err(|e| e.to_string())
    };
    if let Err(e) = done {
        tracing::debug!(%peer, "an admin connection ended: {e}");
    }
}

/// Resolves once nothing was asked for [`PATIENCE`].
async fn silence(mut asked: watch::Receiver<u64>) {
    while matches!(timeout(PATIENCE, asked.changed()).await, Ok(Ok(()))) {}
}
