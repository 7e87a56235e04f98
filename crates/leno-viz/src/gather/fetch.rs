//! One GET over plain HTTP/1.1.

use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// No usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("the answer breaks off or is too long: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is not what it should be: {0}")]
    Json(#[from] serde_json::Error),
    #[error("`{0}` is not an address")]
    Address(String),
}

/// Body of a 200 answer.
pub(crate) async fn get(address: &str, path: &str, patience: Duration) -> Result<Bytes, FetchError> {
    tokio::time::timeout(patience, exchange(address, path)).await.map_err(|_| FetchError::Timeout(patience))?
}

async fn exchange(address: &str, path: &str) -> Result<Bytes, FetchError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(header::HOST, address).header(header::CONNECTION, "close");
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| FetchError::Address(address.to_owned()))?;
    let answer = async move {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(FetchError::Body)
    };
    // Both on this task: dropping it closes the connection.
    let mut answer = std::pin::pin!(answer);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        done = &mut answer => done,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

/// Samples of a proxy at its budget take some megabytes.
const MAX_BODY: usize = 32 * 1024 * 1024;
