//! The world as wire resources: pure, nothing depends on who asks.

mod refresh;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use leno_config::{ServiceSpec, Slice, SliceEndpoint, TargetPort};
use leno_core::decide::authn::effective_mtls;
use leno_core::id::ServiceId;
use leno_core::model::{
    Address, AddressTarget, Endpoint, Endpoints, MtlsMode, Policies, Protocol, Routes, Service, ServiceKind,
    ServicePort, Workload, WorkloadPort,
};
use leno_xds::wire::{Resource, ResourceKind, ResourceName};

pub use refresh::{Changes, Refresher};

use crate::world::{Pod, World};

/// The resource of that name; `None`: it does not exist.
#[must_use]
pub fn build(world: &World, name: &ResourceName) -> Option<Resource> {
    match name.kind {
        ResourceKind::Mesh => (*name == ResourceName::mesh()).then(|| Resource::Mesh(Arc::new(world.mesh()))),
        ResourceKind::Address => address(world, name.key.parse().ok()?).map(|a| Resource::Address(Arc::new(a))),
        ResourceKind::Service => service(world, &name.service_id()?).map(|s| Resource::Service(Arc::new(s))),
        ResourceKind::Endpoints => endpoints(world, &name.service_id()?).map(|e| Resource::Endpoints(Arc::new(e))),
        ResourceKind::Routes => routes(world, &name.service_id()?).map(|r| Resource::Routes(Arc::new(r))),
        ResourceKind::Policies => policies(world, &name.key).map(|p| Resource::Policies(Arc::new(p))),
    }
}

fn service(world: &World, id: &ServiceId) -> Option<Service> {
    let spec = world.services().get(id)?;
    Some(Service {
        id: id.clone(),
        kind: spec.kind.clone(),
        vips: spec.vips.clone(),
        ports: spec.ports.iter().map(|(port, _)| as_declared(world, spec, port)).collect(),
        destination_rules: world.rules(id).map(|r| (*r.rule).clone()).collect(),
    })
}

/// A Service's port with the protocol that holds: what an annotation calls opaque is so, whatever its name says.
fn as_declared(world: &World, spec: &ServiceSpec, port: &ServicePort) -> ServicePort {
    let mut port = port.clone();
    if port.protocol != Protocol::Udp && world.is_opaque(spec, port.port) {
        port.protocol = Protocol::Tcp;
    }
    port
}

fn routes(world: &World, id: &ServiceId) -> Option<Routes> {
    let mut tables: Vec<_> = world.routes(id).iter().map(|t| (*t.table).clone()).collect();
    tables.extend(world.mesh_tables(id));
    (!tables.is_empty()).then(|| Routes { service: id.clone(), tables })
}

fn policies(world: &World, namespace: &str) -> Option<Policies> {
    let found = world.policies(namespace)?;
    let mut peer_authentications: Vec<_> = found.authn.values().cloned().collect();
    peer_authentications.sort_by(|a, b| (a.created, &a.origin.name).cmp(&(b.created, &b.origin.name)));
    let authorization = found.authz.values().cloned().collect();
    let mut telemetry: Vec<_> = found.telemetry.values().cloned().collect();
    telemetry.sort_by(|a, b| (a.created, &a.origin.name).cmp(&(b.created, &b.origin.name)));
    Some(Policies { namespace: namespace.to_owned(), peer_authentications, authorization, telemetry })
}

/// A virtual IP before a pod's: no pod can have one, so that a clash is a stale pod.
fn address(world: &World, ip: IpAddr) -> Option<Address> {
    if let Some(spec) = world.services().by_vip(ip) {
        return Some(Address { ip, target: AddressTarget::Service(spec.id.clone()) });
    }
    let pod = world.pods().by_ip(ip)?;
    let (workload, ports, terminating) = (workload(world, pod), workload_ports(world, pod), pod.facts.terminating);
    Some(Address { ip, target: AddressTarget::Workload { workload, ports, terminating } })
}

/// The pod's ports that services name; where several name one port, the oldest service has it.
fn workload_ports(world: &World, pod: &Pod) -> Vec<WorkloadPort> {
    let mut ports: Vec<WorkloadPort> = Vec::new();
    for spec in world.services().in_front_of(&pod.facts.namespace, &pod.facts.name, &pod.facts.labels) {
        for (service_port, target) in &spec.ports {
            let Some(port) = target_on(world, spec, service_port, target, pod) else { continue };
            if service_port.protocol == Protocol::Udp || ports.iter().any(|p| p.port == port) {
                continue;
            }
            let opaque = world.is_opaque(spec, service_port.port) || world.is_opaque_on(pod, port);
            ports.push(WorkloadPort {
                port,
                protocol: if opaque { Protocol::Tcp } else { service_port.protocol },
                service: spec.id.clone(),
                service_port: service_port.port,
                headless: spec.kind == ServiceKind::Headless,
            });
        }
    }
    ports.sort_by_key(|p| p.port);
    ports
}

