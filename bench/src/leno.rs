//! Leno's side: the sidecar's library with a mesh of literal objects, everything on that is on by default.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leno_core::id::{Origin, ServiceId, SpiffeId};
use leno_core::model::route::{Backend, RetryPolicy, RouteAction, WeightedBackend};
use leno_core::model::traffic::RetryOn;
use leno_core::model::{
    Endpoint, Endpoints, HttpRoute, MtlsMode, PeerAuthentication, Policies, Protocol, RouteTable, Routes, Service,
    ServiceKind, ServicePort, Workload, WorkloadPort,
};
use leno_identity::Authority;
use leno_proxy::datapath::{DataPath, Destination};
use leno_proxy::discovery::{Discovery, Objects};
use leno_proxy::drain::Drain;
use leno_proxy::identity::Identity;
use leno_proxy::inbound::probe::Probes;
use leno_proxy::{App, Settings, inbound, outbound};
use tokio::net::TcpListener;

/// Whose sidecar.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Side {
    /// The client's: outbound.
    Client,
    /// The server's: inbound, STRICT.
    Server,
}

/// Serves for good.
pub(crate) fn run(authority: &Path, listen: SocketAddr, to: SocketAddr, side: Side) -> anyhow::Result<()> {
    let authority = Authority::load(authority, "cluster.local")?;
    crate::runtime()?.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        match side {
            Side::Client => client(&authority, listener, to).await,
            Side::Server => server(&authority, listener, to).await,
        }
    })
}

async fn client(authority: &Authority, listener: TcpListener, to: SocketAddr) -> anyhow::Result<()> {
    let ip = IpAddr::from([127, 1, 0, 1]);
    let vip = IpAddr::from([10, 96, 0, 7]);
    let service = Service {
        id: web(),
        kind: ServiceKind::ClusterIp,
        vips: vec![vip],
        ports: vec![ServicePort { port: 80, name: String::new(), protocol: Protocol::Http }],
        destination_rules: Vec::new(),
    };
    let endpoint =
        Endpoint { ip: to.ip(), ports: vec![(80, to.port())], ready: true, workload: Arc::new(pod("web", "web-1")) };
    let objects = Objects::of_pod("shop", "client-1", "client")
        .own(ip, pod("client", "client-1"), Vec::new())
        .service(service)
        .endpoints(Endpoints { service: web(), endpoints: vec![endpoint] })
        .routes(Routes { service: web(), tables: vec![table()] });
    let path = path(authority, "client", "client-1", ip, objects)?;
    outbound::serve_with(listener, path, Destination::fixed(SocketAddr::new(vip, 80))).await;
    Ok(())
}

async fn server(authority: &Authority, listener: TcpListener, to: SocketAddr) -> anyhow::Result<()> {
    let ip = to.ip();
    let port =
        WorkloadPort { port: to.port(), protocol: Protocol::Http, service: web(), service_port: 80, headless: false };
    let mut policies = Policies { namespace: "shop".into(), ..Policies::default() };
    policies.peer_authentications.push(PeerAuthentication {
        origin: Origin::default(),
        selector: BTreeMap::new(),
        mode: MtlsMode::Strict,
        ports: Vec::new(),
        created: 0,
    });
    let objects = Objects::of_pod("shop", "web-1", "web").own(ip, pod("web", "web-1"), vec![port]).policies(policies);
    let path = path(authority, "web", "web-1", ip, objects)?;
    inbound::serve_with(listener, path, Destination::fixed(to), Probes::default()).await;
    Ok(())
}

fn path(
    authority: &Authority,
    account: &str,
    pod: &str,
    ip: IpAddr,
    objects: Objects,
) -> anyhow::Result<Arc<DataPath>> {
    let (discovery, live) = Discovery::fixed(objects);
    // The control plane of these objects lives as long as the process.
    std::mem::forget(live);
    let mut settings = Settings::for_test("shop", pod, account);
    settings.instance_ips = vec![ip];
    let svid = authority.issue(&SpiffeId::new("cluster.local", "shop", account), Duration::from_secs(3600))?;
    let identity = Identity::fixed(svid, authority.roots().clone())?;
    Ok(DataPath::new(App::new(settings, discovery, identity, Drain::never())))
}

/// A VirtualService as people write them: a rule with a timeout and retries.
fn table() -> RouteTable {
    let backend = Backend { service: web(), subset: None, port: None };
    let backend = WeightedBackend { backend, weight: 100, headers: Default::default(), invalid: false };
    let retry_on = RetryOn { five_xx: true, reset: true, connect_failure: true, ..RetryOn::default() };
    let retry = RetryPolicy {
        attempts: 2,
        per_try_timeout: None,
        retry_on,
        backoff: Duration::from_millis(25),
        least_backoff: Duration::ZERO,
    };
    let rule = HttpRoute {
        action: RouteAction::Forward(vec![backend]),
        // Longer than the longest load: it is set, and counted, and does not cut.
        timeout: Some(Duration::from_secs(300)),
        retry: Some(retry),
        ..HttpRoute::default()
    };
    let origin = Origin { kind: "VirtualService".into(), namespace: "shop".into(), ..Origin::default() };
    RouteTable { origin, http: vec![rule], ..RouteTable::default() }
}

fn pod(app: &str, name: &str) -> Workload {
    Workload {
        namespace: "shop".into(),
        pod: name.into(),
        name: app.into(),
        kind: "deployment".into(),
        account: app.into(),
        labels: BTreeMap::from([("app".into(), app.into()), ("version".into(), "v1".into())]),
        identity: Some(SpiffeId::new("cluster.local", "shop", app)),
        ..Workload::default()
    }
}

fn web() -> ServiceId {
    ServiceId::new("shop", "web")
}
