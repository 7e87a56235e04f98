//! Accepts TLS connections for tonic.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use leno_identity::{Authority, tls::serving_config};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// For the whole handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The certificate is made anew so often: it lives much longer, and the authority may come to its end before.
const RENEW: Duration = Duration::from_secs(12 * 3600);
/// After a failure to make it, or to accept (too many open files).
const PAUSE: Duration = Duration::from_millis(100);

/// The present TLS settings, with a certificate for DNS names, renewed in the background.
///
/// # Errors
/// When the authority cannot issue the certificate.
pub fn settings(authority: &Arc<Authority>, names: Vec<String>) -> anyhow::Result<Arc<ArcSwap<ServerConfig>>> {
    let make = move |authority: &Authority| -> anyhow::Result<Arc<ServerConfig>> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(Arc::new(serving_config(&authority.serving(&names)?, &[b"h2"])?))
    };
    let settings = Arc::new(ArcSwap::new(make(authority)?));
    let (weak, authority) = (Arc::downgrade(&settings), Arc::clone(authority));
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(RENEW).await;
            let Some(settings) = weak.upgrade() else { return };
            match make(&authority) {
                Ok(new) => settings.store(new),
                Err(error) => tracing::error!(%error, "the serving certificate cannot be renewed"),
            }
        }
    });
    Ok(settings)
}

/// Accepts connections and sends them on once their handshake is done; ends when nobody takes them.
pub async fn accept(
    listener: TcpListener,
    settings: Arc<ArcSwap<ServerConfig>>,
    connections: mpsc::Sender<io::Result<Connection>>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connections.closed() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let acceptor = TlsAcceptor::from(settings.load_full());
        let connections = connections.clone();
        tokio::spawn(async move {
            // A push is small and must not wait for the next.
            let _ = stream.set_nodelay(true);
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(tls)) => {
                    let _ = connections.send(Ok(Connection { tls, peer })).await;
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
        });
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Connection {
    tls: TlsStream<TcpStream>,
    peer: SocketAddr,
}

impl Connected for Connection {
    type ConnectInfo = tonic::transport::server::TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        Self::ConnectInfo { local_addr: self.tls.get_ref().0.local_addr().ok(), remote_addr: Some(self.peer) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
