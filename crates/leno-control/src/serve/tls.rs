//! Accepts TLS connections for tonic.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use leno_identity::{Authority, tls::provider};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// For the whole handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The certificate is made anew so often: it lives much longer, and the authority may come to its end before.
const RENEW: Duration = Duration::from_secs(12 * 3600);
/// After a failure to make it.
const RENEW_AGAIN: Duration = Duration::from_secs(60);
/// After a failure to accept (too many open files).
const PAUSE: Duration = Duration::from_millis(100);

/// The authority in force. In a cluster it is replaced when its Secret is.
pub type Keys = watch::Receiver<Arc<Authority>>;

/// The present certificate for DNS names, renewed in the background, and at once when the authority is replaced. It is
/// in memory only.
#[derive(Debug)]
pub struct Certificate {
    present: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Makes the first one.
    ///
    /// # Errors
    /// When the authority cannot issue the certificate.
    pub fn new(keys: &Keys, names: Vec<String>) -> anyhow::Result<Arc<Self>> {
        let present = ArcSwap::new(issue(keys, &names)?);
        let certificate = Arc::new(Self { present });
        tokio::spawn(renew(Arc::downgrade(&certificate), keys.clone(), names));
        Ok(certificate)
    }

    /// Settings of a server that shows it, now and after every renewal.
    ///
    /// # Errors
    /// When rustls refuses the combination.
    pub fn server(self: &Arc<Self>, alpn: &[&[u8]]) -> anyhow::Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(self) as Arc<_>);
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present.load_full())
    }
}

fn issue(keys: &Keys, names: &[String]) -> anyhow::Result<Arc<CertifiedKey>> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let authority = Arc::clone(&keys.borrow());
    Ok(Arc::clone(authority.serving(&names)?.certified()))
}

async fn renew(certificate: Weak<Certificate>, mut keys: Keys, names: Vec<String>) {
    let mut wait = RENEW;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Ok(()) = keys.changed() => {}
        }
        let Some(certificate) = certificate.upgrade() else { return };
        wait = match issue(&keys, &names) {
            Ok(new) => {
                certificate.present.store(new);
                RENEW
            }
            Err(error) => {
                tracing::error!(%error, "the serving certificate cannot be renewed");
                RENEW_AGAIN
            }
        };
    }
}

/// Accepts connections and sends them on once their handshake is done; ends when nobody takes them.
pub async fn accept(
    listener: TcpListener,
    settings: Arc<ServerConfig>,
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
        let acceptor = TlsAcceptor::from(Arc::clone(&settings));
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