/// Where a service's port leads on one pod. Without a selector only the slices know.
fn target_on(world: &World, spec: &ServiceSpec, port: &ServicePort, target: &TargetPort, pod: &Pod) -> Option<u16> {
    if spec.selector.is_empty() {
        let mine = |s: &&Arc<Slice>| s.endpoints.iter().any(|e| e.pod.as_ref() == Some(&pod.facts.name));
        return world.services().slices(&spec.id).find(mine).and_then(|slice| mapped(slice, port, target));
    }
    match target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => pod.facts.ports.iter().find(|(n, _)| n == name).map(|(_, number)| *number),
    }
}

/// The slice's port for a service's port: they go by name.
fn mapped(slice: &Slice, port: &ServicePort, target: &TargetPort) -> Option<u16> {
    match slice.ports.iter().find(|(name, _)| *name == port.name)? {
        (_, Some(number)) => Some(*number).filter(|n| *n != 0),
        // "All ports": the endpoint is dialled as the service says.
        (_, None) => match target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(_) => Some(port.port),
        },
    }
}

/// What others learn of a pod.
fn workload(world: &World, pod: &Pod) -> Arc<Workload> {
    if pod.workload.identity.is_none() || !world.some_mtls_is_disabled() {
        return Arc::clone(&pod.workload);
    }
    let plaintext_ports = plaintext_ports(world, pod);
    if plaintext_ports.is_empty() {
        return Arc::clone(&pod.workload);
    }
    Arc::new(Workload { plaintext_ports, ..(*pod.workload).clone() })
}

/// Of the ports that somebody knows by number, those where the pod's policy is DISABLE. A pod in this mode takes mutual
/// TLS on the others too, so that what nobody knows does no harm.
fn plaintext_ports(world: &World, pod: &Pod) -> Vec<u16> {
    let root = world.mesh().root_namespace;
    let policies: Vec<Policies> =
        [&pod.facts.namespace, &root].into_iter().filter_map(|ns| policies(world, ns)).collect();
    let mut policies: Vec<&Policies> = policies.iter().collect();
    policies.dedup_by_key(|p| &p.namespace);
    let of_services = workload_ports(world, pod).into_iter().map(|p| p.port);
    let of_containers = pod.facts.ports.iter().map(|(_, port)| *port);
    let of_policies = policies.iter().flat_map(|p| &p.peer_authentications).flat_map(|a| &a.ports).map(|(p, _)| *p);
    let mut ports: Vec<u16> = of_services.chain(of_containers).chain(of_policies).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.retain(|port| {
        let (mode, _) = effective_mtls(&policies, &pod.facts.namespace, &pod.facts.labels, *port, &root);
        mode == MtlsMode::Disable
    });
    ports
}

fn endpoints(world: &World, id: &ServiceId) -> Option<Endpoints> {
    let spec = world.services().get(id)?;
    let mut endpoints = Vec::new();
    for slice in world.services().slices(id) {
        let mut ports: Vec<(u16, u16)> = Vec::with_capacity(spec.ports.len());
        for (port, target) in &spec.ports {
            if let Some(number) = mapped(slice, port, target) {
                ports.push((port.port, number));
            }
        }
        endpoints.extend(slice.endpoints.iter().filter_map(|e| endpoint(world, spec, slice, e, &ports)));
    }
    // Pods of one owner beside each other make groups on the wire; a fixed order makes equal bytes.
    endpoints.sort_by(|a: &Endpoint, b: &Endpoint| {
        let (x, y) = (&*a.workload, &*b.workload);
        (&x.name, &x.pod, a.ip, &a.ports).cmp(&(&y.name, &y.pod, b.ip, &b.ports))
    });
    Some(Endpoints { service: id.clone(), endpoints })
}

/// `None` for an endpoint whose pod is not known yet: a client that took it for one outside the mesh would dial it in
/// plaintext.
fn endpoint(
    world: &World,
    spec: &ServiceSpec,
    slice: &Slice,
    endpoint: &SliceEndpoint,
    ports: &[(u16, u16)],
) -> Option<Endpoint> {
    let ip = endpoint.addresses.first()?.to_canonical();
    let workload = match &endpoint.pod {
        Some(name) => workload(world, world.pods().get(&slice.namespace, name)?),
        None => world.pods().by_ip(ip).map_or_else(|| outside(spec, endpoint), |pod| workload(world, pod)),
    };
    let ready = (endpoint.ready || spec.publish_not_ready) && !endpoint.terminating;
    Some(Endpoint { ip, ports: ports.to_vec(), ready, workload })
}

/// An endpoint given by hand that is no pod.
fn outside(spec: &ServiceSpec, endpoint: &SliceEndpoint) -> Arc<Workload> {
    Arc::new(Workload {
        namespace: spec.id.namespace.clone(),
        name: UNKNOWN.to_owned(),
        kind: UNKNOWN.to_owned(),
        node: endpoint.node.clone(),
        ..Workload::default()
    })
}

/// What Istio's metrics say of a workload that is not known.
const UNKNOWN: &str = "unknown";
