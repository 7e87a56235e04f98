//! One HTTP exchange on a fresh stream.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Ask;

/// The body of a 2xx answer.
///
/// # Errors
/// When there is no answer within [`LIMIT`], or another status.
pub(super) async fn exchange<S>(stream: S, ask: Ask<'_>) -> anyhow::Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::time::timeout(LIMIT, unbounded(stream, ask))
        .await
        .with_context(|| format!("no answer within {}s", LIMIT.as_secs()))?
}

async fn unbounded<S>(stream: S, Ask { method, path }: Ask<'_>) -> anyhow::Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header("host", "localhost").body(Full::<&[u8]>::default());
    let answer = sender.send_request(request?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    drop(sender);
    // A forwarded port may never say that it ended.
    connection.abort();
    if !status.is_success() {
        bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(body.to_vec())
}

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(5);
