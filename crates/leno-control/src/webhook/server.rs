//! HTTPS for the API server: bounded in size, time and number of connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use leno_kit::Drain;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::Injector;
use super::inject::{Outcome, admit_pod};
use super::validate::validate;
use crate::metrics::add;

/// Serves `/inject` and `/validate` until the drain; `tls` looks its certificate up for each connection, so that it can be
/// renewed. What is asked before the drain is answered.
pub async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, injector: Arc<Injector>, drain: Drain) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = drain.started() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.started() => return,
        };
        match (accepted, place) {
            (Ok((stream, peer)), Ok(place)) => {
                let (acceptor, injector) = (TlsAcceptor::from(Arc::clone(&tls)), Arc::clone(&injector));
                let drain = drain.clone();
                tokio::spawn(async move {
                    connection(stream, peer, acceptor, injector, drain).await;
                    drop(place);
                });
            }
            (Err(error), _) => {
                // Out of file descriptors, as a rule.
                tracing::warn!(%error, "the webhooks cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
            (Ok(_), Err(_)) => return,
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor, injector: Arc<Injector>, drain: Drain) {
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // An API server with a stale caBundle shows here and nowhere else on our side.
            return tracing::info!(%peer, %error, "a TLS handshake with the webhooks failed");
        }
        Err(_) => return tracing::debug!(%peer, "a TLS handshake with the webhooks took too long"),
    };
    let service = service_fn(move |request| {
        let injector = Arc::clone(&injector);
        async move { Ok::<_, Infallible>(answer(request, &injector).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(IDLE).max_concurrent_streams(STREAMS);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = drain.started() => {
            // The one under way is finished, the next goes to another replica.
            served.as_mut().graceful_shutdown();
            let _active = drain.hold();
            served.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection to the webhooks ended");
    }
}

async fn answer(request: Request<Incoming>, injector: &Injector) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let known = ["/inject", "/validate"].iter().any(|p| path == *p);
    match (known, request.method()) {
        (false, _) if path == "/ready" => return text(StatusCode::OK, "ready\n"),
        (false, _) => return text(StatusCode::NOT_FOUND, "there are /inject and /validate\n"),
        (true, &Method::POST) => {}
        (true, _) => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
    }
    let body = tokio::time::timeout(BODY_LIMIT, Limited::new(request.into_body(), MAX_BODY).collect()).await;
    let body = match body {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body cannot be read: {error}\n")),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n"),
    };
    let answer = if path == "/inject" { injected(&body, injector).await } else { validated(&body, injector) };
    match answer {
        Ok(review) => {
            let mut response = text(StatusCode::OK, review.to_string());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(why) => text(StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

async fn injected(body: &[u8], injector: &Injector) -> Result<Value, String> {
    add(&injector.counters.requests);
    let begun = tokio::time::Instant::now();
    loop {
        let admission = admit_pod(body, &injector.settings.load(), &*injector.namespaces);
        match admission.as_ref().map(|a| (&a.outcome, &a.pod)) {
            Ok((Outcome::Refused(_), _)) if begun.elapsed() < NAMESPACE_WAIT => {
                // A namespace that was made a moment ago may be on its way to us.
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Ok((Outcome::Refused(reason), pod)) => {
                add(&injector.counters.failed);
                tracing::warn!(%pod, reason, "a pod was refused");
            }
            Ok((Outcome::Injected, pod)) => {
                add(&injector.counters.injected);
                tracing::info!(%pod, "injected");
            }
            Ok((Outcome::Skipped(reason), pod)) => {
                add(&injector.counters.skipped);
                tracing::info!(%pod, reason, "left without a sidecar");
            }
            Err(why) => {
                add(&injector.counters.failed);
                tracing::warn!(why, "a request to /inject cannot be read");
            }
        }
        return admission.map(|a| a.review);
    }
}

fn validated(body: &[u8], injector: &Injector) -> Result<Value, String> {
    let judgement = validate(body, &injector.context);
    match &judgement {
        Ok(judged) => match &judged.refused {
            Some(reason) => {
                add(&injector.counters.refused);
                tracing::info!(reason, "an object was refused");
            }
            None => add(&injector.counters.passed),
        },
        Err(why) => {
            add(&injector.counters.refused);
            tracing::warn!(why, "a request to /validate cannot be read");
        }
    }
    judgement.map(|j| j.review)
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// An object has at most 1.5 MiB, and a review may hold two.
pub const MAX_BODY: usize = 8 << 20;
const CONNECTIONS: usize = 256;
const STREAMS: u32 = 100;
const HANDSHAKE: Duration = Duration::from_secs(5);
const BODY_LIMIT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);
/// Well below the webhook's timeout of five seconds.
const NAMESPACE_WAIT: Duration = Duration::from_secs(2);
