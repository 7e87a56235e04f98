//! Gateways (Istio's), and the rules and pods that belong to them.

use std::collections::BTreeSet;

use leno_config::Object;
use leno_config::object::Path;
use leno_core::model::{Labels, selects};
use serde_json::Value;

use super::routing::NOT_FOUND;
use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{labels, list, names, port, selector_text, text, texts};
use crate::mesh::host_covers;
use crate::set::{Set, Workload};

pub(super) const CODES: &[&Code] =
    &[&HOST_NOT_IN_GATEWAY, &DUPLICATE_CERTIFICATE, &CONFLICT, &CREDENTIAL, &PORT_NOT_IN_SERVICE];

/// No server of the gateway takes the rule's host.
static HOST_NOT_IN_GATEWAY: Code = Code {
    id: "IST0132",
    name: "VirtualServiceHostNotFoundInGateway",
    level: Level::Warning,
    what: "A VirtualService is bound to a Gateway none of whose servers takes one of its hosts: requests for that host do not \
           come in.",
    mend: "Add the host to a server of the Gateway, or to the VirtualService one that the Gateway takes.",
};

/// Two gateways have one certificate.
static DUPLICATE_CERTIFICATE: Code = Code {
    id: "IST0138",
    name: "GatewayDuplicateCertificate",
    level: Level::Warning,
    what: "Several Gateways on the same pods use the same certificate for different hosts. Browsers use one HTTP/2 connection \
           for all hosts of a certificate, and get 404 for those of the other Gateway.",
    mend: "Put the hosts into one Gateway, or give each Gateway a certificate of its own.",
};

/// Two gateways take the same host at the same port.
static CONFLICT: Code = Code {
    id: "IST0145",
    name: "ConflictingGateways",
    level: Level::Error,
    what: "Several Gateways on the same pods take the same host at the same port. Which one holds is not defined.",
    mend: "Let only one Gateway have the host at the port.",
};

/// The gateway's certificate is no certificate.
static CREDENTIAL: Code = Code {
    id: "IST0161",
    name: "InvalidGatewayCredential",
    level: Level::Error,
    what: "The Secret that a server of a Gateway names has no certificate and key in it.",
    mend: "Make it with `kubectl create secret tls NAME --cert=… --key=…`, in the namespace of the gateway's pods.",
};

/// The gateway's port is in no service.
static PORT_NOT_IN_SERVICE: Code = Code {
    id: "IST0162",
    name: "GatewayPortNotDefinedOnService",
    level: Level::Warning,
    what: "The gateway's pods listen on a port that no Service in front of them leads to.",
    mend: "Add the port to the Service of the gateway.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for object in set.virtual_services() {
        bound(set, out, object);
    }
    let all: Vec<&Object> = set.of("networking.istio.io", "Gateway").collect();
    for (index, object) in all.iter().enumerate() {
        pods(set, out, object);
        for rival in all.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, rival)| rival) {
            if same_pods(set, object, rival) {
                rivals(out, object, rival);
            }
        }
    }
}

fn selector(object: &Object) -> Labels {
    labels(&object.json, "/spec/selector")
}

/// The gateway a `VirtualService` names.
pub(super) fn gateway<'o>(set: &Set<'o>, name: &str, namespace: &str) -> Option<&'o Object> {
    let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
    let namespace = if namespace == "." { "default" } else { namespace };
    set.of("networking.istio.io", "Gateway").find(|g| g.name == name && g.namespace() == namespace)
}

fn bound(set: &Set<'_>, out: &mut Report, object: &Object) {
    for (index, name) in texts(&object.json, "/spec/gateways").into_iter().enumerate() {
        if name == "mesh" {
            continue;
        }
        let path = Path::root().keys("spec.gateways").index(index);
        let Some(gateway) = gateway(set, name, object.namespace()) else {
            out.add(&NOT_FOUND, object, &path, format!("Referenced gateway not found: {name:?}"));
            continue;
        };
        let taken: Vec<&str> = list(&gateway.json, "/spec/servers")
            .iter()
            .flat_map(|s| texts(s, "/hosts"))
            .map(|host| host.rsplit('/').next().unwrap_or(host))
            .collect();
        let hosts = texts(&object.json, "/spec/hosts");
        let missing: Vec<&str> = hosts
            .into_iter()
            .filter(|host| !taken.iter().any(|t| host_covers(t, host) || host_covers(host, t)))
            .collect();
        if !missing.is_empty() {
            let message = format!(
                "one or more host {} defined in VirtualService {}/{} not found in Gateway {}/{}.",
                names(&missing),
                object.namespace(),
                object.name,
                gateway.namespace(),
                gateway.name
            );
            out.at(&HOST_NOT_IN_GATEWAY, object, "spec.hosts", message);
        }
    }
}

