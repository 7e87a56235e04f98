//! Gets certificates from the control plane's authority and renews them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use leno_core::id::SpiffeId;
use leno_identity::{Csr, Roots, Svid, tls};
use leno_kit::{Backoff, sock};
use leno_xds::ca_client;
use leno_xds::transport::{self, Connector, Timing};
use rustls_pki_types::ServerName;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::{debug, info, warn};

use super::Identity;
use crate::Settings;

/// How a certificate is got.
#[derive(Clone)]
pub struct Source {
    /// Who to be.
    pub id: SpiffeId,
    /// Life to ask for; the authority may give less.
    pub ttl: Duration,
    /// Opens a TLS stream to the control plane.
    pub connector: Connector,
    /// The token that proves who asks; read anew for each request, as it is rotated.
    pub token_file: PathBuf,
    /// Roots on disk, trusted in addition to those that come with each certificate; read anew for each request.
    pub root_cert_file: PathBuf,
}

impl Source {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: &Arc<Settings>) -> Self {
        Self {
            id: settings.identity(),
            ttl: settings.cert_ttl,
            connector: control_plane(settings),
            token_file: settings.token_file.clone(),
            root_cert_file: settings.root_cert_file.clone(),
        }
    }
}

/// Keeps `identity` supplied until the process ends: gets a certificate at once, and the next one at half of its life.
/// `connections` changes whenever the control plane has been reached on another way: then a renewal that failed is tried
/// again at once.
pub async fn run(identity: Identity, source: Source, mut connections: watch::Receiver<u64>) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        match fetch(&source).await.and_then(|(svid, roots)| take_over(&identity, svid, roots)) {
            Ok(renew_in) => {
                backoff.reset();
                tokio::time::sleep(renew_in).await;
            }
            Err(error) => {
                let wait = retry_wait(backoff.wait(rand::random()), identity.svid().as_deref().map(left));
                report(&identity, &error, wait);
                connections.mark_unchanged();
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    Ok(()) = connections.changed() => {}
                }
            }
        }
    }
}

/// Puts a certificate into force; says when to renew it.
fn take_over(identity: &Identity, svid: Svid, roots: Roots) -> anyhow::Result<Duration> {
    let now = SystemTime::now();
    let renew_in = svid.renew_at(rand::random()).duration_since(now).unwrap_or_default().max(SHORTEST_LIFE / 2);
    let life = left(&svid);
    let (serial, first) = (svid.serial.clone(), !identity.is_ready());
    identity.replace(svid, roots)?;
    if first {
        info!(%serial, life = ?rounded(life), "certificate is in");
    } else {
        debug!(%serial, life = ?rounded(life), renew_in = ?rounded(renew_in), "certificate renewed");
    }
    Ok(renew_in)
}

/// Between two failed attempts: by back-off, but the shorter the less is left of the certificate, and never long once it
/// is over: the pod is then cut off from the mesh.
fn retry_wait(wait: Duration, left: Option<Duration>) -> Duration {
    match left {
        Some(left) if left.is_zero() => wait.min(EXPIRED_WAIT),
        Some(left) => wait.min((left / 4).max(FIRST_WAIT)),
        None => wait,
    }
}

/// What is left of a certificate's life.
fn left(svid: &Svid) -> Duration {
    svid.not_after.duration_since(SystemTime::now()).unwrap_or_default()
}

fn report(identity: &Identity, error: &anyhow::Error, wait: Duration) {
    let reason = format!("{error:#}");
    // The same reason again is news only when nothing else is known of it.
    if identity.problem().as_ref() == Some(&reason) {
        debug!(%reason, ?wait, "still no new certificate");
    } else {
        match identity.svid().as_deref().map(left) {
            None => warn!(%reason, retry_in = ?wait, "no certificate yet"),
            Some(left) => {
                warn!(%reason, retry_in = ?wait, expires_in = ?rounded(left), "the certificate cannot be renewed");
            }
        }
    }
    identity.set_problem(Some(reason));
}

async fn fetch(source: &Source) -> anyhow::Result<(Svid, Roots)> {
    let token = read(&source.token_file).context("the token")?;
    let on_disk = read_roots(&source.root_cert_file)?;
    let csr = Csr::generate(&source.id)?;
    let channel = transport::connect(&source.connector, Timing::default()).await.map_err(|e| anyhow!(e))?;
    let answer = ca_client::sign(channel, &token, csr.pem(), source.ttl).await?;
    let (svid, roots) = csr.into_svid(&answer, SystemTime::now())?;
    Ok((svid, roots.union(&on_disk)))
}

/// Opens TLS streams to the control plane. Roots are read anew for each, so that a rotated bundle needs no restart.
#[must_use]
pub fn control_plane(settings: &Arc<Settings>) -> Connector {
    let settings = Arc::clone(settings);
    transport::connector(move || {
        let settings = Arc::clone(&settings);
        async move { open(&settings).await }
    })
}

async fn open(settings: &Settings) -> io::Result<TlsStream<tokio::net::TcpStream>> {
    let address = settings.control_address.as_str();
    let (host, _) = address.rsplit_once(':').ok_or(io::ErrorKind::InvalidInput)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let roots = read_roots(&settings.root_cert_file).map_err(|e| io::Error::other(format!("{e:#}")))?;
    let config = tls::control_client_config(&roots, &[b"h2"]).map_err(io::Error::other)?;
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    let stream = dial(address, settings.socket_mark).await?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Tries every address of the name, as a restarted control plane may be at another one than the resolver says first.
async fn dial(address: &str, mark: Option<u32>) -> io::Result<tokio::net::TcpStream> {
    let found = tokio::net::lookup_host(address).await;
    let found = found.map_err(|e| io::Error::new(e.kind(), format!("cannot resolve {address}: {e}")))?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{address} has no address"));
    for candidate in found {
        match tokio::time::timeout(CONNECT, sock::connect(candidate, mark)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => last = io::Error::new(e.kind(), format!("cannot connect to {address} ({candidate}): {e}")),
            Err(_) => {
                let message = format!("no connection to {address} ({candidate}) within {CONNECT:?}");
                last = io::Error::new(io::ErrorKind::TimedOut, message);
            }
        }
    }
    Err(last)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn read_roots(path: &Path) -> anyhow::Result<Roots> {
    let pem = read(path).context("the roots")?;
    Roots::from_pem(&pem).with_context(|| path.display().to_string())
}

/// For people: no nanoseconds.
fn rounded(d: Duration) -> Duration {
    Duration::from_millis(u64::try_from(d.as_millis() / 100 * 100).unwrap_or(u64::MAX))
}

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Once the certificate is over.
const EXPIRED_WAIT: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(4);
/// An authority that gives shorter ones is not asked more often than twice a second.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
