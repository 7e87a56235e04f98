//! The codecs' servers, fed with a connection and a function from request to response.

use std::time::Duration;

use leno_kit::Drain;

use super::body::{Request, Response};
use super::{h1, h2};
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
    h2::serve(Box::new(io), drain, leaving, handle).await;
}

/// A connection without a request for this long is closed (Envoy's idle timeout).
const IDLE: Duration = Duration::from_secs(3600);
