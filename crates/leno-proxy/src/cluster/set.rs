//! The endpoints of a cluster as one change of its service left them, ready to choose from.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use leno_core::decide::balance::{self, HashRing, RoundRobin};
use leno_core::decide::cluster::{self, Proof};
use leno_core::model::traffic::{Balancer, ClientTls, HashKey, OutlierDetection, Subset};
use leno_core::model::{Protocol, Workload};
use leno_identity::Expected;
use rustls_pki_types::ServerName;

use super::ClusterKey;
use super::admission::Limits;
use super::endpoint::{Endpoint, Spec};
use crate::discovery::ServiceView;
use crate::tls::Security;

/// One state of a cluster's endpoints. Replaced whole.
#[derive(Debug)]
pub struct EndpointSet {
    /// Of the service's view that it was derived from.
    pub generation: u64,
    /// Whether the service has such a port and subset at all.
    pub exists: bool,
    /// What the port is declared to speak.
    pub protocol: Protocol,
    /// Endpoints that take new requests.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Those, and the ones that do not (not ready): an application may dial them itself.
    pub all: Vec<Arc<Endpoint>>,
    /// Limits and times.
    pub limits: Limits,
    /// Whether and how failing endpoints are ejected.
    pub outlier: Option<OutlierDetection>,
    balancer: Balancer,
    ring: Option<HashRing>,
}

impl EndpointSet {
    /// A set of one address that no service stands for.
    #[must_use]
    pub fn of_address(spec: Spec, protocol: Protocol, now: Duration) -> Self {
        let endpoint = Arc::new(Endpoint::new(spec, now));
        Self {
            generation: 0,
            exists: true,
            protocol,
            endpoints: vec![Arc::clone(&endpoint)],
            all: vec![endpoint],
            limits: Limits::default(),
            outlier: None,
            balancer: Balancer::LeastRequest,
            ring: None,
        }
    }

    /// An empty set, older than every view.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            generation: 0,
            exists: false,
            protocol: Protocol::Auto,
            endpoints: Vec::new(),
            all: Vec::new(),
            limits: Limits::default(),
            outlier: None,
            balancer: Balancer::LeastRequest,
            ring: None,
        }
    }

    /// Derives the set for `key` from its service; endpoints that are the same as in `old` are taken over with all that
    /// is remembered of them.
    #[must_use]
    pub fn of_service(key: &ClusterKey, view: &ServiceView, old: &Self, own: &[IpAddr], now: Duration) -> Self {
        let ClusterKey::Service { id, subset, port } = key else { return Self::unknown() };
        let cluster::Plan { exists, protocol, subset: chosen, policy } =
            cluster::plan(&view.service, view.rule.as_deref(), subset.as_deref(), *port);
        let mut set = Self {
            generation: view.generation,
            exists,
            protocol,
            limits: Limits::of(policy.pool.as_ref()),
            outlier: policy.outlier.clone(),
            balancer: policy.balancer.clone().unwrap_or_default(),
            ..Self::unknown()
        };
        if exists {
            let (host, name) = (id.host(), subset.as_deref().unwrap_or_default());
            let security = |workload: &Workload, addr: SocketAddr| {
                // Inside this pod nothing is intercepted, so there is no sidecar that could answer.
                if own.contains(&addr.ip()) {
                    return Security::Plain;
                }
                security(workload, addr.port(), policy.tls.as_ref(), &sni(&host, *port, name, addr.ip()))
            };
            set.fill(view, *port, chosen, &security, old, now);
        }
        set
    }

    fn fill(
        &mut self,
        view: &ServiceView,
        port: u16,
        subset: Option<&Subset>,
        security: &dyn Fn(&Workload, SocketAddr) -> Security,
        old: &Self,
        now: Duration,
    ) {
        let known: HashMap<SocketAddr, &Arc<Endpoint>> = old.all.iter().map(|e| (e.addr, e)).collect();
        for (addr, endpoint) in cluster::members(&view.endpoints, subset, port) {
            let security = security(&endpoint.workload, addr);
            let kept = known.get(&addr).filter(|e| e.is_same(&endpoint.workload, &security));
            let shared = kept.map_or_else(
                || {
                    let workload = Some(Arc::clone(&endpoint.workload));
                    Arc::new(Endpoint::new(Spec { addr, workload, security }, now))
                },
                |e| Arc::clone(e),
            );
            if endpoint.ready {
                self.endpoints.push(Arc::clone(&shared));
            }
            self.all.push(shared);
        }
        if let Balancer::ConsistentHash { minimum_ring_size, .. } = &self.balancer {
            let keys = self.endpoints.iter().map(|e| e.addr.to_string());
            self.ring = Some(HashRing::new(keys, *minimum_ring_size));
        }
    }

    /// What a consistent hash is taken of, where there is one.
    #[must_use]
    pub const fn hash_key(&self) -> Option<&HashKey> {
        match &self.balancer {
            Balancer::ConsistentHash { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The place of the endpoint that the balancer chooses among the usable ones.
    pub(super) fn choose(
        &self,
        round: &mut RoundRobin,
        hash: Option<u64>,
        now: Duration,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let n = self.endpoints.len();
        if n == 1 {
            return Some(0).filter(|i| usable(*i));
        }
        match (&self.balancer, &self.ring, hash) {
            (Balancer::ConsistentHash { .. }, Some(ring), Some(hash)) => ring.lookup(hash, usable),
            (Balancer::RoundRobin, ..) => round.pick(n, usable),
            (Balancer::Random | Balancer::ConsistentHash { .. }, ..) => balance::random(n, rand::random(), usable),
            // The original destination is chosen before anything is balanced; where it is not an endpoint's, the
            // least loaded one serves.
            (Balancer::LeastRequest | Balancer::Passthrough, ..) => {
                let load = |i: usize| self.endpoints.get(i).map_or(f64::INFINITY, |e| e.load(now));
                balance::p2c(load, n, rand::random(), rand::random(), usable)
            }
        }
    }
}

/// How to be sure of an endpoint: the mesh's mutual TLS wherever it is meshed, unless a rule says otherwise.
#[must_use]
pub(super) fn security(workload: &Workload, port: u16, tls: Option<&ClientTls>, sni: &ServerName<'static>) -> Security {
    let expected = match cluster::proof(workload, port, tls) {
        Proof::Plain => return Security::Plain,
        Proof::Identity(id) => Expected::AnyOf(vec![id.clone()]),
        Proof::Nobody => Expected::AnyOf(Vec::new()),
        Proof::Names(names) => Expected::Names(names.to_vec()),
    };
    let own_name = tls.and_then(|t| t.sni.clone()).and_then(|s| ServerName::try_from(s).ok());
    let sni = own_name.unwrap_or_else(|| sni.clone());
    Security::Mutual { expected, sni }
}

/// Istio's server name of a cluster; just the address where that cannot be a name (a pod's bare address), as the
/// identity is checked by the certificate and not by it.
#[must_use]
pub(super) fn sni(host: &str, port: u16, subset: &str, addr: IpAddr) -> ServerName<'static> {
    ServerName::try_from(format!("outbound_.{port}_.{subset}_.{host}")).unwrap_or_else(|_| addr.into())
}
