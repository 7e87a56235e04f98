//! What rules refer to: hosts, ports, subsets, namespaces.

use leno_config::Object;
use leno_config::object::Path;
use leno_core::id::ServiceId;
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, port, text, texts};
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[&NOT_FOUND, &PORT_REQUIRED, &SPLIT_PORT, &EXPORT_TO];

/// A rule names what does not exist. Reported for hosts, ports and subsets of `VirtualService`s, gateways, services of
/// `TrafficSplit`s, credentials of Gateways, namespaces of `AuthorizationPolicy`s.
pub(super) static NOT_FOUND: Code = Code {
    id: "IST0101",
    name: "ReferencedResourceNotFound",
    level: Level::Error,
    what: "A rule refers to something that does not exist: a host, a port of a service, a subset, a gateway, a Secret, \
           a namespace. Requests that the rule sends there fail with 503, or the rule holds for nothing.",
    mend: "Mind the spelling and the namespace: a short name means a service in the namespace of the rule, so write \
           `name.namespace.svc.cluster.local` for another one. Subsets are made by a DestinationRule for the same host. \
           If the files are only a part of what runs, analyze them together with the cluster (`--use-kube`).",
};

/// The destination has several ports and the rule does not say which, and the port that was called is not among them.
static PORT_REQUIRED: Code = Code {
    id: "IST0112",
    name: "VirtualServiceDestinationPortSelectorRequired",
    level: Level::Error,
    what: "The rule routes to another service that has several ports, none of which is the port that clients call, so \
           that nothing says which one is meant.",
    mend: "Give the destination a `port: {number: …}`.",
};

/// A backend of a `TrafficSplit` lacks a port of the apex service.
static SPLIT_PORT: Code = Code {
    id: "LENO0010",
    name: "TrafficSplitBackendPortMissing",
    level: Level::Warning,
    what: "A backend of a TrafficSplit does not have a port that the apex service has. Requests to that port which fall \
           to this backend fail.",
    mend: "Give the backend's Service the same port numbers as the apex service.",
};

/// `exportTo` names a namespace that does not exist.
static EXPORT_TO: Code = Code {
    id: "LENO0011",
    name: "ExportToUnknownNamespace",
    level: Level::Warning,
    what: "`exportTo` names a namespace that does not exist, so that the rule is visible to fewer clients than meant.",
    mend: "Name an existing namespace, `.` for the rule's own, or `*` for all.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for object in set.virtual_services() {
        for (path, destination, role) in destinations(object) {
            judge_destination(set, out, object, &path, destination, role);
        }
    }
    for object in set.splits() {
        split(set, out, object);
    }
    if set.knows_namespaces() {
        for object in set.all() {
            export_to(set, out, object);
        }
    }
}

/// Every destination of a `VirtualService`, with the word that istioctl has for its place.
pub(super) fn destinations(object: &Object) -> Vec<(Path, &Value, &'static str)> {
    let mut all = Vec::new();
    for rules in ["http", "tcp", "tls"] {
        for (index, rule) in list(&object.json, &format!("/spec/{rules}")).iter().enumerate() {
            let at = Path::root().key("spec").key(rules).index(index);
            for (index, route) in list(rule, "/route").iter().enumerate() {
                let path = at.key("route").index(index).key("destination");
                all.extend(route.get("destination").map(|d| (path, d, "host")));
            }
            all.extend(rule.get("mirror").map(|m| (at.key("mirror"), m, "mirror host")));
            for (index, mirror) in list(rule, "/mirrors").iter().enumerate() {
                let path = at.key("mirrors").index(index).key("destination");
                all.extend(mirror.get("destination").map(|d| (path, d, "mirror host")));
            }
        }
    }
    all
}

