//! leno-viz's own certificate, with which sidecars tell it from everybody else.
//!
//! It is got from the control plane as a sidecar gets its own, by a ServiceAccount token, and only once somebody taps: who
//! never does needs none.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use leno_core::id::SpiffeId;
use leno_core::names::alpn;
use leno_identity::{Csr, Expected, Roots, Svid, tls};
use leno_xds::ca_client;
use leno_xds::transport::{self, Connector, Timing};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How a certificate is got.
#[derive(Clone, Debug)]
pub struct Source {
    /// Who to be.
    pub id: SpiffeId,
    /// `host:port` where the control plane signs.
    pub authority: String,
    /// Name that its certificate must have.
    pub authority_name: String,
    /// The token that proves who asks; read anew each time, as it is rotated.
    pub token_file: PathBuf,
    /// The mesh's roots.
    pub root_cert_file: PathBuf,
}

/// The identity, if there is one.
pub struct Identity {
    source: Option<Source>,
    kept: tokio::sync::Mutex<Option<Kept>>,
}

struct Kept {
    config: Arc<ClientConfig>,
    renew_at: SystemTime,
    not_after: SystemTime,
}

impl Identity {
    /// One that is got when it is needed; `None` = never.
    #[must_use]
    pub fn new(source: Option<Source>) -> Self {
        Self { source, kept: tokio::sync::Mutex::default() }
    }

    /// The client's side of mutual TLS with any sidecar of the trust domain, with a certificate that holds for some time.
    ///
    /// # Errors
    /// In words, why there is none.
    pub async fn client(&self) -> Result<Arc<ClientConfig>, String> {
        let source = self.source.as_ref().ok_or("leno-viz was started without --identity: sidecars know it by that")?;
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        if let Some(kept) = kept.as_ref().filter(|k| now < k.renew_at) {
            return Ok(Arc::clone(&kept.config));
        }
        match fetch(source).await {
            Ok(fresh) => {
                tracing::info!(id = %source.id, "certificate is in");
                Ok(Arc::clone(&kept.insert(fresh).config))
            }
            Err(error) => match kept.as_ref().filter(|k| now < k.not_after) {
                Some(old) => {
                    tracing::warn!("the certificate cannot be renewed: {error:#}");
                    Ok(Arc::clone(&old.config))
                }
                None => Err(format!("leno-viz has no certificate that sidecars would accept: {error:#}")),
            },
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("source", &self.source).finish_non_exhaustive()
    }
}

async fn fetch(source: &Source) -> anyhow::Result<Kept> {
    let token = tokio::fs::read_to_string(&source.token_file).await;
    let token = token.with_context(|| format!("the token, {}", source.token_file.display()))?;
    let pem = tokio::fs::read_to_string(&source.root_cert_file).await;
    let pem = pem.with_context(|| format!("the roots, {}", source.root_cert_file.display()))?;
    let on_disk = Roots::from_pem(&pem).with_context(|| source.root_cert_file.display().to_string())?;
    let csr = Csr::generate(&source.id)?;
    let channel = transport::connect(&connector(source, &on_disk)?, Timing::default()).await.map_err(|e| anyhow!(e))?;
    let answer = ca_client::sign(channel, &token, csr.pem(), LIFE).await?;
    let (svid, roots) = csr.into_svid(&answer, SystemTime::now())?;
    keep(&svid, &roots.union(&on_disk))
}

fn keep(svid: &Svid, roots: &Roots) -> anyhow::Result<Kept> {
    let config = tls::client_config(svid, roots, Expected::Any, &[alpn::HTTP_1_1])?;
    // The middle of the time in which sidecars spread theirs.
    Ok(Kept { config: Arc::new(config), renew_at: svid.renew_at(0.5), not_after: svid.not_after })
}

fn connector(source: &Source, roots: &Roots) -> anyhow::Result<Connector> {
    let config = TlsConnector::from(Arc::new(tls::control_client_config(roots, &[b"h2"])?));
    let name = ServerName::try_from(source.authority_name.clone())
        .with_context(|| format!("`{}` is not a name that a certificate could have", source.authority_name))?;
    let authority = source.authority.clone();
    Ok(transport::connector(move || {
        let (config, name, authority) = (config.clone(), name.clone(), authority.clone());
        async move {
            let connected = TcpStream::connect(&authority).await;
            let stream =
                connected.map_err(|e| io::Error::new(e.kind(), format!("cannot connect to {authority}: {e}")))?;
            config.connect(name, stream).await
        }
    }))
}

/// Host of `host:port`, where it is a name.
#[must_use]
pub fn name_of(authority: &str) -> Option<String> {
    let (host, _) = authority.rsplit_once(':')?;
    host.parse::<IpAddr>().is_err().then(|| host.to_owned()).filter(|h| !h.is_empty() && !h.starts_with('['))
}

/// What is asked for: a leaked one is of use for no longer.
const LIFE: Duration = Duration::from_secs(3600);
