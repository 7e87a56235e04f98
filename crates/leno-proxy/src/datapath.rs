//! What both listeners share: the parts of the proxy, the clusters, and who this pod is.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use leno_core::addr::OrigDst;
use leno_core::id::SpiffeId;
use leno_core::model::Workload;
use leno_kit::sock;
use tokio::net::TcpStream;

use crate::App;
use crate::cluster::{Clusters, lock};
use crate::telemetry::PeerInfo;

/// Tells where an accepted connection was going.
type Find = Arc<dyn Fn(&TcpStream) -> Option<OrigDst> + Send + Sync>;

/// How a listener learns where a connection was going.
#[derive(Clone)]
pub enum Destination {
    /// From the kernel, which redirected it here.
    Intercepted,
    /// From the caller: for tests, and for listeners that stand for one address.
    Given(Find),
}

impl Destination {
    /// Always the same address.
    #[must_use]
    pub fn fixed(addr: SocketAddr) -> Self {
        Self::Given(Arc::new(move |_| Some(OrigDst(addr))))
    }

    /// Where `stream` was going.
    #[must_use]
    pub fn of(&self, stream: &TcpStream) -> Option<OrigDst> {
        match self {
            Self::Intercepted => sock::original_dst(stream),
            Self::Given(find) => find(stream),
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intercepted => "Intercepted",
            Self::Given(_) => "Given",
        })
    }
}

/// The parts of the proxy that a connection needs.
#[derive(Debug)]
pub struct DataPath {
    /// Settings and handles.
    pub app: App,
    /// Where requests go.
    pub clusters: Arc<Clusters>,
    me: ArcSwapOption<Me>,
    learned: Mutex<Learned>,
}

/// What was learned of dialled addresses: bounded, and forgotten whole when it is full.
#[derive(Debug, Default)]
struct Learned {
    server_first: HashSet<SocketAddr>,
    hinted: HashSet<SocketAddr>,
}

/// This pod, as a record's source or destination.
#[derive(Debug)]
pub struct Me {
    workload: Arc<Workload>,
    plain: PeerInfo,
    /// With its identity, over mutual TLS.
    pub proven: PeerInfo,
    /// What its peers' sidecars are told of it (`x-leno-peer`).
    pub header: http::HeaderValue,
}

impl DataPath {
    /// Wires the parts, and starts the task that keeps house until the proxy ends.
    #[must_use]
    pub fn new(app: App) -> Arc<Self> {
        let clusters = Arc::clone(&app.clusters);
        let house = Arc::clone(&clusters).keep_house();
        let drain = app.drain.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = house => {}
                () = drain.forced() => {}
            }
        });
        Arc::new(Self { app, clusters, me: ArcSwapOption::empty(), learned: Mutex::default() })
    }

    /// Whether `ip` is one of this pod's own addresses: what goes there stays in the pod. Loopback is not among them.
    #[must_use]
    pub fn is_own(&self, ip: IpAddr) -> bool {
        self.app.settings.instance_ips.contains(&ip)
    }

    /// This pod as of now.
    #[must_use]
    pub fn me(&self) -> Arc<Me> {
        let own = self.app.discovery.own_now();
        if let Some(me) = self.me.load().as_ref().filter(|me| Arc::ptr_eq(&me.workload, &own.workload)) {
            return Arc::clone(me);
        }
        let id = Arc::new(own.workload.identity.clone().unwrap_or_else(|| self.app.settings.identity()));
        let me = Arc::new(Me::new(Arc::clone(&own.workload), id));
        self.me.store(Some(Arc::clone(&me)));
        me
    }

    /// Whether servers at `dialled` were seen to speak first: then nobody waits for the client any more.
    #[must_use]
    pub fn speaks_first(&self, dialled: SocketAddr) -> bool {
        lock(&self.learned).server_first.contains(&dialled)
    }

    /// Remembers that they do.
    pub fn learn_first(&self, dialled: SocketAddr) {
        remember(&mut lock(&self.learned).server_first, dialled);
    }

    /// Whether a hint about `dialled` is still to be given; true once.
    #[must_use]
    pub fn hint_once(&self, dialled: SocketAddr) -> bool {
        remember(&mut lock(&self.learned).hinted, dialled)
    }
}

impl Me {
    fn new(workload: Arc<Workload>, id: Arc<SpiffeId>) -> Self {
        let header = crate::http::phase::peer::header(&workload);
        Self {
            plain: PeerInfo { workload: Some(Arc::clone(&workload)), principal: None },
            proven: PeerInfo { workload: Some(Arc::clone(&workload)), principal: Some(id) },
            workload,
            header,
        }
    }

    /// As a record has it.
    #[must_use]
    pub fn info(&self, mutual: bool) -> PeerInfo {
        if mutual { self.proven.clone() } else { self.plain.clone() }
    }
}

fn remember(set: &mut HashSet<SocketAddr>, addr: SocketAddr) -> bool {
    if set.len() >= LEARNED {
        set.clear();
    }
    set.insert(addr)
}

/// Addresses remembered at most.
const LEARNED: usize = 1024;
