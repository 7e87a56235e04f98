//! Services: addresses, ports, and pods behind them.

use std::collections::BTreeMap;

use leno_core::decide::protocol::{mistaken_protocol, protocol_of_port};
use leno_core::model::Protocol;

use super::Set;
use crate::diagnostic::{Diagnostic, Severity};
use crate::k8s::{IntOrString, Service};
use crate::object::{Object, Path};

pub(super) fn check(set: &Set<'_>) -> Vec<Diagnostic> {
    let mut found = same_address(set);
    for (object, service) in set.services_in_order() {
        found.extend(port_names(object, service));
        found.extend(pods(set, object, service));
    }
    found.extend(governing_services(set));
    found
}

fn same_address(set: &Set<'_>) -> Vec<Diagnostic> {
    let mut owners: BTreeMap<std::net::IpAddr, &Object> = BTreeMap::new();
    let mut found = Vec::new();
    for (object, service) in set.services_in_order() {
        for ip in service.spec.vips() {
            match owners.get(&ip) {
                Some(other) => {
                    let message = format!("{ip} is already the address of {} ({})", other.describe(), other.position);
                    let at = Path::root().keys("spec.clusterIP");
                    found.push(object.diagnostic(Severity::Error, &at, message));
                }
                None => {
                    owners.insert(ip, object);
                }
            }
        }
    }
    found
}

fn port_names(object: &Object, service: &Service) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (index, port) in service.spec.ports.iter().enumerate() {
        let protocol = protocol_of_port(port.app_protocol.as_deref(), &port.name, port.port, port.is_udp());
        if protocol != Protocol::Auto || service.spec.kind == "ExternalName" {
            continue;
        }
        let at = Path::root().keys("spec.ports").index(index);
        let named = if port.name.is_empty() { "has no name".to_owned() } else { format!("is named `{}`", port.name) };
        let (severity, message, hint) = match mistaken_protocol(port.app_protocol.as_deref(), &port.name) {
            Some(meant) => (
                Severity::Warning,
                format!("port {} {named}, which declares no protocol: it is detected per connection", port.port),
                format!("name it `{meant}` or `{meant}-…`, or set appProtocol: {meant}"),
            ),
            None => (
                Severity::Info,
                format!("port {} {named}: its protocol is detected per connection", port.port),
                "name it after its protocol, such as http-web or tcp-db, or set appProtocol".to_owned(),
            ),
        };
        found.push(object.diagnostic(severity, &at, message).with_code("IST0118").with_hint(hint));
    }
    found
}

fn pods(set: &Set<'_>, object: &Object, service: &Service) -> Vec<Diagnostic> {
    let selector = &service.spec.selector;
    if selector.is_empty() || service.spec.kind == "ExternalName" {
        return Vec::new();
    }
    let mut pods = set.selected(object.namespace(), selector).peekable();
    if pods.peek().is_none() {
        let message = "selects no pod of the set: it will have no endpoints";
        return vec![object.diagnostic(Severity::Info, &Path::root().keys("spec.selector"), message)];
    }
    let mut found = Vec::new();
    for (owner, template) in pods {
        for (index, port) in service.spec.ports.iter().enumerate() {
            let Some(IntOrString::Text(name)) = &port.target_port else { continue };
            if template.spec.port_named(name).is_none() {
                let message = format!("{} has no container port named `{name}`", owner.describe());
                let at = Path::root().keys("spec.ports").index(index).key("targetPort");
                found.push(object.diagnostic(Severity::Warning, &at, message));
            }
        }
    }
    found
}

/// A `StatefulSet` gets its pods' names in DNS from a headless service.
fn governing_services(set: &Set<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for object in set.of_kind("StatefulSet") {
        let Some(name) = object.json.pointer("/spec/serviceName").and_then(|n| n.as_str()).filter(|n| !n.is_empty())
        else {
            continue;
        };
        let service = set.services.values().find(|(o, _)| o.namespace() == object.namespace() && o.name == name);
        let at = Path::root().keys("spec.serviceName");
        match service {
            None => {
                let message = format!("there is no Service `{name}`: the pods will have no names in DNS");
                found.push(object.diagnostic(Severity::Warning, &at, message));
            }
            Some((_, service)) if !service.spec.is_headless() => {
                let message = format!("the Service `{name}` is not headless: the pods will have no names in DNS");
                found.push(object.diagnostic(Severity::Warning, &at, message).with_hint("give it clusterIP: None"));
            }
            Some(_) => {}
        }
    }
    found
}
