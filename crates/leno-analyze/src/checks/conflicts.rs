//! Rules that are in each other's way.

use std::collections::BTreeMap;

use leno_config::object::Path;
use leno_config::{LowerContext, Object};
use leno_core::id::ServiceId;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{text, texts};
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[&VIRTUAL_SERVICES, &DESTINATION_RULES, &SHADOWED_SPLIT, &SPLITS];

/// Two `VirtualService`s of one namespace have rules for one host and the sidecars.
static VIRTUAL_SERVICES: Code = Code {
    id: "IST0109",
    name: "ConflictingMeshGatewayVirtualServiceHosts",
    level: Level::Error,
    what: "Several VirtualServices of one namespace define the same host for the sidecars. Only the oldest one holds; \
           which one that is changes when it is deleted and made again.",
    mend: "Join them into one VirtualService.",
};

/// Two `DestinationRule`s of one namespace are for one host.
static DESTINATION_RULES: Code = Code {
    id: "LENO0012",
    name: "ConflictingDestinationRules",
    level: Level::Warning,
    what: "Several DestinationRules of one namespace are for the same host and the same clients, and more than one has a \
           trafficPolicy at its top. Only the oldest one's holds.",
    mend: "Join them into one DestinationRule: its subsets and portLevelSettings may differ in policy.",
};

/// A `TrafficSplit` for a service that a `VirtualService` has rules for.
static SHADOWED_SPLIT: Code = Code {
    id: "LENO0013",
    name: "TrafficSplitShadowed",
    level: Level::Warning,
    what: "A TrafficSplit and a VirtualService are for the same service. The VirtualService goes first, so that the split \
           has no effect.",
    mend: "Keep one of them: put the weights into the VirtualService, or delete it.",
};

/// Two `TrafficSplit`s are for one service.
static SPLITS: Code = Code {
    id: "LENO0014",
    name: "ConflictingTrafficSplits",
    level: Level::Error,
    what: "Several TrafficSplits are for the same service. Only the oldest one holds.",
    mend: "Keep one TrafficSplit for each service.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    virtual_services(set, out);
    destination_rules(set, out);
    splits(set, out);
}

/// Whether the sidecars take a `VirtualService`'s rules.
pub(super) fn is_for_sidecars(object: &Object) -> bool {
    let gateways = texts(&object.json, "/spec/gateways");
    gateways.is_empty() || gateways.contains(&"mesh")
}

/// A host as one name, whichever way it was written.
pub(super) fn full_host(host: &str, namespace: &str) -> String {
    ServiceId::from_host(host, namespace).map_or_else(|| host.to_ascii_lowercase(), |id| id.host())
}

fn virtual_services(set: &Set<'_>, out: &mut Report) {
    let mut by_host: BTreeMap<(&str, String), Vec<(&Object, usize)>> = BTreeMap::new();
    // What is refused holds nowhere.
    let holds = |o: &&Object| is_for_sidecars(o) && leno_config::lower(o, &LowerContext::default()).is_ok();
    for object in set.virtual_services().filter(holds) {
        for (index, host) in texts(&object.json, "/spec/hosts").into_iter().enumerate() {
            let key = (object.namespace(), full_host(host, object.namespace()));
            let owners = by_host.entry(key).or_default();
            if !owners.iter().any(|(o, _)| std::ptr::eq(*o, object)) {
                owners.push((object, index));
            }
        }
    }
    for ((namespace, host), owners) in by_host.into_iter().filter(|(_, owners)| owners.len() > 1) {
        let names: Vec<String> = owners.iter().map(|(o, _)| format!("{namespace}/{}", o.name)).collect();
        for (object, index) in owners {
            let message = format!(
                "The VirtualServices {} associated with mesh gateway define the same host {namespace}/{host}: only the \
                 oldest one holds. Merge them into a single one.",
                names.join(",")
            );
            out.add(&VIRTUAL_SERVICES, object, &Path::root().keys("spec.hosts").index(index), message);
        }
    }
}

fn destination_rules(set: &Set<'_>, out: &mut Report) {
    let mut by_host: BTreeMap<(&str, String), Vec<&Object>> = BTreeMap::new();
    for object in set.destination_rules() {
        let (Some(host), Some(_)) = (text(&object.json, "/spec/host"), object.json.pointer("/spec/trafficPolicy"))
        else {
            continue;
        };
        // One for some clients only is no rival of one for all.
        if object.json.pointer("/spec/workloadSelector").is_none() && object.json.pointer("/spec/exportTo").is_none() {
            by_host.entry((object.namespace(), full_host(host, object.namespace()))).or_default().push(object);
        }
    }
    for ((namespace, host), owners) in by_host.into_iter().filter(|(_, owners)| owners.len() > 1) {
        let names: Vec<String> = owners.iter().map(|o| format!("{namespace}/{}", o.name)).collect();
        for object in owners {
            let message = format!("The DestinationRules {} all have a trafficPolicy for {host}.", names.join(","));
            out.at(&DESTINATION_RULES, object, "spec.host", message);
        }
    }
}

fn splits(set: &Set<'_>, out: &mut Report) {
    let mut first: BTreeMap<String, &Object> = BTreeMap::new();
    for object in set.splits() {
        let Some(service) = text(&object.json, "/spec/service") else { continue };
        let host = full_host(service, object.namespace());
        let rival = set.virtual_services().filter(|o| is_for_sidecars(o)).find(|o| {
            o.namespace() == object.namespace()
                && texts(&o.json, "/spec/hosts").iter().any(|h| full_host(h, o.namespace()) == host)
        });
        if let Some(rival) = rival {
            let message = format!("{} has rules for {service} too and goes first.", rival.describe());
            out.at(&SHADOWED_SPLIT, object, "spec.service", message);
        }
        match first.get(&host) {
            Some(other) => {
                let message = format!("{} is for {service} too: only the oldest one holds.", other.describe());
                out.at(&SPLITS, object, "spec.service", message);
            }
            None => {
                first.insert(host, object);
            }
        }
    }
}
