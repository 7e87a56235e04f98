//! All clusters in use, each made on first use and dropped when it is idle.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use leno_core::Reason;
use leno_core::decide::balance::RoundRobin;
use leno_core::id::ServiceId;
use leno_core::model::{Protocol, Workload};
use tokio::time::Instant;

use super::admission::{Admission, Limits};
use super::endpoint::Spec;
use super::set::{self, EndpointSet};
use super::{Choice, Cluster, ClusterKey, lock};
use crate::discovery::{Discovery, Lookup, ServiceHandle};
use crate::telemetry::ServiceRef;
use crate::tls::{Dialer, Security};

/// The clusters of one proxy.
#[derive(Debug)]
pub struct Clusters {
    discovery: Discovery,
    dialer: Dialer,
    map: Mutex<HashMap<ClusterKey, Arc<Cluster>>>,
}

impl Clusters {
    /// Starts empty.
    #[must_use]
    pub fn new(discovery: Discovery, dialer: Dialer) -> Self {
        Self { discovery, dialer, map: Mutex::default() }
    }

    /// The cluster of a service's port and subset.
    ///
    /// # Errors
    /// Where the service does not exist, or nobody can tell yet.
    pub async fn of_service(&self, id: &ServiceId, subset: Option<&str>, port: u16) -> Result<Arc<Cluster>, Reason> {
        let key = ClusterKey::Service { id: id.clone(), subset: subset.map(str::to_owned), port };
        if let Some(cluster) = self.known(&key) {
            return Ok(cluster);
        }
        match self.discovery.service(id).await {
            Lookup::Found(handle) => Ok(self.insert(self.service_cluster(key, handle))),
            Lookup::Absent => Err(Reason::ClusterNotFound),
            Lookup::Unavailable => Err(Reason::NotReady),
        }
    }

    /// The cluster of a service's port, where the service is at hand.
    #[must_use]
    pub fn of_handle(&self, handle: &Arc<ServiceHandle>, port: u16) -> Arc<Cluster> {
        let key = ClusterKey::Service { id: handle.id().clone(), subset: None, port };
        self.known(&key).unwrap_or_else(|| self.insert(self.service_cluster(key, Arc::clone(handle))))
    }

    /// The cluster of one pod, dialled by its own address.
    #[must_use]
    pub fn of_pod(&self, addr: SocketAddr, workload: &Arc<Workload>, protocol: Protocol) -> Arc<Cluster> {
        let sni = set::sni(&addr.ip().to_string(), addr.port(), "", addr.ip());
        let security = set::security(workload, addr.port(), None, &sni);
        let key = ClusterKey::Pod(addr);
        let current = self.known(&key).filter(|c| c.set().all.iter().all(|e| e.is_same(workload, &security)));
        current.unwrap_or_else(|| {
            let spec = Spec { addr, workload: Some(Arc::clone(workload)), security };
            self.insert(self.address_cluster(key, "PassthroughCluster".into(), spec, protocol))
        })
    }

    /// The cluster of an address outside of the mesh.
    #[must_use]
    pub fn of_outside(&self, addr: SocketAddr) -> Arc<Cluster> {
        let key = ClusterKey::Outside(addr);
        self.known(&key).unwrap_or_else(|| {
            let spec = Spec { addr, workload: None, security: Security::Plain };
            self.insert(self.address_cluster(key, "PassthroughCluster".into(), spec, Protocol::Auto))
        })
    }

    /// The cluster of a port of this pod's application.
    #[must_use]
    pub fn of_app(&self, addr: SocketAddr, protocol: Protocol) -> Arc<Cluster> {
        let key = ClusterKey::App(addr);
        self.known(&key).unwrap_or_else(|| {
            let spec = Spec { addr, workload: None, security: Security::Plain };
            let name = format!("inbound|{}||", addr.port());
            self.insert(self.address_cluster(key, name.into(), spec, protocol))
        })
    }

    /// A cluster, if it is in use.
    #[must_use]
    pub fn existing(&self, key: &ClusterKey) -> Option<Arc<Cluster>> {
        self.known(key)
    }

    /// All of them, for the admin server.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Cluster>> {
        lock(&self.map).values().map(Arc::clone).collect()
    }

    /// Keeps house for as long as the proxy runs.
    pub async fn keep_house(self: Arc<Self>) {
        let mut every = tokio::time::interval(SWEEP);
        loop {
            every.tick().await;
            self.sweep();
        }
    }

    /// Ends idle connections, and drops clusters that nobody uses or whose service is gone.
    pub fn sweep(&self) {
        let all = self.all();
        for cluster in &all {
            cluster.sweep();
        }
        drop(all);
        lock(&self.map).retain(|_, c| {
            let gone = c.handle.as_ref().is_some_and(|h| h.is_closed());
            // A cluster that a connection still holds stays, so that its connections stay shared.
            !gone && (Arc::strong_count(c) > 1 || c.idle() < UNUSED)
        });
    }

    fn known(&self, key: &ClusterKey) -> Option<Arc<Cluster>> {
        let map = lock(&self.map);
        map.get(key).filter(|c| c.handle.as_ref().is_none_or(|h| !h.is_closed())).map(Arc::clone)
    }

    /// Keeps the first one where two were made at once, unless that is stale.
    fn insert(&self, cluster: Cluster) -> Arc<Cluster> {
        let cluster = Arc::new(cluster);
        lock(&self.map).insert(cluster.key.clone(), Arc::clone(&cluster));
        cluster
    }

    fn service_cluster(&self, key: ClusterKey, handle: Arc<ServiceHandle>) -> Cluster {
        let name = match &key {
            ClusterKey::Service { id, subset, port } => {
                format!("outbound|{port}|{}|{}", subset.as_deref().unwrap_or_default(), id.host())
            }
            ClusterKey::Pod(_) | ClusterKey::Outside(_) | ClusterKey::App(_) => String::new(),
        };
        let service = Some(Arc::new(ServiceRef::from(handle.id())));
        let cluster = self.cluster(key, name.into(), service, Some(handle), EndpointSet::unknown());
        drop(cluster.set());
        cluster
    }

    fn address_cluster(&self, key: ClusterKey, name: Arc<str>, spec: Spec, protocol: Protocol) -> Cluster {
        self.cluster(key, name, None, None, EndpointSet::of_address(spec, protocol, Duration::ZERO))
    }

    fn cluster(
        &self,
        key: ClusterKey,
        name: Arc<str>,
        service: Option<Arc<ServiceRef>>,
        handle: Option<Arc<ServiceHandle>>,
        set: EndpointSet,
    ) -> Cluster {
        Cluster {
            key,
            name,
            service,
            admission: Admission::new(&Limits::default()),
            handle,
            dialer: self.dialer.clone(),
            set: ArcSwap::from_pointee(set),
            rebuild: Mutex::default(),
            choice: Mutex::new(Choice { outlier: None, round: RoundRobin::new(rand::random()) }),
            budget: Mutex::default(),
            epoch: Instant::now(),
            used: std::sync::atomic::AtomicU64::new(0),
        }
    }
}

/// Time between sweeps.
const SWEEP: Duration = Duration::from_secs(5);
/// A cluster that nobody used for this long is dropped with its connections.
const UNUSED: Duration = Duration::from_secs(300);
