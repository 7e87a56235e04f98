//! The small harness: a scene with services, pods with sidecars, and a client.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use leno_core::id::{Origin, ServiceId, SpiffeId};
use leno_core::model::route::{Backend, WeightedBackend};
use leno_core::model::{
    Address, AddressTarget, DestinationRule, Endpoint, Endpoints, HttpRoute, MtlsMode, PeerAuthentication, Policies,
    Protocol, RouteTable, Routes, Service, ServiceKind, ServicePort, Workload, WorkloadPort,
};
use leno_identity::Authority;
use leno_proxy::datapath::{DataPath, Destination};
use leno_proxy::discovery::fixed::Live;
use leno_proxy::discovery::{Discovery, Objects};
use leno_proxy::drain::Drain;
use leno_proxy::identity::Identity;
use leno_proxy::inbound::probe::Probes;
use leno_proxy::{App, Settings, inbound, outbound};
use leno_xds::wire::Resource;
use tokio::net::{TcpListener, TcpStream};

/// A mesh with one service, `web` in namespace `shop`, and a client pod.
pub(crate) struct Scene {
    authority: Arc<Authority>,
    service: Service,
    endpoints: Vec<Endpoint>,
    routes: Option<RouteTable>,
    allow_any: bool,
}

/// The client's sidecar, running.
pub(crate) struct Client {
    pub(crate) live: Live,
    pub(crate) path: Arc<DataPath>,
    pub(crate) endpoints: Vec<Endpoint>,
    addr: SocketAddr,
}

/// Test apps count their requests here.
pub(crate) type Counter = Arc<AtomicUsize>;

pub(crate) fn counter() -> Counter {
    Arc::default()
}

/// An address for one more pod: 127.N.0.M, fresh for each call in this process.
pub(crate) fn fresh_ip(net: u8) -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    static BLOCK: AtomicU8 = AtomicU8::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    if n == 250 {
        BLOCK.fetch_add(1, Ordering::Relaxed);
    }
    IpAddr::V4(Ipv4Addr::new(127, net, BLOCK.load(Ordering::Relaxed), n))
}

/// An address of this machine that is not loopback: a pod that is dialled by its own address needs one.
pub(crate) fn outer_ip() -> IpAddr {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Nothing is sent: connecting only makes the kernel choose an address. From TEST-NET-1.
    socket.connect("192.0.2.1:9").expect("a route to anywhere outside of this machine");
    socket.local_addr().expect("its address").ip()
}

pub(crate) fn web() -> ServiceId {
    ServiceId::new("shop", "web")
}

