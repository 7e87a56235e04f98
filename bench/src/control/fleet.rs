//! Simulated proxies in this process: each with a pod, a token, a certificate of its own, and a stream by the sidecar's code.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use leno_core::id::{ServiceId, SpiffeId};
use leno_core::model::route::RouteAction;
use leno_core::names::CONTROL_HOSTS;
use leno_identity::{Csr, Roots, tls};
use leno_xds::ca_client;
use leno_xds::client::{Client, Config, Event, Node};
use leno_xds::transport::{Connector, Timing, connect, connector};
use leno_xds::wire::{Resource, ResourceName};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use super::mesh::{self, ACCOUNT, NAMESPACE};
use super::source::Source;

/// Certificates have this life.
const CERTIFICATE: Duration = Duration::from_secs(24 * 3600);
/// For everything to have come for the first time.
const PATIENCE: Duration = Duration::from_secs(180);

/// Which services each proxy subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscribed {
    /// So many, each proxy others than its neighbour.
    Some(usize),
    /// All.
    All,
}

/// Which proxies subscribe to what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Services of the mesh; one more has the number `services`, and only proxy 0 subscribes to it.
    pub(crate) services: usize,
    /// Proxies.
    pub(crate) proxies: usize,
    /// To what.
    pub(crate) subscribed: Subscribed,
}

impl Plan {
    /// The service that one proxy alone subscribes to.
    pub(crate) const fn lone(&self) -> usize {
        self.services
    }

    /// Services that somebody subscribes to, but for the lone one.
    pub(crate) fn watched(&self) -> usize {
        match self.subscribed {
            Subscribed::All => self.services,
            Subscribed::Some(each) => self.services.min(each * self.proxies),
        }
    }

    /// How many proxies a change of a service concerns.
    pub(crate) fn concerned(&self, service: usize) -> usize {
        match self.subscribed {
            _ if service == self.lone() => 1,
            Subscribed::All => self.proxies,
            Subscribed::Some(each) => {
                let takes = |proxy: usize| {
                    let first = proxy * each % self.services;
                    (service + self.services - first) % self.services < each
                };
                (0..self.proxies).filter(|proxy| takes(*proxy)).count()
            }
        }
    }

    /// Subscriptions of all proxies together.
    pub(crate) fn names_in_all(&self) -> usize {
        let each = if let Subscribed::Some(n) = self.subscribed { n.min(self.services) } else { self.services };
        self.proxies * (each * 4 + 4)
    }

    fn services_of(&self, proxy: usize) -> BTreeSet<usize> {
        let mut all: BTreeSet<usize> = match self.subscribed {
            Subscribed::All => (0..self.services).collect(),
            Subscribed::Some(each) => (0..each).map(|n| (proxy * each + n) % self.services).collect(),
        };
        if proxy == 0 {
            all.insert(self.lone());
        }
        all
    }

    /// What a sidecar asks for: its own pod, the mesh, its policies, and of each service all four parts.
    fn names(&self, proxy: usize) -> Vec<ResourceName> {
        let own = ResourceName::address(IpAddr::from(mesh::client(proxy).1));
        let mut names = vec![ResourceName::mesh(), own];
        names.extend([NAMESPACE, "istio-system"].map(ResourceName::policies));
        for service in self.services_of(proxy) {
            let id = ServiceId::new(NAMESPACE, mesh::name(service));
            names.push(ResourceName::address(IpAddr::from(mesh::vip(service))));
            names.extend([ResourceName::service(&id), ResourceName::endpoints(&id), ResourceName::routes(&id)]);
        }
        names
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { services, proxies, subscribed } = self;
        write!(f, "{services} services, {proxies} proxies, subscribed to ")?;
        match subscribed {
            Subscribed::Some(n) => write!(f, "{n} each"),
            Subscribed::All => f.write_str("all"),
        }
    }
}

/// A part of a service whose changes are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Its routes.
    Routes,
    /// Its endpoints.
    Endpoints,
}

/// Something that a proxy has learned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Which proxy.
    pub(crate) proxy: usize,
    /// Of which service.
    pub(crate) service: usize,
    /// Which part.
    pub(crate) part: Part,
    /// The weight of the route, or the bits of the ready endpoints.
    pub(crate) value: u32,
    /// When.
    pub(crate) at: Instant,
}

enum News {
    Synced,
    Seen(Seen),
    Lost(String),
}

/// All proxies; they go when it is dropped.
pub(crate) struct Fleet {
    news: mpsc::UnboundedReceiver<News>,
    _clients: Vec<Client>,
}

