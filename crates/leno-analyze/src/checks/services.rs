//! Services: what their ports say they speak, and whether all agree.

use std::collections::{BTreeMap, BTreeSet};

use leno_config::k8s::{IntOrString, ServicePort};
use leno_config::object::Path;
use leno_core::decide::protocol::protocol_of_port;
use leno_core::model::Protocol;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{names, text};
use crate::set::{Service, Set, Workload};

pub(super) const CODES: &[&Code] = &[
    &SEVERAL_PROTOCOLS,
    &PORT_NAME,
    &CONFLICTING_PORTS,
    &EXTERNAL_NAME_PORT,
    &TARGET_PORT,
    &DISAGREE,
    &GOVERNING,
    &HEADLESS_PORT,
    &SELECTS_NOTHING,
];

/// Services of one workload have one port for TCP and for UDP.
static SEVERAL_PROTOCOLS: Code = Code {
    id: "IST0116",
    name: "DeploymentAssociatedToMultipleServices",
    level: Level::Warning,
    what: "The pods of a workload are behind several services that use the same port number with different protocols (TCP \
           and UDP).",
    mend: "Join the services into one that has both ports, or give one of them another port number.",
};

/// A port's name says nothing of what it speaks.
static PORT_NAME: Code = Code {
    id: "IST0118",
    name: "PortNameIsNotUnderNamingConvention",
    level: Level::Info,
    what: "The port has no name, or one that does not begin with a protocol. Istio would detect the protocol or take it as \
           opaque TCP, without routes, retries and metrics by request. Leno detects it on every connection, which costs \
           a few bytes of waiting where the server speaks first.",
    mend: "Name the port after its protocol (`http`, `http-web`, `grpc-api`, `tcp-db` …), or set `appProtocol`.",
};

/// Services of one workload lead to one container port from different ports.
static CONFLICTING_PORTS: Code = Code {
    id: "IST0137",
    name: "DeploymentConflictingPorts",
    level: Level::Warning,
    what: "Several services lead to the same port of a workload's pods from different port numbers. Rules and policies by \
           service port cannot be told apart on the server's side.",
    mend: "Use one port number for the same target port, or let the pods listen on two ports.",
};

/// A port of an `ExternalName` service without a protocol.
static EXTERNAL_NAME_PORT: Code = Code {
    id: "IST0150",
    name: "ExternalNameServiceTypeInvalidPortName",
    level: Level::Warning,
    what: "A port of an ExternalName service is not named after a protocol that a proxy can route by host, so that what is \
           sent there may not be forwarded as meant.",
    mend: "Name the port `http-…` for HTTP or `tls-…`/`https-…` for TLS with a server name.",
};

/// `targetPort` names a port that the pods do not have.
static TARGET_PORT: Code = Code {
    id: "LENO0050",
    name: "ServiceTargetPortNotFound",
    level: Level::Warning,
    what: "A service's `targetPort` is a name that no container port of the selected pods has: the port has no endpoints.",
    mend: "Name the container's port so (`ports: [{name: …, containerPort: …}]`), or give `targetPort` as a number.",
};

/// One container port is declared to speak two things.
static DISAGREE: Code = Code {
    id: "LENO0051",
    name: "ServicePortsDisagree",
    level: Level::Warning,
    what: "Ports of one or several services lead to the same port of the same pods and declare different protocols \
           (`http-…` here, `tcp-…` there). Clients of one see routes, retries and metrics that clients of the other do not, \
           and the server's side can hold only one.",
    mend: "Declare the same protocol everywhere.",
};

/// A `StatefulSet`'s governing service is missing or has an address of its own.
static GOVERNING: Code = Code {
    id: "LENO0052",
    name: "GoverningServiceNotHeadless",
    level: Level::Warning,
    what: "The Service that a StatefulSet names in `serviceName` does not exist, or is not headless. Its pods have no names \
           in DNS (`web-0.web`), so that they cannot be called, nor their identity checked, by name.",
    mend: "Make a Service of that name with `clusterIP: None`.",
};