impl Scene {
    /// `protocol` is what the service's port 80 declares.
    pub(crate) fn new(protocol: Protocol) -> Self {
        let service = Service {
            id: web(),
            kind: ServiceKind::ClusterIp,
            vips: vec![IpAddr::from([10, 96, 0, 7])],
            ports: vec![ServicePort { port: 80, name: String::new(), protocol }],
            destination_rules: Vec::new(),
        };
        Self {
            authority: Arc::new(Authority::generate("cluster.local").expect("a CA")),
            service,
            endpoints: Vec::new(),
            routes: None,
            allow_any: true,
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn rule(mut self, rule: DestinationRule) -> Self {
        let origin = Origin { kind: "DestinationRule".into(), namespace: "shop".into(), ..Origin::default() };
        self.service.destination_rules.push(DestinationRule { origin, ..rule });
        self
    }

    pub(crate) fn routes(mut self, http: Vec<HttpRoute>) -> Self {
        let origin = Origin { kind: "VirtualService".into(), namespace: "shop".into(), ..Origin::default() };
        let table = self.routes.get_or_insert_with(|| RouteTable { origin, ..RouteTable::default() });
        table.http = http;
        self
    }

    pub(crate) fn table(mut self, table: RouteTable) -> Self {
        self.routes = Some(table);
        self
    }

    pub(crate) fn registry_only(mut self) -> Self {
        self.allow_any = false;
        self
    }

    /// A pod without a sidecar, with its application at `addr`.
    pub(crate) fn plain_pod(mut self, addr: SocketAddr, version: &str) -> Self {
        let n = self.endpoints.len();
        self.endpoints.push(endpoint(addr, workload(n, version, None)));
        self
    }

    /// A pod with a sidecar in front of `app`. `account` is what its certificate says.
    pub(crate) async fn meshed_pod(mut self, app: SocketAddr, version: &str, sidecar: Sidecar) -> Self {
        let n = self.endpoints.len();
        let identity = SpiffeId::new("cluster.local", "shop", "web");
        let pod = workload(n, version, Some(identity));
        let protocol = self.service.ports[0].protocol;
        let addr = sidecar.start(&self.authority, &pod, app, protocol).await;
        self.endpoints.push(endpoint(addr, pod));
        self
    }

    /// Starts the client's sidecar.
    pub(crate) async fn start(self) -> Client {
        let ip = IpAddr::from([127, 1, 0, 1]);
        let mut objects = Objects::of_pod("shop", "client-1", "client");
        let own = Workload {
            namespace: "shop".into(),
            pod: "client-1".into(),
            name: "client".into(),
            kind: "deployment".into(),
            account: "client".into(),
            labels: BTreeMap::from([("app".into(), "client".into())]),
            identity: Some(SpiffeId::new("cluster.local", "shop", "client")),
            ..Workload::default()
        };
        let mesh = leno_core::model::MeshConfig { allow_any: self.allow_any, ..Default::default() };
        objects = objects.own(ip, own, Vec::new()).mesh(mesh).service(self.service.clone());
        objects = objects.endpoints(Endpoints { service: web(), endpoints: self.endpoints.clone() });
        if let Some(table) = self.routes {
            objects = objects.routes(Routes { service: web(), tables: vec![table] });
        }
        for endpoint in &self.endpoints {
            let target = AddressTarget::Workload {
                workload: Arc::clone(&endpoint.workload),
                ports: vec![WorkloadPort {
                    port: endpoint.ports[0].1,
                    protocol: self.service.ports[0].protocol,
                    service: web(),
                    service_port: 80,
                    headless: false,
                }],
                terminating: false,
            };
            objects = objects.address(Address { ip: endpoint.ip, target });
        }
        let (discovery, live) = Discovery::fixed(objects);
        let mut settings = Settings::for_test("shop", "client-1", "client");
        settings.instance_ips = vec![ip];
        let id = SpiffeId::new("cluster.local", "shop", "client");
        let svid = self.authority.issue(&id, HOUR).expect("a certificate");
        let identity = Identity::fixed(svid, self.authority.roots().clone()).expect("an identity");
        let path = DataPath::new(App::new(settings, discovery, identity, Drain::never()));
        let vip = SocketAddr::new(self.service.vips[0], 80);
        let addr = dialling(&path, vip).await;
        Client { live, path, endpoints: self.endpoints, addr }
    }
}

/// A listener of `path`'s outbound side whose connections were all going to `dialled`.
pub(crate) async fn dialling(path: &Arc<DataPath>, dialled: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(outbound::serve_with(listener, Arc::clone(path), Destination::fixed(dialled)));
    addr
}

/// How a pod's sidecar is set up.
pub(crate) struct Sidecar {
    pub(crate) mode: MtlsMode,
    pub(crate) account: &'static str,
    pub(crate) policies: Policies,
    pub(crate) probes: Probes,
    pub(crate) drain: Drain,
    /// Address of the pod; a fresh loopback one by default.
    pub(crate) ip: Option<IpAddr>,
    /// Signs its certificate, where it is not the mesh's CA.
    pub(crate) authority: Option<Arc<Authority>>,
}

impl Default for Sidecar {
    fn default() -> Self {
        Self {
            mode: MtlsMode::Unset,
            account: "web",
            policies: Policies { namespace: "shop".into(), ..Policies::default() },
            probes: Probes::default(),
            drain: Drain::never(),
            ip: None,
            authority: None,
        }
    }
}

impl Sidecar {
    pub(crate) fn strict() -> Self {
        Self { mode: MtlsMode::Strict, ..Self::default() }
    }

    /// Starts it in front of `app`; returns where others dial the pod.
    pub(crate) async fn start(
        self,
        mesh: &Authority,
        pod: &Workload,
        app: SocketAddr,
        protocol: Protocol,
    ) -> SocketAddr {
        let mut policies = self.policies;
        policies.peer_authentications.push(PeerAuthentication {
            origin: Origin::default(),
            selector: BTreeMap::new(),
            mode: self.mode,
            ports: Vec::new(),
            created: 0,
        });
        let port = WorkloadPort { port: app.port(), protocol, service: web(), service_port: 80, headless: false };
        let ip = app.ip();
        let objects = Objects::of_pod("shop", &pod.pod, "web").own(ip, pod.clone(), vec![port]).policies(policies);
        let (discovery, _live) = Discovery::fixed(objects);
        let id = SpiffeId::new("cluster.local", "shop", self.account);
        let authority = self.authority.as_deref().unwrap_or(mesh);
        let svid = authority.issue(&id, HOUR).expect("a certificate");
        let identity = Identity::fixed(svid, mesh.roots().clone()).expect("an identity");
        let mut settings = Settings::for_test("shop", &pod.pod, "web");
        settings.instance_ips = vec![ip];
        let path = DataPath::new(App::new(settings, discovery, identity, self.drain));
        let listener =
            TcpListener::bind(SocketAddr::new(self.ip.unwrap_or_else(|| fresh_ip(2)), 0)).await.expect("a listener");
        let addr = listener.local_addr().expect("its address");
        tokio::spawn(inbound::serve_with(listener, path, Destination::fixed(app), self.probes));
        addr
    }
}

impl Client {
    /// Where the client's application dials the service, as it were: its sidecar.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path)).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        send(self.addr, request).await
    }

    /// Replaces the service's endpoints.
    pub(crate) fn set_endpoints(&self, endpoints: Vec<Endpoint>) {
        self.live.set(Resource::Endpoints(Arc::new(Endpoints { service: web(), endpoints })));
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
    pub(crate) trailers: Option<http::HeaderMap>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }
}

pub(crate) fn request(method: &str, path: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).header("host", "web").body(Full::default()).expect("a request")
}

