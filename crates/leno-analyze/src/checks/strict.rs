//! STRICT mutual TLS: who would be shut out, and what is left open.

use std::collections::BTreeSet;

use leno_config::Object;
use leno_config::object::Path;
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, text, texts};
use crate::mesh::Mode;
use crate::set::{Service, Set, Workload};

pub(super) const CODES: &[&Code] = &[&CLIENT, &INGRESS, &SKIPPED];

/// A workload without a sidecar calls a service that demands mutual TLS.
static CLIENT: Code = Code {
    id: "LENO0070",
    name: "StrictBreaksClient",
    level: Level::Warning,
    what: "The workload has no sidecar, so that it speaks plaintext, and its configuration names a service whose pods demand \
           mutual TLS (PeerAuthentication STRICT). Its requests are refused.",
    mend: "Bring the client into the mesh, or set the PeerAuthentication to PERMISSIVE (for the one workload with a \
           selector, for one port with `portLevelMtls`) until it is.",
};

/// An Ingress leads to a service that demands mutual TLS, and no ingress controller is meshed.
static INGRESS: Code = Code {
    id: "LENO0071",
    name: "StrictBreaksIngress",
    level: Level::Warning,
    what: "An Ingress leads to a service whose pods demand mutual TLS (PeerAuthentication STRICT), but no pod of the cluster's \
           ingress controllers has a sidecar. Requests from outside are refused.",
    mend: "Bring the ingress controller into the mesh (`linkerd.io/inject: ingress` or the label \
           `sidecar.istio.io/inject: \"true\"` on its pods), or make the port PERMISSIVE with `portLevelMtls`.",
};

/// A port that goes past the sidecar though STRICT was asked for.
static SKIPPED: Code = Code {
    id: "LENO0072",
    name: "SkippedPortNotProtected",
    level: Level::Warning,
    what: "An annotation takes an inbound port of the workload out of interception, and a Service leads to it, though a \
           policy demands mutual TLS (STRICT). What comes to that port is neither encrypted nor authorized.",
    mend: "Remove the port from `traffic.sidecar.istio.io/excludeInboundPorts` or `config.linkerd.io/skip-inbound-ports`, or \
           keep others out with a NetworkPolicy.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    if set.peer_authentications().next().is_none() {
        return;
    }
    for client in set.templates().filter(|w| !w.has_ended()) {
        if set.is_unmeshed(client) {
            self::client(set, out, client);
        } else {
            skipped(set, out, client);
        }
    }
    ingresses(set, out);
}

fn client(set: &Set<'_>, out: &mut Report, client: &Workload<'_>) {
    let mut said = BTreeSet::new();
    for (path, value) in configured(client) {
        for service in set.services() {
            if said.contains(&service.id) || !names_service(&value, service, client.namespace()) {
                continue;
            }
            if let Some(policy) = set.strict(service, None) {
                let message = format!(
                    "It has no sidecar and calls Service {}, which demands mutual TLS by {}: its requests are refused.",
                    service.id,
                    policy.describe()
                );
                out.add(&CLIENT, client.object, &path, message);
                said.insert(service.id.clone());
            }
        }
    }
}

/// Texts by which a workload is told whom to call: variables, arguments, commands.
fn configured(workload: &Workload<'_>) -> Vec<(Path, String)> {
    let mut all = Vec::new();
    for container in workload.own_containers() {
        for (index, env) in list(container.json, "/env").iter().enumerate() {
            all.extend(text(env, "/value").map(|v| (container.at.key("env").index(index), v.to_owned())));
        }
        for field in ["command", "args"] {
            for (index, text) in texts(container.json, &format!("/{field}")).into_iter().enumerate() {
                all.push((container.at.key(field).index(index), text.to_owned()));
            }
        }
    }
    all
}

