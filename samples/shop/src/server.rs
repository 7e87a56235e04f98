//! An HTTP/1.1 and HTTP/2 (prior knowledge) server that ends cleanly on SIGTERM and can reset a connection on purpose.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What a handler says of one request.
pub(crate) enum Answer {
    /// Send this.
    Reply(Response<Body>),
    /// Send a TCP RST (HTTP/1) or reset the stream (HTTP/2) without an answer.
    Reset,
}

/// The connection a request came on.
#[derive(Clone)]
pub(crate) struct Peer {
    /// The client's address as this process sees it.
    pub(crate) address: SocketAddr,
}

/// A service of this program.
pub(crate) trait App: Send + Sync + 'static {
    /// Answers one request.
    fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> impl Future<Output = Answer> + Send;
}

/// A whole body at once.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Listens on all addresses, IPv6 too where the machine has it.
pub(crate) async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let all = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4([0, 0, 0, 0].into())];
    let addresses = all.map(|ip| SocketAddr::new(ip, port));
    TcpListener::bind(&addresses[..]).await.map_err(|error| anyhow::anyhow!("port {port}: {error}"))
}

/// Resolves when the process is asked to end (SIGTERM or SIGINT).
pub(crate) async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Serves until asked to end, then closes the listener, lets requests in flight finish for [`GRACE`] and returns.
pub(crate) async fn serve<A: App>(listener: TcpListener, app: Arc<A>) {
    let (ending, end) = watch::channel(false);
    let stop = asked_to_end();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, address)) => {
                tokio::spawn(connection(stream, address, app.clone(), end.clone()));
            }
            // Out of descriptors, or the client is gone already: neither ends the server.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    drop((listener, end));
    let _ = ending.send(true);
    let _ = tokio::time::timeout(GRACE, ending.closed()).await;
}

async fn connection<A: App>(stream: TcpStream, address: SocketAddr, app: Arc<A>, mut end: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(Conn { stream, reset: reset.clone() });
    // A dual-stack socket shows IPv4 clients as ::ffff:1.2.3.4.
    let peer = Peer { address: SocketAddr::new(address.ip().to_canonical(), address.port()) };
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, peer, reset) = (app.clone(), peer.clone(), reset.clone());
        async move {
            let multiplexed = request.version() == http::Version::HTTP_2;
            match app.handle(request, peer).await {
                Answer::Reply(reply) => Ok(reply),
                Answer::Reset => {
                    reset.store(!multiplexed, Ordering::Relaxed);
                    Err(io::Error::from(io::ErrorKind::ConnectionReset))
                }
            }
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).keep_alive(true);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1000);
    let serving = builder.serve_connection_with_upgrades(io, service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = end.changed() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

/// A connection that is reset instead of closed when `reset` was set before it is dropped.
struct Conn {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Conn {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper shuts a failed connection down before dropping it; a FIN first would hide the RST from the client.
        if self.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How long requests in flight may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