/// One HTTP/1.1 request on a connection of its own.
pub(crate) async fn send(addr: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    try_send(addr, request).await.expect("an answer")
}

pub(crate) async fn try_send(addr: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
    let stream = TcpStream::connect(addr).await.expect("connects");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    collect(sender.send_request(request).await?).await
}

pub(crate) async fn collect(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned();
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
}

/// An application that answers HTTP/1 and h2c with `handle`.
pub(crate) async fn app<F, R>(handle: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind(SocketAddr::new(fresh_ip(3), 0)).await.expect("a listener");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handle = handle.clone();
            let service = service_fn(move |request| {
                let answer = handle(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::spawn(async move {
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    addr
}

/// An application that answers everything with `text` and counts.
pub(crate) async fn named(text: &'static str, count: Counter) -> SocketAddr {
    app(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async move { Response::new(Full::from(text)) }
    })
    .await
}

/// An application that answers with this status, and counts.
pub(crate) async fn failing(status: u16, count: Counter) -> SocketAddr {
    app(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async move { Response::builder().status(status).body(Full::from("failed")).expect("a response") }
    })
    .await
}

/// An address where nobody listens.
pub(crate) async fn closed() -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::new(fresh_ip(4), 0)).await.expect("a listener");
    listener.local_addr().expect("its address")
}

/// A server for opaque connections.
pub(crate) async fn raw<F, R>(handle: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(SocketAddr::new(fresh_ip(3), 0)).await.expect("a listener");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    addr
}

fn workload(n: usize, version: &str, identity: Option<SpiffeId>) -> Workload {
    Workload {
        namespace: "shop".into(),
        pod: format!("web-{n}"),
        name: "web".into(),
        kind: "deployment".into(),
        account: "web".into(),
        labels: BTreeMap::from([("app".into(), "web".into()), ("version".into(), version.into())]),
        identity,
        ..Workload::default()
    }
}

fn endpoint(addr: SocketAddr, workload: Workload) -> Endpoint {
    Endpoint { ip: addr.ip(), ports: vec![(80, addr.port())], ready: true, workload: Arc::new(workload) }
}

pub(crate) fn to(subset: Option<&str>, weight: u32) -> WeightedBackend {
    let backend = Backend { service: web(), subset: subset.map(str::to_owned), port: None };
    WeightedBackend { backend, weight, headers: Default::default(), invalid: false }
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
