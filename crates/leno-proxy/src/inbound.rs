//! Connections to this pod's application: who calls, whether that is allowed in this form, and on to [`crate::http`] or
//! [`crate::tcp`].

pub mod probe;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use leno_core::Reason;
use leno_core::decide::authn::{self, Arrival};
use leno_core::decide::authz::{self, AuthzFacts, AuthzVerdict};
use leno_core::id::{Direction, SpiffeId};
use leno_core::model::{AddressTarget, Protocol};
use leno_core::names::alpn;
use leno_identity::forwarded_client_cert;
use leno_kit::sock;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};

use crate::App;
use crate::cluster::{Cluster, lock};
use crate::datapath::{DataPath, Destination};
use crate::detect::{self, First, Prefixed, Race, Spoken};
use crate::discovery::{Discovery, Lookup, Own};
use crate::http::body::Head;
use crate::http::phase::facts::Downstream;
use crate::http::phase::peer;
use crate::http::{pipeline, serve as serve_http};
use crate::tcp;
use crate::tcp::splice::Io;
use crate::telemetry::{PeerInfo, ServiceRef, TcpLabels};
use crate::tls::{self, DialError};
use probe::{Probe, Probes};

/// Accepts and serves inbound connections until the drain is over: others learn only by and by that this pod is going.
pub async fn serve(listener: TcpListener, app: App) {
    serve_with(listener, DataPath::new(app), Destination::Intercepted, Probes::from_env()).await;
}