/// A headless service maps ports, which nobody does.
static HEADLESS_PORT: Code = Code {
    id: "LENO0053",
    name: "HeadlessPortNotMapped",
    level: Level::Info,
    what: "A headless service has a `port` that differs from its `targetPort`. DNS gives clients the pods' own addresses, and \
           nothing translates the port for those outside the mesh: they must dial the target port.",
    mend: "Use the same number for both.",
};

/// A service selects no pod.
static SELECTS_NOTHING: Code = Code {
    id: "LENO0054",
    name: "ServiceSelectsNothing",
    level: Level::Info,
    what: "No pod has the labels that the service selects: it has no endpoints, and requests to it get 503.",
    mend: "Compare the service's selector with the labels of the pods. Ignore this for something scaled to zero.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for service in set.services() {
        // Kubernetes' and the meshes' own services are not the user's to name.
        if !set.is_system(&service.id.namespace) && !is_of_kubernetes(service) {
            port_names(out, service);
            headless(set, out, service);
            targets(set, out, service);
            disagree(set, out, service);
        }
    }
    for workload in set.templates().filter(|w| w.object.kind != "Pod" && set.is_meshed(w)) {
        several(set, out, workload);
    }
    governing(set, out);
}

fn is_of_kubernetes(service: &Service<'_>) -> bool {
    service.id.namespace == "default" && service.id.name == "kubernetes"
}

fn declared(port: &ServicePort) -> Protocol {
    // The port's number would stand in for a name where it is a well-known one; here only what is written counts.
    protocol_of_port(port.app_protocol.as_deref(), &port.name, 1, port.is_udp())
}

fn port_path(index: usize) -> Path {
    Path::root().keys("spec.ports").index(index)
}

fn port_names(out: &mut Report, service: &Service<'_>) {
    for (index, port) in service.spec.ports.iter().enumerate().filter(|(_, p)| declared(p) == Protocol::Auto) {
        if service.spec.kind == "ExternalName" {
            let message = "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched \
                           traffic for ports serving TCP protocol from being forwarded correctly";
            out.add(&EXTERNAL_NAME_PORT, service.object, &port_path(index), message);
            continue;
        }
        let target = port.target_port.as_ref().map_or_else(|| port.port.to_string(), ToString::to_string);
        let message = format!(
            "Port name {} (port: {}, targetPort: {target}) doesn't follow the naming convention of Istio port.",
            port.name, port.port
        );
        out.add(&PORT_NAME, service.object, &port_path(index), message);
    }
}

fn headless(set: &Set<'_>, out: &mut Report, service: &Service<'_>) {
    if !service.spec.is_headless() {
        return;
    }
    for (index, port) in service.spec.ports.iter().enumerate() {
        let targets: BTreeSet<u16> = match &port.target_port {
            None => continue,
            Some(IntOrString::Int(_)) => {
                let Some(workload) = set.behind(service).next() else { continue };
                workload.target(port).into_iter().collect()
            }
            Some(IntOrString::Text(_)) => set.behind(service).filter_map(|w| w.target(port)).collect(),
        };
        if let Some(target) = targets.iter().find(|t| **t != port.port) {
            let message =
                format!("The headless service has port {} for target port {target}: nothing maps it.", port.port);
            out.add(&HEADLESS_PORT, service.object, &port_path(index).key("targetPort"), message);
        }
    }
}

fn targets(set: &Set<'_>, out: &mut Report, service: &Service<'_>) {
    let object = service.object;
    if service.spec.selector.is_empty() || service.spec.kind == "ExternalName" {
        return;
    }
    let behind: Vec<&Workload<'_>> = set.behind(service).filter(|w| !w.has_ended()).collect();
    if behind.is_empty() {
        if set.knows_pods(&service.id.namespace) {
            let selector = crate::json::selector_text(&service.spec.selector);
            out.at(&SELECTS_NOTHING, object, "spec.selector", format!("The service selects no pod ({selector})."));
        }
        return;
    }
    for (index, port) in service.spec.ports.iter().enumerate() {
        let Some(IntOrString::Text(name)) = &port.target_port else { continue };
        if behind.iter().all(|w| w.port_named(name).is_none()) {
            let message = format!("No container port of the selected pods is named {name:?}.");
            out.add(&TARGET_PORT, object, &port_path(index).key("targetPort"), message);
        }
    }
}

