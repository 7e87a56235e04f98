//! Rules against the services and pods they speak of.

use std::collections::BTreeMap;

use leno_core::id::ServiceId;
use leno_core::model::Labels;

use super::Set;
use crate::diagnostic::{Diagnostic, Severity};
use crate::istio::common::Destination;
use crate::istio::destination_rule::DestinationRule;
use crate::istio::http_route::HttpRoute;
use crate::istio::virtual_service::VirtualService;
use crate::object::{Object, Path};
use crate::smi::TrafficSplit;
use crate::typed;

pub(super) fn check(set: &Set<'_>) -> Vec<Diagnostic> {
    let subsets = subsets(set);
    let mut found = conflicts(set);
    for object in set.of_kind("VirtualService") {
        let Ok((service, _)) = typed::<VirtualService>(object) else { continue };
        found.extend(virtual_service(set, &subsets, object, &service));
    }
    for object in set.of_kind("DestinationRule") {
        let Ok((rule, _)) = typed::<DestinationRule>(object) else { continue };
        found.extend(destination_rule(set, object, &rule));
    }
    for object in set.of_kind("TrafficSplit") {
        let Ok((split, _)) = typed::<TrafficSplit>(object) else { continue };
        found.extend(traffic_split(set, object, &split));
    }
    for kind in ["PeerAuthentication", "AuthorizationPolicy"] {
        found.extend(set.of_kind(kind).filter_map(|object| selector(set, object)));
    }
    found
}

/// Subsets of each service by name, from every namespace.
fn subsets(set: &Set<'_>) -> BTreeMap<ServiceId, Vec<String>> {
    let mut all: BTreeMap<ServiceId, Vec<String>> = BTreeMap::new();
    for object in set.of_kind("DestinationRule") {
        let Ok((rule, _)) = typed::<DestinationRule>(object) else { continue };
        if let Some(service) = ServiceId::from_host(&rule.spec.host, object.namespace()) {
            all.entry(service).or_default().extend(rule.spec.subsets.into_iter().map(|s| s.name));
        }
    }
    all
}

fn conflicts(set: &Set<'_>) -> Vec<Diagnostic> {
    let mut first: BTreeMap<(String, ServiceId), &Object> = BTreeMap::new();
    let mut found = Vec::new();
    for object in set.of_kind("VirtualService") {
        let Ok((service, _)) = typed::<VirtualService>(object) else { continue };
        for (index, host) in service.spec.hosts.iter().enumerate().filter(|_| service.spec.is_for_sidecars()) {
            let Some(id) = ServiceId::from_host(host, object.namespace()) else { continue };
            // Across namespaces each client takes its own namespace's, so that both have a meaning.
            match first.get(&(object.namespace().to_owned(), id.clone())) {
                Some(other) if !std::ptr::eq(*other, object) => {
                    let message = format!("{} has rules for `{host}` too ({})", other.describe(), other.position);
                    let at = Path::root().keys("spec.hosts").index(index);
                    let hint = "only the oldest one holds: join them";
                    found.push(object.diagnostic(Severity::Warning, &at, message).with_code("IST0109").with_hint(hint));
                }
                Some(_) => {}
                None => {
                    first.insert((object.namespace().to_owned(), id), object);
                }
            }
        }
    }
    found
}

fn virtual_service(
    set: &Set<'_>,
    subsets: &BTreeMap<ServiceId, Vec<String>>,
    object: &Object,
    service: &VirtualService,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let spec = Path::root().key("spec");
    for (index, host) in service.spec.hosts.iter().enumerate() {
        let Some(id) = ServiceId::from_host(host, object.namespace()) else { continue };
        if !set.services.contains_key(&id) {
            let message = format!("there is no Service {id}: the rules hold for nothing");
            let at = spec.key("hosts").index(index);
            found.push(object.diagnostic(Severity::Warning, &at, message).with_code("IST0101"));
        }
    }
    let mut destinations: Vec<(Path, &Destination)> = Vec::new();
    for (index, rule) in service.spec.http.iter().enumerate() {
        let at = spec.key("http").index(index);
        for (index, weighted) in rule.route.iter().enumerate() {
            destinations.push((at.key("route").index(index).key("destination"), &weighted.destination));
        }
        destinations.extend(rule.mirror.iter().map(|m| (at.key("mirror"), m)));
        for (index, mirror) in rule.mirrors.iter().enumerate() {
            destinations.push((at.key("mirrors").index(index).key("destination"), &mirror.destination));
        }
    }
    for (list, rules) in [("tcp", service.spec.l4_destinations("tcp")), ("tls", service.spec.l4_destinations("tls"))] {
        for (rule, route, destination) in rules {
            let at = spec.key(list).index(rule).key("route").index(route).key("destination");
            destinations.push((at, destination));
        }
    }
    for (at, destination) in destinations {
        found.extend(self::destination(set, subsets, object, &at, destination));
    }
    found.extend(unreachable_rules(object, service));
    found
}

