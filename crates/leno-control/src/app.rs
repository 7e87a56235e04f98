//! Wiring: source, hub and servers, with the addresses they really have.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use leno_config::LowerContext;
use leno_core::names::CONTROL_HOSTS;
use leno_identity::{Authority, TokenVerifier};
use leno_kit::drain::{self, Trigger};
use leno_xds::proto::ca::istio_certificate_service_server::IstioCertificateServiceServer;
use leno_xds::proto::discovery::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::boot::Settings;
use crate::hub::Hub;
use crate::serve::ads::Ads;
use crate::serve::auth::Authenticator;
use crate::serve::ca::Ca;
use crate::serve::monitor::Monitor;
use crate::serve::proxies::Proxies;
use crate::serve::tls;
use crate::source::files::{Files, watch};

/// Batches of objects that may wait for the hub.
const BATCHES: usize = 64;
/// Connections whose handshake is done and that wait for tonic.
const CONNECTIONS: usize = 64;
/// An idle proxy is asked so often whether it is still there, and counts as gone after as long again.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// For streams to end by themselves.
const DRAIN: Duration = Duration::from_secs(3);

/// A running control plane.
#[derive(Debug)]
pub struct App {
    /// xDS and CA.
    pub xds: SocketAddr,
    /// Metrics and reports.
    pub monitoring: SocketAddr,
    /// What is in force.
    pub hub: Arc<Hub>,
    /// Signs.
    pub authority: Arc<Authority>,
    trigger: Trigger,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl App {
    /// Reads the configuration, binds, and serves. When this returns, the first request will be answered.
    ///
    /// # Errors
    /// Says which file, address or key is the trouble.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let authority = Arc::new(authority(settings.ca_dir.as_deref(), &settings.trust_domain)?);
        let verifier = settings.token_key.as_deref().map(token_verifier).transpose()?;
        if verifier.is_none() {
            tracing::warn!("no --token-key: every proxy will be refused");
        }
        let xds = listen(settings.listen).await?;
        let monitoring = listen(settings.monitoring).await?;

        // Before anything is served: a proxy that comes back must not hear that services are gone.
        let (batches, inbox) = mpsc::channel(BATCHES);
        let context = LowerContext { trust_domain: settings.trust_domain.clone(), ..LowerContext::default() };
        let config = settings.config.clone();
        let first = tokio::task::spawn_blocking(move || watch(Files::new(&config, context), batches)).await?;
        let first = first.with_context(|| format!("--config {}", settings.config.display()))?;
        let hub = Hub::new(&settings.trust_domain, first);

        let (trigger, drain) = drain::channel();
        let proxies = Arc::new(Proxies::default());
        let auth = Authenticator::new(verifier);
        let names = CONTROL_HOSTS.iter().map(ToString::to_string).collect();
        let tls_settings = tls::settings(&authority, names)?;
        let app = Self {
            xds: xds.local_addr()?,
            monitoring: monitoring.local_addr()?,
            hub: Arc::clone(&hub),
            authority: Arc::clone(&authority),
            trigger,
            tasks: JoinSet::new(),
        };
        let mut tasks = JoinSet::new();
        let (run, end) = (Arc::clone(&hub).run(inbox), drain.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = run => anyhow::bail!("the configuration is not followed any more"),
                () = end.started() => Ok(()),
            }
        });
        let monitor = Monitor { hub: Arc::clone(&hub), proxies: Arc::clone(&proxies) };
        let end = drain.clone();
        tasks.spawn(async move {
            let ended = async move { end.started().await };
            monitor.serve(monitoring, ended).await.context("the monitoring server failed")
        });

        let (connections, incoming) = mpsc::channel(CONNECTIONS);
        tasks.spawn(async_ok(tls::accept(xds, tls_settings, connections)));
        let ca = Ca { authority, auth: auth.clone(), ttl_max: settings.cert_ttl_max, hub: Arc::clone(&hub) };
        let ads = Ads { hub, auth, proxies, drain: drain.clone() };
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_service(AggregatedDiscoveryServiceServer::new(ads))
            .add_service(IstioCertificateServiceServer::new(ca))
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), async move { drain.started().await });
        tasks.spawn(async { server.await.context("the xDS server failed") });
        tracing::info!(xds = %app.xds, monitoring = %app.monitoring, config = %settings.config.display(), "leno-control is ready");
        Ok(Self { tasks, ..app })
    }

    /// Runs until a part fails; a control plane that lost one is of no use.
    ///
    /// # Errors
    /// What failed.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(panic)) => anyhow::Error::new(panic).context("a task of the control plane died"),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a part of the control plane ended"),
        }
    }

    /// Sends the proxies away and ends.
    pub async fn shutdown(mut self) {
        self.trigger.drain(Duration::ZERO, Duration::ZERO).await;
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, all).await;
    }
}

async fn async_ok(future: impl Future<Output = ()>) -> anyhow::Result<()> {
    future.await;
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

fn authority(dir: Option<&Path>, trust_domain: &str) -> anyhow::Result<Authority> {
    match dir {
        Some(dir) => {
            let authority = Authority::load(dir, trust_domain);
            authority.with_context(|| format!("cannot use the certificate authority in {}", dir.display()))
        }
        None => {
            tracing::warn!("no --ca-dir: a new root is made in memory; certificates of an earlier run are worthless");
            Ok(Authority::generate(trust_domain)?)
        }
    }
}

fn token_verifier(file: &Path) -> anyhow::Result<TokenVerifier> {
    let context = || format!("--token-key {}", file.display());
    let pem = std::fs::read_to_string(file).with_context(context)?;
    TokenVerifier::from_pem(&pem).with_context(context)
}
