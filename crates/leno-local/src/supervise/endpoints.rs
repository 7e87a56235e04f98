//! Services and pods to endpoint slices, DNS names and service addresses: pure.

use std::net::{Ipv4Addr, SocketAddrV4};

use leno_config::k8s::{IntOrString, PodSpec, Service};
use leno_core::model::{Labels, selects};
use serde_json::{Value, json};

use crate::dns::zone;
use crate::net::nft;

/// A pod as services see it.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique id.
    pub uid: String,
    /// Address.
    pub ip: Ipv4Addr,
    /// Labels.
    pub labels: Labels,
    /// For named ports, host name and subdomain.
    pub spec: PodSpec,
    /// All containers are ready.
    pub ready: bool,
    /// Was told to end.
    pub terminating: bool,
}

/// The pods that a service selects. None without a selector.
#[must_use]
pub fn selected<'a>(service: &Service, namespace: &str, pods: &'a [Backend]) -> Vec<&'a Backend> {
    if service.spec.selector.is_empty() {
        return Vec::new();
    }
    pods.iter().filter(|p| p.namespace == namespace && selects(&service.spec.selector, &p.labels)).collect()
}

/// The port on this pod that a port of the service leads to.
fn target(port: &leno_config::k8s::ServicePort, pod: &PodSpec) -> Option<u16> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
        Some(IntOrString::Text(name)) => name.parse().ok().or_else(|| pod.port_named(name)),
    }
}

/// The service's `EndpointSlice`s: one for each set of target ports, as in Kubernetes (named ports may differ by pod).
#[must_use]
pub fn slices(service: &Service, namespace: &str, pods: &[&Backend]) -> Vec<Value> {
    let name = &service.metadata.name;
    let mut groups: Vec<(Vec<Option<u16>>, Vec<&Backend>)> = Vec::new();
    for pod in pods {
        let ports: Vec<Option<u16>> = service.spec.ports.iter().map(|p| target(p, &pod.spec)).collect();
        match groups.iter_mut().find(|(have, _)| *have == ports) {
            Some((_, members)) => members.push(pod),
            None => groups.push((ports, vec![pod])),
        }
    }
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    let slice = |(index, (targets, members)): (usize, &(Vec<Option<u16>>, Vec<&Backend>))| {
        let ports: Vec<Value> = service
            .spec
            .ports
            .iter()
            .zip(targets)
            .filter_map(|(p, target)| {
                let mut port = json!({"name": p.name, "port": (*target)?, "protocol": protocol(&p.protocol)});
                if let Some(app) = &p.app_protocol {
                    port["appProtocol"] = json!(app);
                }
                Some(port)
            })
            .collect();
        let endpoints: Vec<Value> =
            members.iter().map(|p| endpoint(p, name, service.spec.publish_not_ready_addresses)).collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-{index}"), "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
        })
    };
    groups.iter().enumerate().map(slice).collect()
}

fn endpoint(pod: &Backend, service: &str, publish_not_ready: bool) -> Value {
    let serving = pod.ready || publish_not_ready;
    let mut endpoint = json!({
        "addresses": [pod.ip.to_string()],
        "conditions": {"ready": serving && !pod.terminating, "serving": serving, "terminating": pod.terminating},
        "nodeName": "local",
        "targetRef": {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
    });
    if pod.spec.subdomain == service && !pod.spec.hostname.is_empty() {
        endpoint["hostname"] = json!(pod.spec.hostname);
    }
    endpoint
}

/// What the node translates for this service.
#[must_use]
pub fn node_ports(service: &Service, address: Ipv4Addr, pods: &[&Backend]) -> Vec<nft::ServicePort> {
    let usable = |p: &&&Backend| !p.terminating && (p.ready || service.spec.publish_not_ready_addresses);
    service
        .spec
        .ports
        .iter()
        .filter(|p| matches!(protocol(&p.protocol), "TCP" | "UDP"))
        .map(|port| nft::ServicePort {
            address,
            port: port.port,
            udp: protocol(&port.protocol) == "UDP",
            endpoints: pods
                .iter()
                .filter(usable)
                .filter_map(|p| Some(SocketAddrV4::new(p.ip, target(port, &p.spec)?)))
                .collect(),
        })
        .collect()
}

/// What DNS says of this service. `address`: its cluster IP, `None` for headless.
#[must_use]
pub fn names(service: &Service, namespace: &str, address: Option<Ipv4Addr>, pods: &[&Backend]) -> zone::Service {
    let name = service.metadata.name.clone();
    let usable = |p: &&&Backend| !p.terminating && (p.ready || service.spec.publish_not_ready_addresses);
    let alias = (service.spec.kind == "ExternalName").then(|| service.spec.external_name.clone());
    let own_name =
        |p: &Backend| (p.spec.subdomain == name && !p.spec.hostname.is_empty()).then(|| p.spec.hostname.clone());
    let named = service.spec.ports.iter().filter(|p| !p.name.is_empty());
    zone::Service {
        namespace: namespace.to_owned(),
        address,
        alias,
        ports: named.map(|p| (p.name.clone(), if p.is_udp() { "udp" } else { "tcp" }, p.port)).collect(),
        endpoints: pods.iter().filter(usable).map(|p| (own_name(p), p.ip)).collect(),
        name,
    }
}

/// A port's protocol; empty is TCP.
#[must_use]
pub fn protocol(text: &str) -> &str {
    if text.is_empty() { "TCP" } else { text }
}

#[cfg(test)]
mod tests;
