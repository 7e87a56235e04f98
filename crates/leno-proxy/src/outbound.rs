//! Connections of this pod's application: where they were going, what they speak, and on to [`crate::http`] or
//! [`crate::tcp`].

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leno_core::Reason;
use leno_core::decide::destination::{self, Meaning};
use leno_core::model::{Protocol, ServicePort, Workload, WorkloadPort};
use leno_kit::sock;
use tokio::net::{TcpListener, TcpStream};

use crate::App;
use crate::cluster::Cluster;
use crate::datapath::{DataPath, Destination};
use crate::detect::{self, First, Prefixed, Race, Spoken};
use crate::discovery::{Lookup, ServiceHandle};
use crate::http::phase::facts::Downstream;
use crate::http::phase::route::RouteCache;
use crate::http::{pipeline, serve as serve_http};
use crate::tcp;
use crate::telemetry::ServiceRef;

/// Accepts and serves outbound connections until the drain is over: an application that ends still talks to others.
pub async fn serve(listener: TcpListener, app: App) {
    serve_with(listener, DataPath::new(app), Destination::Intercepted).await;
}

/// As [`serve`], with a way of its own to learn where connections were going.
pub async fn serve_with(listener: TcpListener, path: Arc<DataPath>, destination: Destination) {
    let drain = path.app.drain.clone();
    // Comforts: connections without them still work. Whoever comes here is in this pod.
    let _ = sock::tune(&listener).and_then(|()| sock::unpaced(&listener));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.forced() => return,
        };
        match accepted {
            Ok((stream, client)) => {
                let dialled = destination.of(&stream);
                let (path, client) = (Arc::clone(&path), sock::canonical(client));
                let Some(dialled) = dialled.filter(|d| !is_loop(&path, d.0)) else {
                    tracing::warn!(%client, "refused: the connection was made to this proxy itself");
                    continue;
                };
                tokio::spawn(connection(path, stream, client, sock::canonical(dialled.0)));
            }
            Err(error) => {
                // Out of file descriptors, for one: others must end first.
                tracing::warn!(%error, "cannot accept outbound connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection of the application, with what is known of where it goes.
#[derive(Debug)]
pub struct Outbound {
    /// The parts of the proxy.
    pub path: Arc<DataPath>,
    /// What the dialled address stands for.
    pub target: Target,
    /// What its requests have resolved already.
    pub routes: RouteCache,
    downstream: Downstream,
    service: OnceLock<Arc<ServiceRef>>,
    address: OnceLock<Arc<Cluster>>,
}

/// What a dialled address stands for.
#[derive(Debug)]
pub enum Target {
    /// A service, by its virtual IP.
    Service {
        /// The service.
        handle: Arc<ServiceHandle>,
        /// Its port.
        port: ServicePort,
    },
    /// A pod, by its own IP.
    Pod {
        /// The pod.
        workload: Arc<Workload>,
        /// The service that names this port of the pod, and how.
        service: Option<(Arc<ServiceHandle>, WorkloadPort)>,
    },
    /// Not in the mesh.
    Outside,
    /// This pod.
    Itself,
}

impl Outbound {
    fn new(path: Arc<DataPath>, target: Target, downstream: Downstream) -> Self {
        let (routes, service, address) = (RouteCache::default(), OnceLock::new(), OnceLock::new());
        Self { path, target, routes, downstream, service, address }
    }

    /// Both ends of the application's connection.
    #[must_use]
    pub const fn downstream(&self) -> &Downstream {
        &self.downstream
    }

    /// The port that rules speak of: the service's, where a pod's own port was dialled.
    #[must_use]
    pub fn port(&self) -> u16 {
        match &self.target {
            Target::Service { port, .. } => port.port,
            Target::Pod { service: Some((_, port)), .. } => port.service_port,
            Target::Pod { service: None, .. } | Target::Outside | Target::Itself => self.downstream.dialled.port(),
        }
    }

    /// What the port is declared to speak.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match &self.target {
            Target::Service { port, .. } => port.protocol,
            Target::Pod { service: Some((_, port)), .. } => port.protocol,
            Target::Pod { service: None, .. } | Target::Outside | Target::Itself => Protocol::Auto,
        }
    }

    /// The service that was dialled, if any.
    #[must_use]
    pub const fn handle(&self) -> Option<&Arc<ServiceHandle>> {
        match &self.target {
            Target::Service { handle, .. } | Target::Pod { service: Some((handle, _)), .. } => Some(handle),
            Target::Pod { service: None, .. } | Target::Outside | Target::Itself => None,
        }
    }

    /// A service as metrics name it, shared by all requests of the connection.
    #[must_use]
    pub fn service_ref(&self, handle: &ServiceHandle) -> Arc<ServiceRef> {
        Arc::clone(self.service.get_or_init(|| Arc::new(ServiceRef::from(handle.id()))))
    }

    /// The cluster of the dialled address itself.
    #[must_use]
    pub fn address_cluster(&self) -> Arc<Cluster> {
        let dialled = self.downstream.dialled;
        let clusters = &self.path.clusters;
        let found = self.address.get_or_init(|| match &self.target {
            Target::Pod { workload, .. } if !self.path.is_own(dialled.ip()) => {
                clusters.of_pod(dialled, workload, self.protocol())
            }
            Target::Pod { .. } | Target::Service { .. } | Target::Outside | Target::Itself => {
                clusters.of_outside(dialled)
            }
        });
        Arc::clone(found)
    }
}

async fn connection(path: Arc<DataPath>, stream: TcpStream, client: SocketAddr, dialled: SocketAddr) {
    let target = match resolve(&path, dialled).await {
        Ok(target) => target,
        Err(reason) => {
            tcp::refuse_outbound(&path, client, dialled, reason);
            return;
        }
    };
    let downstream = Downstream { client, dialled, sni: Arc::default() };
    let outbound = Outbound::new(path, target, downstream);
    match outbound.protocol() {
        Protocol::Tcp | Protocol::Udp => {
            tcp::outbound(&outbound, Prefixed::new(bytes::Bytes::new(), stream), None).await
        }
        protocol => detected(Arc::new(outbound), stream, protocol.is_http()).await,
    }
}

/// What the address stands for.
async fn resolve(path: &DataPath, dialled: SocketAddr) -> Result<Target, Reason> {
    let discovery = &path.app.discovery;
    let own = path.is_own(dialled.ip());
    let address = match own || dialled.ip().is_loopback() {
        true => None,
        false => match discovery.address(dialled.ip()).await {
            Lookup::Found(address) => Some(address),
            Lookup::Absent => None,
            // Not passed through: it may well be a pod of the mesh, whose traffic must not leave in plaintext.
            Lookup::Unavailable => return Err(Reason::NotReady),
        },
    };
    match destination::meaning(dialled, own, address.as_deref(), discovery.mesh().allow_any)? {
        Meaning::Itself => Ok(Target::Itself),
        Meaning::Outside => Ok(Target::Outside),
        Meaning::Service(id) => {
            let handle = match discovery.service(id).await {
                Lookup::Found(handle) => handle,
                Lookup::Absent => return Err(Reason::ClusterNotFound),
                Lookup::Unavailable => return Err(Reason::NotReady),
            };
            let port = handle.view().service.port(dialled.port()).cloned();
            // A port that the service does not have leads nowhere, as with kube-proxy.
            port.map(|port| Target::Service { handle, port }).ok_or(Reason::ClusterNotFound)
        }
        Meaning::Pod { workload, port } => {
            let service = match port {
                Some(port) => discovery.service(&port.service).await.found().map(|h| (h, port.clone())),
                None => None,
            };
            Ok(Target::Pod { workload: Arc::clone(workload), service })
        }
    }
}

/// A connection whose protocol is undeclared, or declared but to be verified: what it speaks decides.
async fn detected(from: Arc<Outbound>, mut stream: TcpStream, declared_http: bool) {
    let key = from.downstream.dialled;
    let silence = match (from.path.speaks_first(key), declared_http) {
        (true, _) => Duration::ZERO,
        (false, true) => HTTP_SILENCE,
        (false, false) => detect::CLIENT_SILENCE,
    };
    match detect::first_bytes(&mut stream, Some(silence)).await {
        Ok(First::Spoke(spoken, bytes)) => spoke(from, stream, spoken, bytes, None, declared_http).await,
        Ok(First::Silent) => silent(from, stream, declared_http).await,
        Ok(First::Closed) => {}
        Err(error) => tracing::debug!(%error, "a client broke off before it said anything"),
    }
}

/// The client waits. Perhaps for its server: connect to it, and see who speaks first.
async fn silent(from: Arc<Outbound>, mut stream: TcpStream, declared_http: bool) {
    let mut opened = match tcp::open(&from, None).await {
        Ok(opened) => opened,
        Err(_) if declared_http => {
            // Its requests will be told why, by a proper answer.
            if let Ok(First::Spoke(spoken, bytes)) = detect::first_bytes(&mut stream, None).await {
                spoke(from, stream, spoken, bytes, None, declared_http).await;
            }
            return;
        }
        Err(failed) => return failed.report(&from, None),
    };
    match detect::race(&mut stream, &mut opened.io, RACE_LIMIT).await {
        Ok(Race::Server(bytes)) => {
            from.path.learn_first(from.downstream.dialled);
            if declared_http {
                hint(&from, "its server speaks first");
            }
            let client = Prefixed::new(bytes::Bytes::new(), stream);
            tcp::carry(&from, client, opened.with_prefix(bytes), None).await;
        }
        Ok(Race::Client(First::Spoke(spoken, bytes))) => {
            spoke(from, stream, spoken, bytes, Some(opened), declared_http).await;
        }
        Ok(Race::Client(First::Silent | First::Closed)) => {
            let client = Prefixed::new(bytes::Bytes::new(), stream);
            tcp::carry(&from, client, opened, None).await;
        }
        Err(error) => tracing::debug!(%error, "the endpoint broke off before anybody said anything"),
    }
}

/// The client spoke; a connection that was opened meanwhile serves an opaque protocol only.
async fn spoke(
    from: Arc<Outbound>,
    mut stream: TcpStream,
    spoken: Spoken,
    bytes: bytes::Bytes,
    opened: Option<tcp::Opened>,
    declared_http: bool,
) {
    let drain = from.path.app.drain.clone();
    match spoken {
        Spoken::Http1 => {
            let io = Prefixed::new(bytes, stream);
            serve_http::http1(io, drain, move |request| pipeline::outbound(Arc::clone(&from), request)).await;
        }
        Spoken::Http2 => {
            let io = Prefixed::new(bytes, stream);
            let stays = std::future::pending();
            serve_http::http2(io, drain, stays, move |request| pipeline::outbound(Arc::clone(&from), request)).await;
        }
        Spoken::Tls => {
            if declared_http {
                hint(&from, "its client speaks TLS");
            }
            let Ok(hello) = detect::whole_hello(&mut stream, bytes).await else { return };
            let sni = detect::server_name(&hello);
            tcp::outbound(&from, Prefixed::new(hello, stream), sni).await;
        }
        Spoken::Other => {
            if declared_http {
                hint(&from, "its client does not speak HTTP");
            }
            let client = Prefixed::new(bytes, stream);
            match opened {
                Some(opened) => tcp::carry(&from, client, opened, None).await,
                None => tcp::outbound(&from, client, None).await,
            }
        }
    }
}

/// A wrongly declared port works, and somebody should know.
fn hint(from: &Outbound, what: &str) {
    let Some(handle) = from.handle() else { return };
    if from.path.hint_once(from.downstream.dialled) {
        tracing::warn!(service = %handle.id(), port = from.port(),
            "the port is declared as HTTP, but {what}: carried as opaque TCP; set appProtocol or the port's name");
    }
}

fn is_loop(path: &DataPath, dialled: SocketAddr) -> bool {
    dialled.port() == path.app.settings.ports.outbound
        && dialled.port() != 0
        && (path.is_own(dialled.ip()) || dialled.ip().is_loopback())
}

/// Silence after which even a port declared as HTTP is suspected of a server that speaks first.
const HTTP_SILENCE: Duration = Duration::from_millis(100);
/// After this time without a byte from either side a connection is opaque.
const RACE_LIMIT: Duration = Duration::from_secs(600);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
