//! Mutual TLS between sidecars: connecting to an endpoint, accepting from a peer, and why either failed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use leno_core::Reason;
use leno_core::decide::retry::FailureKind;
use leno_core::id::SpiffeId;
use leno_identity::{Expected, PeerError, peer_error, peer_identity};
use leno_kit::sock;
use leno_tls::{Session, Stream};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use crate::detect::Prefixed;
use crate::identity::{Alpn, Identity};

/// A connection to an endpoint could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct DialError {
    /// Which way it failed.
    pub reason: Reason,
    /// In words, with the address.
    pub detail: String,
}

impl DialError {
    /// How retries see it.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        if self.reason == Reason::ConnectTimeout { FailureKind::ConnectTimeout } else { FailureKind::Connect }
    }
}

/// What a client does to be sure of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Nothing: the endpoint is not meshed, or takes plaintext.
    Plain,
    /// Mutual TLS with one of these identities.
    Mutual {
        /// Who it must be.
        expected: Expected,
        /// What is asked for: `outbound_.PORT_.SUBSET_.HOST`.
        sni: ServerName<'static>,
    },
}

/// Makes connections to endpoints.
#[derive(Clone, Debug)]
pub struct Dialer {
    identity: Identity,
    mark: Option<u32>,
    /// Addresses of this pod: what goes there does not leave it.
    own: Arc<[IpAddr]>,
}

impl Dialer {
    /// `mark` exempts own connections from interception where the uid does not; `own` are the pod's addresses.
    #[must_use]
    pub fn new(identity: Identity, mark: Option<u32>, own: &[IpAddr]) -> Self {
        Self { identity, mark, own: own.into() }
    }

    /// The pod's addresses: an endpoint there is dialled in plaintext, as its traffic does not cross a sidecar.
    #[must_use]
    pub fn own(&self) -> &[IpAddr] {
        &self.own
    }

    /// A plain connection, within `limit`.
    ///
    /// # Errors
    /// Refused, unreachable or too slow.
    pub async fn plain(&self, addr: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
        match tokio::time::timeout(limit, self.connect(addr)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                Err(DialError { reason: Reason::ConnectFailure, detail: format!("connecting to {addr}: {error}") })
            }
            Err(_) => Err(too_slow(addr, limit)),
        }
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        if addr.ip().is_loopback() || self.own.contains(&addr.ip()) {
            sock::connect_in_pod(addr, self.mark).await
        } else {
            sock::connect(addr, self.mark).await
        }
    }

    /// A mutually authenticated connection, within `limit` for connecting and the handshake together.
    ///
    /// # Errors
    /// As [`Self::plain`], and where the handshake fails or proves another identity.
    pub async fn mutual(
        &self,
        addr: SocketAddr,
        expected: &Expected,
        sni: &ServerName<'static>,
        alpn: Alpn,
        limit: Duration,
    ) -> Result<(Stream<TcpStream>, Session), DialError> {
        let config = self.config(expected, alpn)?;
        let start = tokio::time::Instant::now();
        let stream = self.plain(addr, limit).await?;
        let handshake = leno_tls::connect(config, sni.clone(), stream);
        match tokio::time::timeout_at(start + limit, handshake).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(error)) => Err(handshake_failed(addr, &error)),
            Err(_) => Err(too_slow(addr, limit)),
        }
    }

    fn config(&self, expected: &Expected, alpn: Alpn) -> Result<Arc<ClientConfig>, DialError> {
        self.identity.client_tls(expected, alpn).ok_or_else(|| DialError {
            reason: Reason::NotReady,
            detail: "this proxy has no certificate yet".to_owned(),
        })
    }
}

/// A peer that connected with the mesh's mutual TLS.
#[derive(Debug)]
pub struct Peer {
    /// Who it is, verified.
    pub id: SpiffeId,
    /// The certificate that says so.
    pub leaf: CertificateDer<'static>,
    /// The protocol agreed on (ALPN); empty where it asked for none.
    pub alpn: Vec<u8>,
}

/// Terminates mutual TLS of a connection whose first bytes were read already.
///
/// # Errors
/// In words: what is wrong with the peer's certificate, or with the handshake.
pub async fn accept(
    config: Arc<ServerConfig>,
    stream: Prefixed<TcpStream>,
) -> Result<(Stream<Prefixed<TcpStream>>, Peer), String> {
    let (stream, session) = match tokio::time::timeout(HANDSHAKE_LIMIT, leno_tls::accept(config, stream)).await {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(error)) => return Err(words(&error)),
        Err(_) => return Err("the TLS handshake took too long".to_owned()),
    };
    let id = peer_identity(&session.certificates).map_err(|e| e.to_string())?;
    let leaf = session.certificates.into_iter().next().ok_or_else(|| PeerError::NoCertificate.to_string())?;
    Ok((stream, Peer { id, leaf, alpn: session.alpn }))
}

fn handshake_failed(addr: SocketAddr, error: &io::Error) -> DialError {
    let peer = tls_error(error).and_then(peer_error);
    let mismatch = peer.as_ref().is_some_and(PeerError::is_identity_mismatch);
    let reason = if mismatch { Reason::IdentityMismatch } else { Reason::TlsFailure };
    let why = peer.map_or_else(|| error.to_string(), |p| p.to_string());
    DialError { reason, detail: format!("TLS with {addr}: {why}") }
}

fn words(error: &io::Error) -> String {
    tls_error(error).and_then(peer_error).map_or_else(|| error.to_string(), |p| p.to_string())
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>())
}

fn too_slow(addr: SocketAddr, limit: Duration) -> DialError {
    let detail = format!("connecting to {addr} took longer than {} ms", limit.as_millis());
    DialError { reason: Reason::ConnectTimeout, detail }
}

/// A peer that starts a handshake ends it within this time.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    /// The congestion control of a plain connection to a listener on `addr`, by a dialer of the pod with `own`.
    async fn control_to(addr: IpAddr, own: &[IpAddr]) -> Vec<u8> {
        let listener = sock::listen(SocketAddr::new(addr, 0)).unwrap();
        let dialer = Dialer::new(Identity::new(), None, own);
        let stream = dialer.plain(listener.local_addr().unwrap(), Duration::from_secs(5)).await.unwrap();
        let control = SockRef::from(&stream).tcp_congestion().unwrap();
        control.split(|b| *b == 0).next().unwrap_or_default().to_vec()
    }

    #[tokio::test]
    async fn connections_to_the_pod_itself_are_not_paced() {
        assert_eq!(control_to(IpAddr::from([127, 0, 0, 1]), &[]).await, b"reno");
        // Any other address of this machine will do for the pod's own.
        let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        if probe.connect("192.0.2.1:9").is_ok() {
            let addr = probe.local_addr().unwrap().ip();
            assert_eq!(control_to(addr, &[addr]).await, b"reno");
            let default = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap();
            assert_eq!(control_to(addr, &[]).await, default.trim().as_bytes());
        }
    }
}