fn judge_destination(set: &Set<'_>, out: &mut Report, object: &Object, path: &Path, to: &Value, role: &str) {
    let Some(host) = text(to, "/host").filter(|h| !h.is_empty()) else { return };
    let namespace = object.namespace();
    if !set.host_exists(host, namespace) {
        let message = format!("Referenced {role} not found: {host:?}");
        return out.add(&NOT_FOUND, object, &path.key("host"), message);
    }
    if let Some(service) = set.service_of_host(host, namespace) {
        let ports: Vec<u16> = service.spec.ports.iter().map(|p| p.port).collect();
        match port(to, "/port/number") {
            Some(number) if !ports.contains(&number) => {
                let what = format!("{host}:{number}");
                out.add(&NOT_FOUND, object, &path.key("port"), format!("Referenced {role}:port not found: {what:?}"));
            }
            None if ports.len() > 1 && !called_ports_fit(set, object, &ports) => {
                let message = format!(
                    "This VirtualService routes to a service {host:?} that exposes multiple ports {}. Specifying a port \
                     in the destination is required to disambiguate.",
                    crate::json::names(&ports.iter().map(u16::to_string).collect::<Vec<_>>())
                );
                out.add(&PORT_REQUIRED, object, &path.key("host"), message);
            }
            _ => {}
        }
    }
    if let Some(subset) = text(to, "/subset").filter(|s| !s.is_empty())
        && !has_subset(set, host, namespace, subset)
    {
        let what = format!("{host}+{subset}");
        let message = format!("Referenced {role}+subset in destinationrule not found: {what:?}");
        out.add(&NOT_FOUND, object, &path.key("subset"), message);
    }
}

/// Whether every port by which the rule's own hosts are called is a port of the destination.
fn called_ports_fit(set: &Set<'_>, object: &Object, ports: &[u16]) -> bool {
    let hosts = texts(&object.json, "/spec/hosts");
    let called = hosts.iter().filter_map(|h| set.service_of_host(h, object.namespace()));
    called.flat_map(|s| &s.spec.ports).filter(|p| !p.is_udp()).all(|p| ports.contains(&p.port))
}

fn has_subset(set: &Set<'_>, host: &str, namespace: &str, subset: &str) -> bool {
    let wanted = ServiceId::from_host(host, namespace);
    set.destination_rules().any(|rule| {
        let own = text(&rule.json, "/spec/host").unwrap_or_default();
        let same = ServiceId::from_host(own, rule.namespace()).is_some_and(|id| Some(&id) == wanted.as_ref())
            || own.eq_ignore_ascii_case(host)
            || own.contains('*') && wanted.as_ref().is_some_and(|id| crate::mesh::host_covers(own, &id.host()));
        same && list(&rule.json, "/spec/subsets").iter().any(|s| text(s, "/name") == Some(subset))
    })
}

fn split(set: &Set<'_>, out: &mut Report, object: &Object) {
    let apex = text(&object.json, "/spec/service").unwrap_or_default();
    let root = Path::root();
    let missing = |out: &mut Report, path: &Path, host: &str| {
        if !host.is_empty() && !set.host_exists(host, object.namespace()) {
            out.add(&NOT_FOUND, object, path, format!("Referenced service not found: {host:?}"));
        }
    };
    missing(out, &root.keys("spec.service"), apex);
    let apex_service = set.service_of_host(apex, object.namespace());
    for (index, backend) in list(&object.json, "/spec/backends").iter().enumerate() {
        let host = text(backend, "/service").unwrap_or_default();
        let path = root.keys("spec.backends").index(index).key("service");
        missing(out, &path, host);
        let (Some(apex_service), Some(service)) = (apex_service, set.service_of_host(host, object.namespace())) else {
            continue;
        };
        for wanted in apex_service.spec.ports.iter().filter(|p| !p.is_udp()) {
            if !service.spec.ports.iter().any(|p| p.port == wanted.port) {
                let message = format!("The backend {host} has no port {}, which {apex} has.", wanted.port);
                out.add(&SPLIT_PORT, object, &path, message);
            }
        }
    }
}

fn export_to(set: &Set<'_>, out: &mut Report, object: &Object) {
    let kinds = ["VirtualService", "DestinationRule", "ServiceEntry"];
    if object.group() != "networking.istio.io" || !kinds.contains(&object.kind.as_str()) {
        return;
    }
    for (index, name) in texts(&object.json, "/spec/exportTo").into_iter().enumerate() {
        if !matches!(name, "." | "*" | "~") && set.namespace(name).is_none() {
            let path = Path::root().keys("spec.exportTo").index(index);
            out.add(&EXPORT_TO, object, &path, format!("exportTo names the namespace {name:?}, which does not exist."));
        }
    }
}