/// The later of two ports that lead to one container port and declare different things is named.
fn disagree(set: &Set<'_>, out: &mut Report, service: &Service<'_>) {
    for workload in set.behind(service).filter(|w| !w.is_owned) {
        for (index, port) in service.spec.ports.iter().enumerate() {
            let (Some(target), own) = (workload.target(port), declared(port)) else { continue };
            if matches!(own, Protocol::Auto | Protocol::Udp) {
                continue;
            }
            let all = set.in_front(workload).flat_map(|s| s.spec.ports.iter().map(move |p| (s, p)));
            let rival = all.take_while(|(_, p)| !std::ptr::eq(*p, port)).find(|(_, p)| {
                let other = declared(p);
                !matches!(other, Protocol::Auto | Protocol::Udp)
                    && is_opaque(other) != is_opaque(own)
                    && workload.target(p) == Some(target)
            });
            if let Some((other, rival)) = rival {
                let message = format!(
                    "Port {:?} leads to port {target} of {} as {:?} of Service {} does, and declares another protocol.",
                    port.name,
                    workload.object.describe(),
                    rival.name,
                    other.id
                );
                out.add(&DISAGREE, service.object, &port_path(index), message);
            }
        }
    }
}

const fn is_opaque(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Tcp | Protocol::Tls)
}

fn several(set: &Set<'_>, out: &mut Report, workload: &Workload<'_>) {
    let object = workload.object;
    let mut by_port: BTreeMap<u16, BTreeMap<bool, BTreeSet<String>>> = BTreeMap::new();
    let mut by_target: BTreeMap<u16, (BTreeSet<String>, BTreeSet<u16>)> = BTreeMap::new();
    for service in set.in_front(workload) {
        for port in &service.spec.ports {
            by_port.entry(port.port).or_default().entry(port.is_udp()).or_default().insert(service.id.to_string());
            if let Some(target) = workload.target(port).filter(|_| !port.is_udp()) {
                let (services, ports) = by_target.entry(target).or_default();
                services.insert(service.id.to_string());
                ports.insert(port.port);
            }
        }
    }
    for (port, protocols) in by_port.iter().filter(|(_, p)| p.len() > 1) {
        let services: BTreeSet<&String> = protocols.values().flatten().collect();
        // One service with both is how DNS servers are written.
        if services.len() > 1 {
            let services: Vec<&String> = services.into_iter().collect();
            let message = format!(
                "This deployment {} is associated with multiple services using port {port} but different protocols: {}",
                object.name,
                names(&services)
            );
            out.at(&SEVERAL_PROTOCOLS, object, "metadata.name", message);
        }
    }
    for (target, (services, ports)) in by_target.iter().filter(|(_, (s, p))| p.len() > 1 && s.len() > 1) {
        let services: Vec<&String> = services.iter().collect();
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let message = format!(
            "This deployment {} is associated with multiple services {} using targetPort {:?} but different ports: {}.",
            object.name,
            names(&services),
            target.to_string(),
            names(&ports)
        );
        out.at(&CONFLICTING_PORTS, object, "metadata.name", message);
    }
}

fn governing(set: &Set<'_>, out: &mut Report) {
    for object in set.of("apps", "StatefulSet") {
        let Some(name) = text(&object.json, "/spec/serviceName").filter(|n| !n.is_empty()) else { continue };
        let service = set.services().iter().find(|s| s.id.namespace == object.namespace() && s.id.name == name);
        let message = match service {
            None => format!("The governing service {name:?} does not exist: the pods have no names in DNS."),
            Some(s) if !s.spec.is_headless() => {
                format!("The governing service {name:?} is not headless: the pods have no names in DNS.")
            }
            Some(_) => continue,
        };
        out.at(&GOVERNING, object, "spec.serviceName", message);
    }
}