/// As [`serve`], with a way of its own to learn where connections were going.
pub async fn serve_with(listener: TcpListener, path: Arc<DataPath>, destination: Destination, probes: Probes) {
    let drain = path.app.drain.clone();
    let probes = Arc::new(probes);
    // Comforts: connections without them still work.
    let _ = sock::tune(&listener);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.forced() => return,
        };
        match accepted {
            Ok((stream, client)) => {
                let Some(dialled) = destination.of(&stream).filter(|d| !is_loop(&path, d.0)) else {
                    tracing::warn!(%client, "refused: the connection was made to this proxy itself");
                    continue;
                };
                let downstream = Downstream {
                    client: sock::canonical(client),
                    dialled: sock::canonical(dialled.0),
                    sni: Arc::default(),
                };
                tokio::spawn(connection(Arc::clone(&path), stream, downstream, Arc::clone(&probes)));
            }
            Err(error) => {
                // Out of file descriptors, for one: others must end first.
                tracing::warn!(%error, "cannot accept inbound connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One admitted connection to the application.
#[derive(Debug)]
pub struct Inbound {
    /// The parts of the proxy.
    pub path: Arc<DataPath>,
    /// The client's verified identity; `None` in plaintext.
    pub peer_id: Option<Arc<SpiffeId>>,
    /// What the application is told of the client's certificate.
    pub client_cert: Option<HeaderValue>,
    /// The application.
    pub cluster: Arc<Cluster>,
    /// The service that names the port, if one does.
    pub service: Option<Arc<ServiceRef>>,
    /// What a plaintext connection of the node is restricted to.
    pub probe: Option<Probe>,
    /// What the node may ask as a probe, restricted or not: such requests are not the mesh's traffic and are not counted.
    pub declared: Option<Probe>,
    downstream: Downstream,
    /// What is known of the client without its sidecar's word.
    by_address: OnceLock<PeerInfo>,
    /// What its sidecar said last, and what that means.
    told: Mutex<Option<(HeaderValue, PeerInfo)>>,
}

impl Inbound {
    /// Both ends of the client's connection.
    #[must_use]
    pub const fn downstream(&self) -> &Downstream {
        &self.downstream
    }

    /// Whether the request is a probe that the pod declares, from its node.
    #[must_use]
    pub fn is_probe(&self, head: &Head) -> bool {
        self.peer_id.is_none() && self.declared.as_ref().is_some_and(|p| p.admits(&head.method, head.uri.path()))
    }

    /// Who calls: as its sidecar told, else as its address is known.
    #[must_use]
    pub fn source(&self, told: Option<&HeaderValue>) -> PeerInfo {
        if let Some(told) = told {
            let mut last = lock(&self.told);
            if let Some((_, peer)) = last.as_ref().filter(|(header, _)| header == told) {
                return peer.clone();
            }
            if let Some(peer) = peer::parse(told, self) {
                *last = Some((told.clone(), peer.clone()));
                return peer;
            }
        }
        let unnamed = || PeerInfo { workload: None, principal: self.peer_id.clone() };
        self.by_address.get().cloned().unwrap_or_else(unnamed)
    }

    /// The connection as policies judge it.
    #[must_use]
    pub fn authz_facts(&self) -> AuthzFacts<'_> {
        let Downstream { client, dialled, sni } = &self.downstream;
        AuthzFacts {
            peer: self.peer_id.as_deref(),
            source_ip: client.ip(),
            destination_ip: dialled.ip(),
            destination_port: dialled.port(),
            sni: Some(&**sni).filter(|s| !s.is_empty()),
            http: None,
        }
    }

    /// Judges an opaque connection by the policies in force now.
    ///
    /// # Errors
    /// Where a policy denies it.
    pub fn admit_connection(&self) -> Result<(), (Reason, String)> {
        if self.probe.as_ref().is_some_and(|p| p.tcp) {
            return Ok(());
        }
        let own = self.path.app.discovery.own();
        let policies = [&*own.policies, &*own.root_policies];
        let (workload, root) = (&own.workload, &own.mesh.root_namespace);
        let applicable = authz::applicable(&policies, &workload.namespace, &workload.labels, root);
        match authz::authorize(applicable, &self.authz_facts()) {
            AuthzVerdict::Allow { .. } => Ok(()),
            AuthzVerdict::Deny { by, why, .. } => {
                let policy = by.map_or_else(|| "no policy".to_owned(), ToString::to_string);
                let detail = format!("{policy}: {}", why.sentence());
                tracing::info!(client = %self.downstream.client, dialled = %self.downstream.dialled, "denied by {detail}");
                Err((Reason::PolicyDenied, detail))
            }
        }
    }

    /// Connects to the application.
    ///
    /// # Errors
    /// Where it does not listen.
    pub async fn connect_app(&self) -> Result<Prefixed<TcpStream>, DialError> {
        let limit = self.cluster.set().limits.connect_timeout;
        let stream = self.cluster.dialer().plain(self.downstream.dialled, limit).await?;
        Ok(Prefixed::new(Bytes::new(), stream))
    }
}

async fn connection(path: Arc<DataPath>, mut stream: TcpStream, downstream: Downstream, probes: Arc<Probes>) {
    if tokio::time::timeout(READY_LIMIT, path.app.discovery.ready()).await.is_err() {
        return refuse(&path, &downstream, Reason::NotReady, "");
    }
    let own = path.app.discovery.own();
    let strict = mode_refuses_plaintext(&own, downstream.dialled.port());
    let first = if strict {
        // Mutual TLS begins with the client: there is nobody to wait for.
        tokio::time::timeout(HELLO_LIMIT, detect::first_bytes(&mut stream, None)).await.unwrap_or(Ok(First::Silent))
    } else {
        detect::first_bytes(&mut stream, Some(silence(&path, downstream.dialled))).await
    };
    let arrived = Arrived { path, downstream, own, strict, probes };
    match first {
        Ok(First::Spoke(Spoken::Tls, bytes)) => arrived.tls(stream, bytes, None).await,
        Ok(First::Spoke(spoken, bytes)) => arrived.plain(stream, spoken, bytes, None).await,
        Ok(First::Silent) => arrived.silent(stream).await,
        Ok(First::Closed) => {}
        Err(error) => tracing::debug!(%error, "a client broke off before it said anything"),
    }
}

/// A connection that has not been admitted yet.
struct Arrived {
    path: Arc<DataPath>,
    downstream: Downstream,
    own: Arc<Own>,
    strict: bool,
    probes: Arc<Probes>,
}

impl Arrived {
    /// The client waits, in plaintext: perhaps for the application.
    async fn silent(self, mut stream: TcpStream) {
        let probe = self.probes.of(&self.downstream);
        if self.strict && !probe.as_ref().is_some_and(|p| p.tcp) {
            return refuse(&self.path, &self.downstream, Reason::PlaintextRefused, "the client said nothing");
        }
        let inbound = self.admitted(None, probe).await;
        let Ok(mut app) = inbound.connect_app().await else {
            return refuse(&self.path, &self.downstream, Reason::AppUnreachable, "");
        };
        match detect::race(&mut stream, &mut app, RACE_LIMIT).await {
            Ok(Race::Server(bytes)) => {
                self.path.learn_first(self.downstream.dialled);
                let app = Prefixed::new(bytes, app.into_inner());
                tcp::inbound(&inbound, &mut stream, Some(app)).await;
            }
            Ok(Race::Client(First::Spoke(Spoken::Tls, bytes))) => self.tls(stream, bytes, Some(app)).await,
            Ok(Race::Client(First::Spoke(spoken, bytes))) => self.plain(stream, spoken, bytes, Some(app)).await,
            Ok(Race::Client(First::Silent | First::Closed)) => {
                tcp::inbound(&inbound, &mut stream, Some(app)).await;
            }
            Err(error) => tracing::debug!(%error, "the application broke off before anybody said anything"),
        }
    }

    /// TLS: the mesh's own is terminated, any other is the application's.
    async fn tls(self, mut stream: TcpStream, bytes: Bytes, app: Option<Prefixed<TcpStream>>) {
        let Ok(hello) = detect::whole_hello(&mut stream, bytes).await else { return };
        if detect::is_mesh(&hello) {
            return self.mutual(stream, hello).await;
        }
        if let Err(reason) = self.admit_plain() {
            return refuse(&self.path, &self.downstream, reason, "TLS of the application's own");
        }
        if self.protocol().is_http() {
            let detail = "TLS of the application's own, to a port that is declared as HTTP";
            return refuse(&self.path, &self.downstream, Reason::ClientProtocol, detail);
        }
        let mut inbound = self.admitted(None, None).await;
        inbound.downstream.sni = detect::server_name(&hello).unwrap_or_default().into();
        tcp::inbound(&inbound, &mut Prefixed::new(hello, stream), app).await;
    }

    /// The mesh's mutual TLS.
    async fn mutual(mut self, stream: TcpStream, hello: Bytes) {
        let Some(config) = self.path.app.identity.server_tls() else {
            return refuse(&self.path, &self.downstream, Reason::NotReady, "this proxy has no certificate yet");
        };
        self.downstream.sni = detect::server_name(&hello).unwrap_or_default().into();
        let (mut stream, peer) = match tls::accept(config, Prefixed::new(hello, stream)).await {
            Ok(accepted) => accepted,
            Err(why) => return refuse(&self.path, &self.downstream, Reason::ClientCertRefused, &why),
        };
        let mut inbound = self.admitted(Some(Arc::new(peer.id)), None).await;
        inbound.client_cert = self.client_cert(&inbound, &peer.leaf);
        match peer.alpn.as_slice() {
            alpn::H2 | b"h2" => http2(inbound, stream).await,
            alpn::HTTP_1_1 | alpn::HTTP_1_0 | b"http/1.1" => http1(inbound, stream).await,
            _ => tcp::inbound(&inbound, &mut stream, None).await,
        }
    }

    /// Plaintext.
    async fn plain(self, stream: TcpStream, spoken: Spoken, bytes: Bytes, app: Option<Prefixed<TcpStream>>) {
        let probe = self.probes.of(&self.downstream);
        let restricted = match self.admit_plain() {
            Ok(()) => None,
            Err(reason) => match probe {
                Some(probe) if probe.is_http() && spoken == Spoken::Http1 => Some(probe),
                _ => return refuse(&self.path, &self.downstream, reason, ""),
            },
        };
        let inbound = self.admitted(None, restricted).await;
        let opaque = matches!(self.protocol(), Protocol::Tcp | Protocol::Tls) && inbound.probe.is_none();
        let mut stream = Prefixed::new(bytes, stream);
        match spoken {
            Spoken::Http1 if !opaque => http1(inbound, stream).await,
            Spoken::Http2 if !opaque => http2(inbound, stream).await,
            Spoken::Http1 | Spoken::Http2 | Spoken::Tls | Spoken::Other => {
                tcp::inbound(&inbound, &mut stream, app).await;
            }
        }
    }

    fn protocol(&self) -> Protocol {
        let port = self.downstream.dialled.port();
        if self.path.app.settings.opaque_ports.iter().any(|range| range.contains(&port)) {
            return Protocol::Tcp;
        }
        self.own.port(port).map_or(Protocol::Auto, |p| p.protocol)
    }

    fn admit_plain(&self) -> Result<(), Reason> {
        if self.strict { Err(Reason::PlaintextRefused) } else { Ok(()) }
    }

    /// What the application learns of the client's certificate.
    fn client_cert(&self, inbound: &Inbound, leaf: &CertificateDer<'_>) -> Option<HeaderValue> {
        let own = self.own.workload.identity.clone().unwrap_or_else(|| self.path.app.settings.identity());
        HeaderValue::try_from(forwarded_client_cert(&own, inbound.peer_id.as_ref()?, leaf)).ok()
    }

    async fn admitted(&self, peer_id: Option<Arc<SpiffeId>>, probe: Option<Probe>) -> Inbound {
        let dialled = self.downstream.dialled;
        let by_address = OnceLock::new();
        if let Some(known) = peer_by_address(&self.path, self.downstream.client, peer_id.as_ref()).await {
            let _ = by_address.set(known);
        }
        Inbound {
            path: Arc::clone(&self.path),
            peer_id,
            client_cert: None,
            cluster: self.path.clusters.of_app(dialled, self.protocol()),
            service: self.own.port(dialled.port()).map(|p| Arc::new(ServiceRef::from(&p.service))),
            probe,
            declared: self.probes.of(&self.downstream),
            downstream: self.downstream.clone(),
            by_address,
            told: Mutex::default(),
        }
    }
}

async fn http1(inbound: Inbound, io: impl Io + 'static) {
    let inbound = Arc::new(inbound);
    let drain = inbound.path.app.drain.clone();
    let answer = move |request| {
        let inbound = Arc::clone(&inbound);
        async move {
            let mut response = pipeline::inbound(Arc::clone(&inbound), request).await;
            // A client that keeps its connection does not hear of the pod's end otherwise: the application would be gone
            // before this proxy, and the connection would stay.
            if inbound.path.app.discovery.own().terminating && response.head.status != StatusCode::SWITCHING_PROTOCOLS {
                response.head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    };
    serve_http::http1(io, drain, answer).await;
}

async fn http2(inbound: Inbound, io: impl Io + 'static) {
    let inbound = Arc::new(inbound);
    let drain = inbound.path.app.drain.clone();
    let leaving = leaving(inbound.path.app.discovery.clone());
    serve_http::http2(io, drain, leaving, move |request| pipeline::inbound(Arc::clone(&inbound), request)).await;
}

/// Resolves when the pod begins to go away. Never for connections that are made after that: their clients know no better
/// pod.
async fn leaving(discovery: Discovery) {
    let mut changes = discovery.watch();
    if !discovery.own().terminating {
        while changes.changed().await.is_ok() {
            if discovery.own().terminating {
                return;
            }
        }
    }
    std::future::pending().await
}

/// What discovery knows of the client's address. Not waited for: a peer's sidecar tells more, and better.
async fn peer_by_address(path: &DataPath, client: SocketAddr, id: Option<&Arc<SpiffeId>>) -> Option<PeerInfo> {
    let discovery = &path.app.discovery;
    let known = match discovery.try_address(client.ip()) {
        Some(known) => known,
        None => tokio::time::timeout(PEER_PATIENCE, discovery.address(client.ip())).await.ok()?,
    };
    let Lookup::Found(address) = known else { return None };
    match &address.target {
        AddressTarget::Workload { workload, .. } => {
            Some(PeerInfo { workload: Some(Arc::clone(workload)), principal: id.map(Arc::clone) })
        }
        AddressTarget::Service(_) => None,
    }
}

fn mode_refuses_plaintext(own: &Own, port: u16) -> bool {
    let policies = [&*own.policies, &*own.root_policies];
    let (workload, root) = (&own.workload, &own.mesh.root_namespace);
    let (mode, _) = authn::effective_mtls(&policies, &workload.namespace, &workload.labels, port, root);
    authn::admit(mode, Arrival::Plain).is_err()
}

fn silence(path: &DataPath, dialled: SocketAddr) -> Duration {
    if path.speaks_first(dialled) { Duration::ZERO } else { detect::CLIENT_SILENCE }
}

/// Closes a connection that is not admitted, and says why where an operator looks.
fn refuse(path: &DataPath, downstream: &Downstream, reason: Reason, detail: &str) {
    let mut labels = TcpLabels::new(Direction::Inbound);
    labels.destination = path.me().info(false);
    labels.downstream_local = Some(downstream.dialled);
    labels.downstream_remote = Some(downstream.client);
    let own = path.app.discovery.own();
    labels.service = own.port(downstream.dialled.port()).map(|p| Arc::new(ServiceRef::from(&p.service)));
    let (client, dialled) = (downstream.client, downstream.dialled);
    let separator = if detail.is_empty() { "" } else { ": " };
    tracing::info!(%client, %dialled, "refused: {}{separator}{detail}", reason.sentence());
    path.app.telemetry.tcp_open(labels).close(reason, detail);
}

fn is_loop(path: &DataPath, dialled: SocketAddr) -> bool {
    let port = path.app.settings.ports.inbound;
    port != 0 && dialled.port() == port
}

/// The first configuration comes within this time, or the connection is refused.
const READY_LIMIT: Duration = Duration::from_secs(5);
/// A client of a STRICT port begins its handshake within this time.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// After this time without a byte from either side a connection is opaque.
const RACE_LIMIT: Duration = Duration::from_secs(600);
/// Longest wait for what an address is, where only a record's labels depend on it.
const PEER_PATIENCE: Duration = Duration::from_millis(250);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
