//! Opaque connections: to an endpoint by weight, SNI or address, and then bytes both ways.

pub mod gather;
pub mod splice;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leno_core::Reason;
use leno_core::decide::outlier::Outcome;
use leno_core::decide::route::{self as decide, ConnectionDecision, ConnectionFacts};
use leno_core::id::Direction;
use leno_core::model::route::WeightedBackend;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cluster::endpoint::Busy;
use crate::cluster::{Cluster, Endpoint, Permit};
use crate::datapath::DataPath;
use crate::detect::Prefixed;
use crate::http::phase::route::cluster_of;
use crate::inbound::Inbound;
use crate::outbound::{Outbound, Target};
use crate::telemetry::{TcpGuard, TcpLabels};
use splice::{Io, Meter, splice};

/// A connection to an endpoint, ready to carry bytes.
pub struct Opened {
    /// The connection.
    pub io: Prefixed<Box<dyn Io>>,
    endpoint: Arc<Endpoint>,
    cluster: Arc<Cluster>,
    _busy: Busy,
    _permit: Permit,
}

impl Opened {
    /// With bytes that were read from the endpoint already.
    #[must_use]
    pub fn with_prefix(mut self, bytes: Bytes) -> Self {
        self.io = Prefixed::new(bytes, self.io.into_inner());
        self
    }
}

/// A connection that could not be made.
pub struct Failed {
    reason: Reason,
    detail: String,
    cluster: Option<Arc<Cluster>>,
}

impl Failed {
    /// Counts and logs it. The client's connection is closed by whoever drops it.
    pub fn report(self, from: &Outbound, sni: Option<&str>) {
        let mut labels = labels(from, sni);
        if let Some(cluster) = &self.cluster {
            labels.upstream_cluster = Arc::clone(&cluster.name);
        }
        from.path.app.telemetry.tcp_open(labels).close(self.reason, &self.detail);
    }
}

/// Carries a connection of the application to wherever rules send it.
pub async fn outbound(from: &Outbound, client: Prefixed<TcpStream>, sni: Option<String>) {
    match open(from, sni.as_deref()).await {
        Ok(opened) => carry(from, client, opened, sni.as_deref()).await,
        Err(failed) => failed.report(from, sni.as_deref()),
    }
}

/// Connects to an endpoint; to another one where that fails.
///
/// # Errors
/// Where the destination does not exist, or no endpoint could be connected to.
pub async fn open(from: &Outbound, sni: Option<&str>) -> Result<Opened, Failed> {
    let (cluster, pinned) = destination(from, sni).await?;
    let fail = |reason, detail: String| Failed { reason, detail, cluster: Some(Arc::clone(&cluster)) };
    cluster.deposit(Instant::now());
    let permit = cluster.admission.connection().map_err(|r| fail(r, String::new()))?;
    let limit = cluster.set().limits.connect_timeout;
    let mut tried: Vec<SocketAddr> = Vec::new();
    loop {
        let started = Instant::now();
        let endpoint = match &pinned {
            Some(endpoint) => Arc::clone(endpoint),
            None => cluster.pick(&cluster.set(), &tried, None, started).map_err(|r| fail(r, String::new()))?,
        };
        match endpoint.connect(cluster.dialer(), limit).await {
            Ok(io) => {
                cluster.note(&endpoint, Outcome::Success, Some(started.elapsed()), Instant::now());
                let (busy, io) = (endpoint.busy(), Prefixed::new(Bytes::new(), io));
                return Ok(Opened { io, endpoint, cluster: Arc::clone(&cluster), _busy: busy, _permit: permit });
            }
            Err(error) => {
                cluster.note(&endpoint, Outcome::LocalOrigin, Some(PENALTY), Instant::now());
                tried.push(endpoint.addr);
                if tried.len() >= TRIES {
                    return Err(fail(error.reason, error.detail));
                }
            }
        }
    }
}

/// Carries bytes until both sides have ended, and reports it.
pub async fn carry(from: &Outbound, mut client: Prefixed<TcpStream>, mut opened: Opened, sni: Option<&str>) {
    let _active = from.path.app.drain.hold();
    let mut labels = labels(from, sni);
    let mutual = opened.endpoint.is_mutual();
    labels.mtls = mutual;
    labels.source = from.path.me().info(mutual);
    labels.destination = opened.endpoint.peer.clone();
    labels.upstream_addr = Some(opened.endpoint.addr);
    labels.upstream_cluster = Arc::clone(&opened.cluster.name);
    if let Some(service) = &opened.cluster.service {
        labels.service = Some(Arc::clone(service));
    }
    let idle = opened.cluster.set().limits.tcp_idle;
    let guard = Guard(from.path.app.telemetry.tcp_open(labels));
    let ended = until_forced(&from.path, splice(&mut client, &mut opened.io, idle, &guard)).await;
    guard.0.close(ended.reason, &ended.detail);
}

