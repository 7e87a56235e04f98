//! gRPC over whatever stream the caller opens (TLS in production, plain pipes in tests).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};

/// A stream of bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Any stream.
pub type BoxIo = Box<dyn Io>;

/// Opens a stream to the control plane, TLS handshake included.
pub type Connector = Arc<dyn Fn() -> BoxFuture<'static, io::Result<BoxIo>> + Send + Sync>;

/// A [`Connector`] from a closure.
pub fn connector<F, Fut, S>(open: F) -> Connector
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: Io + 'static,
{
    Arc::new(move || {
        let stream = open();
        Box::pin(async move { stream.await.map(|s| Box::new(s) as BoxIo) })
    })
}

/// Limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// To open the stream, TLS handshake included; 5 s.
    pub connect: Duration,
    /// Between HTTP/2 pings; 10 s.
    pub keepalive: Duration,
    /// For a ping's answer, after which the peer counts as dead; 5 s.
    pub keepalive_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            keepalive: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
        }
    }
}

/// Opens a channel; it dies with its connection, the caller opens the next one.
///
/// # Errors
/// Says in words what failed, down to the operating system's or TLS's reason.
pub async fn connect(open: &Connector, timing: Timing) -> Result<Channel, String> {
    // The stream is opened first: tonic's connector would hide the reason of a failure behind "transport error", and
    // would try again on its own.
    let stream = tokio::time::timeout(timing.connect, open())
        .await
        .map_err(|_| format!("no connection within {:?}", timing.connect))?
        .map_err(|e| words(&e))?;
    let mut stream = Some(TokioIo::new(stream));
    let once = tower::service_fn(move |_: Uri| {
        let stream = stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { stream }
    });
    let endpoint = Endpoint::from_static("http://leno-control")
        .http2_keep_alive_interval(timing.keepalive)
        .keep_alive_timeout(timing.keepalive_timeout)
        .keep_alive_while_idle(true);
    endpoint.connect_with_connector(once).await.map_err(|e| words(&e))
}

/// An error with all its causes.
#[must_use]
pub fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let next = e.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = e.source();
    }
    text
}

/// A refusal by the server in words: the message alone says it, the code where there is none.
#[must_use]
pub fn status_words(status: &tonic::Status) -> String {
    let code = status.code().description();
    match (status.message(), std::error::Error::source(status)) {
        ("", None) => code.to_owned(),
        ("", Some(cause)) => words(cause),
        (message, None) => message.to_owned(),
        (message, Some(cause)) => format!("{message}: {}", words(cause)),
    }
}

/// Adds `authorization: Bearer TOKEN`.
///
/// # Errors
/// Where `token` holds anything but printable ASCII.
pub fn authorize<T>(request: &mut tonic::Request<T>, token: &str) -> Result<(), String> {
    let mut value: AsciiMetadataValue =
        format!("Bearer {}", token.trim()).parse().map_err(|_| "the token is not printable ASCII".to_owned())?;
    value.set_sensitive(true);
    request.metadata_mut().insert("authorization", value);
    Ok(())
}