impl Fleet {
    /// Starts all, and says how long it took until each had its certificate and everything that it asked for.
    pub(crate) async fn start(plan: Plan, source: &Source, xds: SocketAddr) -> anyhow::Result<(Self, Duration)> {
        let mut tokens = Vec::with_capacity(plan.proxies);
        for proxy in 0..plan.proxies {
            tokens.push(source.token(proxy).await?);
        }
        let (sender, news) = mpsc::unbounded_channel();
        let start = Instant::now();
        let mut starting = tokio::task::JoinSet::new();
        for (proxy, token) in tokens.into_iter().enumerate() {
            starting.spawn(enter(plan, proxy, token, open(source.roots(), xds)?, sender.clone()));
        }
        drop(sender);
        let mut fleet = Self { news, _clients: Vec::new() };
        while let Some(client) = starting.join_next().await {
            fleet._clients.push(client??);
        }
        for waiting in (1..=plan.proxies).rev() {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let news = tokio::time::timeout(left, fleet.news.recv()).await;
            match news.with_context(|| format!("{waiting} proxies have not got everything within {PATIENCE:?}"))? {
                Some(News::Synced) => {}
                Some(News::Lost(why)) => anyhow::bail!("a stream ended: {why}"),
                Some(News::Seen(_)) | None => anyhow::bail!("news of a change that nobody made"),
            }
        }
        Ok((fleet, start.elapsed()))
    }

    /// The next that some proxy has learned; `None` when nothing came until then.
    pub(crate) async fn next(&mut self, until: Instant) -> anyhow::Result<Option<Seen>> {
        match tokio::time::timeout_at(until.into(), self.news.recv()).await {
            Ok(Some(News::Seen(seen))) => Ok(Some(seen)),
            Ok(Some(News::Lost(why))) => anyhow::bail!("a stream ended: {why}"),
            Ok(Some(News::Synced)) => anyhow::bail!("a proxy began anew"),
            Ok(None) => anyhow::bail!("the proxies are gone"),
            Err(_) => Ok(None),
        }
    }
}

/// A connector as sidecars have it: TLS, with the control plane's name verified; the token says who calls.
fn open(roots: &Roots, xds: SocketAddr) -> anyhow::Result<Connector> {
    let config = Arc::new(tls::control_client_config(roots, &[b"h2"])?);
    Ok(connector(move || {
        let tls = TlsConnector::from(Arc::clone(&config));
        async move {
            let stream = TcpStream::connect(xds).await?;
            stream.set_nodelay(true)?;
            tls.connect(ServerName::try_from(CONTROL_HOSTS[0]).map_err(io::Error::other)?, stream).await
        }
    }))
}

/// What a sidecar does at its start: a certificate, then the stream.
async fn enter(
    plan: Plan,
    proxy: usize,
    token: String,
    connector: Connector,
    news: mpsc::UnboundedSender<News>,
) -> anyhow::Result<Client> {
    let csr = Csr::generate(&SpiffeId::new("cluster.local", NAMESPACE, ACCOUNT))?;
    let channel = connect(&connector, Timing::default()).await.map_err(anyhow::Error::msg)?;
    let chain = ca_client::sign(channel, &token, csr.pem(), CERTIFICATE).await?;
    csr.into_svid(&chain, SystemTime::now())?;

    let (pod, ip) = mesh::client(proxy);
    let node = Node { pod, namespace: NAMESPACE.to_owned(), ips: vec![ip.to_string()], version: "0.1.0".to_owned() };
    let (client, events) = Client::spawn(Config::new(node), connector, Arc::new(move || Ok(token.clone())));
    let names = plan.names(proxy);
    let wanted = names.len();
    names.into_iter().for_each(|name| client.subscribe(name));
    tokio::spawn(listen(proxy, wanted, events, news));
    Ok(client)
}

/// Counts the first answers, and passes on what comes after them. The resources themselves are let go.
async fn listen(proxy: usize, wanted: usize, mut events: mpsc::Receiver<Event>, news: mpsc::UnboundedSender<News>) {
    let mut waiting = wanted;
    while let Some(event) = events.recv().await {
        let at = Instant::now();
        let told = match event {
            Event::Update(..) | Event::Absent(_) if waiting > 0 => {
                waiting -= 1;
                (waiting == 0).then_some(News::Synced)
            }
            Event::Update(name, resource, _) => seen(proxy, &name, &resource, at).map(News::Seen),
            Event::Absent(name) => Some(News::Lost(format!("{name} is gone"))),
            Event::Refused(name, why) => Some(News::Lost(format!("{name} is refused: {why}"))),
            Event::Disconnected(why) => Some(News::Lost(why)),
            Event::Connected => None,
        };
        if let Some(told) = told
            && news.send(told).is_err()
        {
            return;
        }
    }
}

fn seen(proxy: usize, name: &ResourceName, resource: &Resource, at: Instant) -> Option<Seen> {
    let service = mesh::number(&name.key)?;
    let (part, value) = match resource {
        Resource::Routes(routes) => {
            let RouteAction::Forward(backends) = &routes.tables.first()?.http.first()?.action else { return None };
            (Part::Routes, backends.first()?.weight)
        }
        Resource::Endpoints(endpoints) => {
            let ready = endpoints.endpoints.iter().enumerate().filter(|(_, e)| e.ready);
            (Part::Endpoints, ready.map(|(n, _)| 1 << n).sum())
        }
        _ => return None,
    };
    Some(Seen { proxy, service, part, value, at })
}