fn pods(set: &Set<'_>, out: &mut Report, object: &Object) {
    let selector = selector(object);
    let path = Path::root().keys("spec.selector");
    if selector.is_empty() {
        return;
    }
    let pods: Vec<&Workload<'_>> = set.workloads().iter().filter(|w| selects(&selector, &w.labels)).collect();
    if pods.is_empty() {
        // A gateway's pods may be in any namespace: only a whole cluster shows that there are none.
        if set.options.complete {
            let message = format!("Referenced selector not found: {:?}", selector_text(&selector));
            out.add(&NOT_FOUND, object, &path, message);
        }
        return;
    }
    let mut ports = BTreeSet::new();
    for workload in &pods {
        for service in set.in_front(workload) {
            for port in &service.spec.ports {
                ports.insert(port.port);
                ports.extend(workload.target(port));
            }
        }
    }
    for (index, server) in list(&object.json, "/spec/servers").iter().enumerate() {
        let at = Path::root().keys("spec.servers").index(index);
        if let Some(number) = port(server, "/port/number").filter(|p| !ports.contains(p)) {
            let message = format!(
                "The gateway is listening on a target port (port {number}) that is not defined in the Service associated with \
                 its workload instances (Pod selector {}). If you need to access the gateway port through the gateway \
                 Service, it will not be available.",
                selector_text(&selector)
            );
            out.add(&PORT_NOT_IN_SERVICE, object, &at.key("port"), message);
        }
        let spaces: BTreeSet<&str> = pods.iter().map(|w| w.namespace()).collect();
        credential(set, out, object, server, &at, &spaces);
    }
}

fn credential(set: &Set<'_>, out: &mut Report, object: &Object, server: &Value, at: &Path, spaces: &BTreeSet<&str>) {
    let Some(name) = text(server, "/tls/credentialName").filter(|n| !n.is_empty() && !n.contains("://")) else {
        return;
    };
    let path = at.keys("tls.credentialName");
    let secret = set.of("", "Secret").find(|s| s.name == name && spaces.contains(s.namespace()));
    // Without any Secret at hand, reading them was probably not allowed.
    let known = set.of("", "Secret").next().is_some();
    let Some(secret) = secret else {
        if set.options.complete && known {
            out.add(&NOT_FOUND, object, &path, format!("Referenced credentialName not found: {name:?}"));
        }
        return;
    };
    let has = |key: &str| ["data", "stringData"].iter().any(|map| secret.json[*map].get(key).is_some());
    if !(has("tls.crt") && has("tls.key") || has("cert") && has("key")) {
        let message = format!(
            "The credential referenced by the Gateway {} in namespace {} is invalid, which can cause the traffic not to work \
             as expected.",
            object.name,
            object.namespace()
        );
        out.add(&CREDENTIAL, object, &path, message);
    }
}

/// Whether two gateways are on the same pods, for sure: by the same selector, or by a pod at hand.
fn same_pods(set: &Set<'_>, a: &Object, b: &Object) -> bool {
    let (a, b) = (selector(a), selector(b));
    a == b || set.workloads().iter().any(|w| selects(&a, &w.labels) && selects(&b, &w.labels))
}

fn rivals(out: &mut Report, object: &Object, rival: &Object) {
    let other = format!("{}/{}", rival.namespace(), rival.name);
    for (index, server) in list(&object.json, "/spec/servers").iter().enumerate() {
        let at = Path::root().keys("spec.servers").index(index);
        for theirs in list(&rival.json, "/spec/servers") {
            let shared = shared_hosts(server, theirs);
            let same_port = server.pointer("/port/number") == theirs.pointer("/port/number");
            if same_port && server.get("bind") == theirs.get("bind") && !shared.is_empty() {
                let message = format!(
                    "Conflict with gateways {other} (workload selector {}, port {}, hosts {}).",
                    selector_text(&selector(object)),
                    port(server, "/port/number").unwrap_or_default(),
                    shared.join(",")
                );
                out.add(&CONFLICT, object, &at.key("hosts"), message);
            }
            let credential = |s: &Value| text(s, "/tls/credentialName").map(str::to_owned);
            if credential(server).is_some_and(|own| credential(theirs) == Some(own)) && shared.is_empty() {
                let own = format!("{}/{}", object.namespace(), object.name);
                let message = format!(
                    "Duplicate certificate in multiple gateways {} may cause 404s if clients re-use HTTP2 connections.",
                    names(&[own, other.clone()])
                );
                out.add(&DUPLICATE_CERTIFICATE, object, &at.keys("tls.credentialName"), message);
            }
        }
    }
}

fn shared_hosts<'v>(a: &'v Value, b: &Value) -> Vec<&'v str> {
    let theirs = texts(b, "/hosts");
    texts(a, "/hosts").into_iter().filter(|host| theirs.contains(host)).collect()
}