fn destination(
    set: &Set<'_>,
    subsets: &BTreeMap<ServiceId, Vec<String>>,
    object: &Object,
    path: &Path,
    destination: &Destination,
) -> Option<Diagnostic> {
    let id = ServiceId::from_host(&destination.host, object.namespace())?;
    let missing =
        |at: Path, message: String| Some(object.diagnostic(Severity::Warning, &at, message).with_code("IST0101"));
    let Some((_, service)) = set.services.get(&id) else {
        return missing(path.key("host"), format!("there is no Service {id}: requests sent there get 503"));
    };
    if let Some(port) = destination.port.as_ref().map(|p| p.number)
        && !service.spec.ports.iter().any(|p| p.port == port)
    {
        return missing(path.key("port"), format!("the Service {id} has no port {port}: requests sent there get 503"));
    }
    let subset = destination.subset.as_ref().filter(|s| !s.is_empty())?;
    if subsets.get(&id).is_some_and(|all| all.contains(subset)) {
        return None;
    }
    missing(
        path.key("subset"),
        format!("no DestinationRule for {id} has a subset `{subset}`: requests sent there get 503"),
    )
}

fn unreachable_rules(object: &Object, service: &VirtualService) -> Option<Diagnostic> {
    let all = service.spec.http.iter().position(HttpRoute::matches_all)?;
    let after = all + 1;
    (after < service.spec.http.len()).then(|| {
        let message = format!("is never reached: spec.http[{all}] takes every request");
        let at = Path::root().keys("spec.http").index(after);
        object.diagnostic(Severity::Warning, &at, message).with_code("IST0130")
    })
}

fn destination_rule(set: &Set<'_>, object: &Object, rule: &DestinationRule) -> Vec<Diagnostic> {
    let Some(id) = ServiceId::from_host(&rule.spec.host, object.namespace()) else { return Vec::new() };
    let Some((_, service)) = set.services.get(&id) else {
        let message = format!("there is no Service {id}: the rule holds for nothing");
        let at = Path::root().keys("spec.host");
        return vec![object.diagnostic(Severity::Warning, &at, message).with_code("IST0174")];
    };
    let mut found = Vec::new();
    for (index, subset) in rule.spec.subsets.iter().enumerate() {
        let mut labels: Labels = service.spec.selector.clone();
        labels.extend(subset.labels.clone());
        if !service.spec.selector.is_empty() && set.selected(&id.namespace, &labels).next().is_none() {
            let message = format!("the subset `{}` selects no pod of {id}", subset.name);
            let at = Path::root().keys("spec.subsets").index(index);
            found.push(object.diagnostic(Severity::Warning, &at, message).with_code("IST0173"));
        }
    }
    found
}

fn traffic_split(set: &Set<'_>, object: &Object, split: &TrafficSplit) -> Vec<Diagnostic> {
    let apex = std::iter::once((Path::root().keys("spec.service"), &split.spec.service));
    let backends = split.spec.backends.iter().enumerate();
    let backends = backends.map(|(i, b)| (Path::root().keys("spec.backends").index(i).key("service"), &b.service));
    apex.chain(backends)
        .filter_map(|(at, host)| {
            let id = ServiceId::from_host(host, object.namespace())?;
            let missing = !set.services.contains_key(&id);
            let message = format!("there is no Service {id}");
            missing.then(|| object.diagnostic(Severity::Warning, &at, message).with_code("IST0101"))
        })
        .collect()
}

fn selector(set: &Set<'_>, object: &Object) -> Option<Diagnostic> {
    let labels: Labels = serde_json::from_value(object.json.pointer("/spec/selector/matchLabels")?.clone()).ok()?;
    let root = set.selected(object.namespace(), &labels).next().is_none();
    // A selector in the root namespace reaches into all namespaces.
    let anywhere = set.pods.iter().any(|(_, t)| leno_core::model::selects(&labels, &t.metadata.labels));
    (!labels.is_empty() && root && !anywhere).then(|| {
        let at = Path::root().keys("spec.selector");
        object.diagnostic(Severity::Warning, &at, "selects no pod of the set").with_code("IST0127")
    })
}