/// Whether a text names a service as a host: `name.namespace`, or for one of the client's own namespace `//name` or
/// `name:port` with a port that it has.
fn names_service(value: &str, service: &Service<'_>, namespace: &str) -> bool {
    let id = &service.id;
    let hosts = value.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')));
    let long = format!("{}.{}", id.name, id.namespace);
    if hosts.clone().any(|host| {
        host == long || host.strip_prefix(&long).is_some_and(|rest| rest == ".svc" || rest.starts_with(".svc."))
    }) {
        return true;
    }
    let followed_by_port = service.spec.ports.iter().any(|p| {
        let text = format!("{}:{}", id.name, p.port);
        value == text || value.strip_prefix(&text).is_some_and(|rest| rest.starts_with('/'))
    });
    let in_url = value.split("//").skip(1).any(|rest| {
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))).next() == Some(id.name.as_str())
    });
    id.namespace == namespace && (followed_by_port || in_url)
}

fn skipped(set: &Set<'_>, out: &mut Report, workload: &Workload<'_>) {
    for key in ["traffic.sidecar.istio.io/excludeInboundPorts", "config.linkerd.io/skip-inbound-ports"] {
        let Some(value) = workload.annotations.get(key) else { continue };
        for service in set.in_front(workload) {
            for port in &service.spec.ports {
                let Some(target) = workload.target(port) else { continue };
                let (Mode::Strict, Some(policy)) = set.mode(workload, Some(target)) else { continue };
                if value.split(',').any(|item| covers(item.trim(), target)) {
                    let message = format!(
                        "{key} takes port {target} past the sidecar, though {} demands mutual TLS there.",
                        policy.describe()
                    );
                    out.add(&SKIPPED, workload.object, &workload.at.keys("metadata.annotations").key(key), message);
                }
            }
        }
    }
}

/// Whether a port or a range of ports holds `port`.
fn covers(item: &str, port: u16) -> bool {
    let (low, high) = item.split_once('-').unwrap_or((item, item));
    matches!((low.parse::<u16>(), high.parse::<u16>()), (Ok(low), Ok(high)) if (low..=high).contains(&port))
}

fn ingresses(set: &Set<'_>, out: &mut Report) {
    let controllers: Vec<&Workload<'_>> = set.workloads().iter().filter(|w| is_ingress_controller(w)).collect();
    if controllers.is_empty() || !controllers.iter().all(|w| set.is_unmeshed(w)) {
        return;
    }
    for object in set.of("networking.k8s.io", "Ingress") {
        for (path, name) in backends(object) {
            let service = set.services().iter().find(|s| s.id.namespace == object.namespace() && s.id.name == name);
            if let Some(policy) = service.and_then(|s| set.strict(s, None)) {
                let message = format!(
                    "The ingress controller has no sidecar and Service {name} demands mutual TLS by {}.",
                    policy.describe()
                );
                out.add(&INGRESS, object, &path, message);
            }
        }
    }
}

fn backends(object: &Object) -> Vec<(Path, String)> {
    let spec = Path::root().key("spec");
    let name = |value: &Value| text(value, "/service/name").map(str::to_owned);
    let mut all = Vec::new();
    let default = object.json.pointer("/spec/defaultBackend").and_then(name);
    all.extend(default.map(|n| (spec.key("defaultBackend"), n)));
    for (index, rule) in list(&object.json, "/spec/rules").iter().enumerate() {
        for (at, path) in list(rule, "/http/paths").iter().enumerate() {
            let place = spec.key("rules").index(index).keys("http.paths").index(at).key("backend");
            all.extend(path.get("backend").and_then(name).map(|n| (place, n)));
        }
    }
    all
}

/// By the label that all common ones carry.
fn is_ingress_controller(workload: &Workload<'_>) -> bool {
    let name = workload.labels.get("app.kubernetes.io/name").map_or("", String::as_str);
    ["ingress-nginx", "nginx-ingress", "traefik", "haproxy-ingress", "kubernetes-ingress", "contour", "kong"]
        .contains(&name)
}
