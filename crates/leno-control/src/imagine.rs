//! The mesh as one pod would be told of it: what `leno why` judges by where no sidecar is there to be asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery};
use leno_core::id::ServiceId;
use leno_core::merge::{self, Viewer};
use leno_core::model::{Address, AddressTarget, Endpoints, Policies};
use leno_core::why::{self, Arriving, Backend, Callee, Caller, Found, Inbound, Known, View};
use leno_xds::wire::{Resource, ResourceName};

use crate::build::build;
use crate::world::{Pod, World};

/// The world, from one pod's place in it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'w> {
    /// What is in force.
    pub world: &'w World,
    /// The pod.
    pub pod: &'w Pod,
}

impl Place<'_> {
    fn viewer(&self) -> Viewer {
        Viewer {
            namespace: self.pod.facts.namespace.clone(),
            labels: self.pod.facts.labels.clone(),
            root_namespace: self.world.mesh().root_namespace,
        }
    }
}

impl Known for Place<'_> {
    fn caller(&self) -> Caller {
        Caller {
            workload: Arc::clone(&self.pod.workload),
            viewer: Arc::new(self.viewer()),
            mesh: Arc::new(self.world.mesh()),
            own: self.pod.facts.ips.clone(),
            meshed: self.pod.facts.meshed,
        }
    }

    fn address(&self, ip: IpAddr) -> Found<Arc<Address>> {
        match build(self.world, &ResourceName::address(ip)) {
            Some(Resource::Address(address)) => Found::Found(address),
            _ => Found::Absent,
        }
    }

    fn service(&self, id: &ServiceId) -> Found<View> {
        let Some(Resource::Service(service)) = build(self.world, &ResourceName::service(id)) else {
            return Found::Absent;
        };
        let endpoints = match build(self.world, &ResourceName::endpoints(id)) {
            Some(Resource::Endpoints(endpoints)) => endpoints,
            _ => Arc::new(Endpoints { service: id.clone(), endpoints: Vec::new() }),
        };
        let viewer = self.viewer();
        let routes = match build(self.world, &ResourceName::routes(id)) {
            Some(Resource::Routes(routes)) => merge::route_table(&routes, &viewer).cloned().map(Arc::new),
            _ => None,
        };
        let rule = merge::destination_rule(&service, &viewer).cloned().map(Arc::new);
        Found::Found(View { service, endpoints, routes, rule })
    }

    /// Nobody has failed yet.
    fn is_ejected(&self, _of: Backend<'_>, _endpoint: SocketAddr) -> bool {
        false
    }

    fn is_target(&self, path: &str, authority: Option<&str>) -> bool {
        path.parse::<PathAndQuery>().is_ok() && authority.is_none_or(|a| a.parse::<Authority>().is_ok())
    }
}

/// What the sidecar of the pod that is dialled would decide; `None`: no pod is there, or it has no sidecar.
#[must_use]
pub fn inbound(world: &World, arriving: &Arriving, opaque: bool) -> Option<Inbound> {
    let ip = arriving.dialled.ip();
    world.pods().by_ip(ip).filter(|pod| pod.facts.meshed)?;
    let Some(Resource::Address(address)) = build(world, &ResourceName::address(ip)) else { return None };
    let AddressTarget::Workload { workload, ports, .. } = &address.target else { return None };
    let root = world.mesh().root_namespace;
    let policies = |namespace: &str| match build(world, &ResourceName::policies(namespace)) {
        Some(Resource::Policies(policies)) => policies,
        _ => Arc::new(Policies { namespace: namespace.to_owned(), ..Policies::default() }),
    };
    let own = policies(&workload.namespace);
    let wide = if workload.namespace == root { Arc::default() } else { policies(&root) };
    let callee = Callee { workload, ports, policies: [&own, &wide], root_namespace: &root, opaque };
    Some(why::inbound(callee, arriving))
}
