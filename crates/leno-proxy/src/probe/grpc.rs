//! A probe by `grpc.health.v1.Health/Check`. Its two messages are small enough to be written by hand: a string in field 1,
//! and an enum in field 1 whose value 1 is `SERVING`.

use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::http::Aborting;
use super::{Origin, Verdict, agent_or_own, connect};

/// Asks how `service` is; the empty name stands for the whole server.
pub(super) async fn ask(address: SocketAddr, from: Origin, service: &str, agent: Option<&HeaderValue>) -> Verdict {
    match check(address, from, service, agent).await {
        Ok(()) => Verdict::well(),
        Err(why) => Verdict::unwell(why),
    }
}

async fn check(address: SocketAddr, from: Origin, service: &str, agent: Option<&HeaderValue>) -> Result<(), String> {
    let stream = connect(address, from.mark).await?;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|e| e.to_string())?;
    let task = Aborting(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let uri = format!("http://{address}/grpc.health.v1.Health/Check");
    let request = Request::post(uri)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, agent_or_own(agent))
        .body(Full::new(message(service)?))
        .map_err(|e| e.to_string())?;
    let response = sender.send_request(request).await.map_err(|e| format!("no answer: {e}"))?;
    let in_head = response.headers().get("grpc-status").cloned();
    let body = Limited::new(response.into_body(), BODY).collect().await.map_err(|e| e.to_string())?;
    drop(task);
    let status = body.trailers().and_then(|t| t.get("grpc-status")).cloned().or(in_head);
    match (status.as_ref().and_then(|s| s.to_str().ok()), body.to_bytes().get(5..)) {
        (Some("0"), Some([0x08, 1, ..])) => Ok(()),
        (Some("0"), _) => Err("the application is not SERVING".to_owned()),
        (Some("12"), _) => Err("the application does not serve grpc.health.v1.Health".to_owned()),
        (status, _) => Err(format!("gRPC status {}", status.unwrap_or("missing"))),
    }
}

fn message(service: &str) -> Result<Bytes, String> {
    let mut inner = BytesMut::new();
    if !service.is_empty() {
        inner.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            inner.put_u8(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        inner.put_u8(u8::try_from(length).unwrap_or(0));
        inner.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(inner.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(inner.len()).map_err(|_| "the service's name is too long")?);
    frame.put(inner);
    Ok(frame.freeze())
}

const BODY: usize = 4096;
