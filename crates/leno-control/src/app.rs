//! Wiring: source, hub and servers, with the addresses they really have.
//!
//! [`files`] and [`cluster`] bring what differs: where objects, authority and identities come from. [`webhooks`] are a
//! cluster's only.

mod cluster;
mod files;
mod tidy;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use leno_identity::Authority;
use leno_kit::Drain;
use leno_kit::drain::Trigger;
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
use crate::serve::monitor::{Monitor, Readiness};
use crate::serve::proxies::Proxies;
use crate::serve::tls::{self, Certificate, Keys};
use crate::source::Batch;
use crate::webhook::Counters;

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
    /// Signs; in a cluster, the one of the start.
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
        if settings.cluster.kubernetes { cluster::start(settings).await } else { files::start(settings).await }
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

/// What both kinds of control plane serve by.
struct Parts {
    hub: Arc<Hub>,
    proxies: Arc<Proxies>,
    keys: Keys,
    auth: Authenticator,
    certificate: Arc<Certificate>,
    drain: Drain,
}

type Tasks = JoinSet<anyhow::Result<()>>;

impl Parts {
    /// Follows the source.
    fn follow(&self, inbox: mpsc::Receiver<Batch>, tasks: &mut Tasks) {
        let (run, end) = (Arc::clone(&self.hub).run(inbox), self.drain.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = run => anyhow::bail!("the configuration is not followed any more"),
                () = end.started() => Ok(()),
            }
        });
    }

    /// Serves xDS and certificates.
    fn serve(self, listener: TcpListener, ttl_max: Duration, tasks: &mut Tasks) -> anyhow::Result<()> {
        let (connections, incoming) = mpsc::channel(CONNECTIONS);
        let tls_settings = self.certificate.server(&[b"h2"])?;
        tasks.spawn(until(self.drain.clone(), tidy::keep()));
        tasks.spawn(async_ok(tls::accept(listener, tls_settings, connections)));
        let ca = Ca { keys: self.keys, auth: self.auth.clone(), ttl_max, hub: Arc::clone(&self.hub) };
        let ads = Ads { hub: self.hub, auth: self.auth, proxies: self.proxies, drain: self.drain.clone() };
        let drain = self.drain;
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_service(AggregatedDiscoveryServiceServer::new(ads))
            .add_service(IstioCertificateServiceServer::new(ca))
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), async move { drain.started().await });
        tasks.spawn(async { server.await.context("the xDS server failed") });
        Ok(())
    }
}

/// Serves metrics, health and reports.
fn monitor(
    listener: TcpListener,
    hub: &Arc<Hub>,
    proxies: &Arc<Proxies>,
    ready: &Arc<Readiness>,
    webhooks: Option<&Arc<Counters>>,
    drain: &Drain,
    tasks: &mut Tasks,
) {
    let webhooks = webhooks.map(Arc::clone);
    let monitor = Monitor { hub: Arc::clone(hub), proxies: Arc::clone(proxies), ready: Arc::clone(ready), webhooks };
    let end = drain.clone();
    tasks.spawn(async move {
        let ended = async move { end.started().await };
        monitor.serve(listener, ended).await.context("the monitoring server failed")
    });
}

/// Runs a part until the drain starts; it must not end before.
async fn until(drain: Drain, part: impl Future<Output = ()>) -> anyhow::Result<()> {
    tokio::select! {
        () = part => anyhow::bail!("a part of the control plane ended"),
        () = drain.started() => Ok(()),
    }
}

async fn async_ok(future: impl Future<Output = ()>) -> anyhow::Result<()> {
    future.await;
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