/// Carries an inbound connection to the application.
pub async fn inbound(from: &Inbound, client: &mut (impl Io + ?Sized), connected: Option<Prefixed<TcpStream>>) {
    let _active = from.path.app.drain.hold();
    let mut labels = TcpLabels::new(Direction::Inbound);
    let mutual = from.peer_id.is_some();
    labels.mtls = mutual;
    labels.source = from.source(None);
    labels.destination = from.path.me().info(mutual);
    labels.service.clone_from(&from.service);
    labels.upstream_addr = Some(from.downstream().dialled);
    labels.upstream_cluster = Arc::clone(&from.cluster.name);
    labels.downstream_local = Some(from.downstream().dialled);
    labels.downstream_remote = Some(from.downstream().client);
    labels.sni = Arc::clone(&from.downstream().sni);
    let guard = Guard(from.path.app.telemetry.tcp_open(labels));
    if let Err((reason, detail)) = from.admit_connection() {
        guard.0.close(reason, &detail);
        return;
    }
    let connected = match connected {
        Some(app) => Ok(app),
        None => from.connect_app().await,
    };
    match connected {
        Ok(mut app) => {
            let ended = until_forced(&from.path, splice(client, &mut app, IDLE, &guard)).await;
            guard.0.close(ended.reason, &ended.detail);
        }
        Err(error) => guard.0.close(Reason::AppUnreachable, &error.detail),
    }
}

/// Counts and logs a connection that is refused before anything is known of its endpoint.
pub fn refuse_outbound(path: &DataPath, client: SocketAddr, dialled: SocketAddr, reason: Reason) {
    let mut labels = TcpLabels::new(Direction::Outbound);
    labels.source = path.me().info(false);
    labels.downstream_local = Some(dialled);
    labels.downstream_remote = Some(client);
    labels.upstream_cluster = "BlackHoleCluster".into();
    tracing::info!(%client, %dialled, "refused: {}", reason.sentence());
    path.app.telemetry.tcp_open(labels).close(reason, "");
}

/// The cluster that rules send the connection to, and the endpoint where the application chose it itself.
async fn destination(from: &Outbound, sni: Option<&str>) -> Result<(Arc<Cluster>, Option<Arc<Endpoint>>), Failed> {
    let Target::Service { handle, .. } = &from.target else { return Ok((from.address_cluster(), None)) };
    let view = handle.current();
    let viewer = from.path.app.discovery.viewer();
    let facts = ConnectionFacts {
        port: from.port(),
        destination: from.downstream().dialled.ip(),
        source_labels: &viewer.labels,
        source_namespace: &viewer.namespace,
    };
    let table = view.routes.as_deref();
    let refuse = |reason, detail: String| Failed { reason, detail, cluster: None };
    let none = || refuse(Reason::RouteNotFound, table.map(|t| t.origin.to_string()).unwrap_or_default());
    let backends: &[WeightedBackend] = match sni.map(|s| decide::tls_route(table, &facts, Some(s))) {
        Some(ConnectionDecision::Rule { route, .. }) => &route.backends,
        Some(ConnectionDecision::NotFound) => return Err(none()),
        Some(ConnectionDecision::Service) | None => match decide::tcp_route(table, &facts) {
            ConnectionDecision::Rule { route, .. } => &route.backends,
            ConnectionDecision::NotFound => return Err(none()),
            ConnectionDecision::Service => {
                return Ok((from.path.clusters.of_handle(handle, from.port()), None));
            }
        },
    };
    let chosen = decide::pick_backend(backends, rand::random())
        .ok_or_else(|| refuse(Reason::NoHealthyUpstream, "all weights of the rule are 0".to_owned()))?;
    let backend = &chosen.backend;
    cluster_of(from, &backend.service, backend.subset.as_deref(), backend.port, from.port())
        .await
        .map(|cluster| (cluster, None))
        .map_err(|reply| refuse(reply.reason, reply.detail))
}

fn labels(from: &Outbound, sni: Option<&str>) -> TcpLabels {
    let mut labels = TcpLabels::new(Direction::Outbound);
    labels.source = from.path.me().info(false);
    labels.service = from.handle().map(|h| from.service_ref(h));
    labels.downstream_local = Some(from.downstream().dialled);
    labels.downstream_remote = Some(from.downstream().client);
    if let Some(sni) = sni {
        labels.sni = sni.into();
    }
    labels
}

async fn until_forced(path: &DataPath, splicing: impl Future<Output = splice::Ended>) -> splice::Ended {
    tokio::select! {
        ended = splicing => ended,
        () = path.app.drain.forced() => {
            splice::Ended { reason: Reason::Draining, detail: "the proxy ended".to_owned() }
        }
    }
}

struct Guard(TcpGuard);

impl Meter for Guard {
    fn received(&self, bytes: u64) {
        self.0.add_received(bytes);
    }

    fn sent(&self, bytes: u64) {
        self.0.add_sent(bytes);
    }
}

/// Endpoints tried until a connection is made.
const TRIES: usize = 3;
/// What a failure to connect weighs in an endpoint's latency.
const PENALTY: Duration = Duration::from_secs(1);
/// Idle time of inbound opaque connections (Istio's default).
const IDLE: Duration = Duration::from_secs(3600);
