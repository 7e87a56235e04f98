//! Objects of which only one may hold for a workload: Sidecar, Telemetry.

use std::collections::BTreeMap;

use leno_config::Object;
use leno_core::model::{Labels, selects};

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{labels, list, names, text};
use crate::set::{Set, Workload};

pub(super) const CODES: &[&Code] =
    &[&SIDECARS_OVERLAP, &SIDECARS_WIDE, &TELEMETRY_PROVIDER, &TELEMETRIES_OVERLAP, &TELEMETRIES_WIDE];

/// Sidecars that select the same pod.
static SIDECARS_OVERLAP: Code = Code {
    id: "IST0110",
    name: "ConflictingSidecarWorkloadSelectors",
    level: Level::Error,
    what: "Several Sidecar resources of a namespace select the same workload. Only one of them holds.",
    mend: "Make their selectors exclude each other.",
};

/// Sidecars without a selector.
static SIDECARS_WIDE: Code = Code {
    id: "IST0111",
    name: "MultipleSidecarsWithoutWorkloadSelectors",
    level: Level::Error,
    what: "Several Sidecar resources of a namespace have no workload selector. Only one of them holds.",
    mend: "Keep one for the namespace.",
};

/// A Telemetry whose access log has no provider.
static TELEMETRY_PROVIDER: Code = Code {
    id: "IST0157",
    name: "InvalidTelemetryProvider",
    level: Level::Warning,
    what: "A Telemetry turns on access logging and names no provider for it.",
    mend: "Name one: `accessLogging: [{providers: [{name: envoy}]}]`.",
};

/// Telemetries that select the same pod.
static TELEMETRIES_OVERLAP: Code = Code {
    id: "IST0159",
    name: "ConflictingTelemetryWorkloadSelectors",
    level: Level::Error,
    what: "Several Telemetry resources of a namespace select the same workload. Only one of them holds.",
    mend: "Make their selectors exclude each other.",
};

/// Telemetries without a selector.
static TELEMETRIES_WIDE: Code = Code {
    id: "IST0160",
    name: "MultipleTelemetriesWithoutWorkloadSelectors",
    level: Level::Error,
    what: "Several Telemetry resources of a namespace have no workload selector. Only one of them holds.",
    mend: "Keep one for the namespace.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    let sidecars: Vec<&Object> = set.of("networking.istio.io", "Sidecar").collect();
    let telemetries: Vec<&Object> = set.of("telemetry.istio.io", "Telemetry").collect();
    conflicts(set, out, &sidecars, ("Sidecars", "/spec/workloadSelector/labels"), &SIDECARS_OVERLAP, &SIDECARS_WIDE);
    let words = ("Telemetries", "/spec/selector/matchLabels");
    conflicts(set, out, &telemetries, words, &TELEMETRIES_OVERLAP, &TELEMETRIES_WIDE);
    let by_default = set
        .of("", "ConfigMap")
        .any(|map| text(&map.json, "/data/mesh").is_some_and(|m| m.contains("defaultProviders")));
    for object in telemetries.into_iter().filter(|_| !by_default) {
        let bare = list(&object.json, "/spec/accessLogging")
            .iter()
            .any(|l| l["disabled"] != true && list(l, "/providers").is_empty());
        if bare {
            let message = format!(
                "The Telemetry {} in namespace {:?} with empty providers will be ignored.",
                object.name,
                object.namespace()
            );
            out.at(&TELEMETRY_PROVIDER, object, "spec.accessLogging", message);
        }
    }
}

fn conflicts(
    set: &Set<'_>,
    out: &mut Report,
    objects: &[&Object],
    (words, pointer): (&str, &str),
    overlap: &'static Code,
    wide: &'static Code,
) {
    let mut by_namespace: BTreeMap<&str, Vec<(&Object, Labels)>> = BTreeMap::new();
    for object in objects {
        by_namespace.entry(object.namespace()).or_default().push((object, labels(&object.json, pointer)));
    }
    for (namespace, all) in by_namespace {
        let unselective: Vec<&Object> = all.iter().filter(|(_, l)| l.is_empty()).map(|(o, _)| *o).collect();
        if unselective.len() > 1 {
            let who: Vec<&str> = unselective.iter().map(|o| o.name.as_str()).collect();
            for object in &unselective {
                let message = format!(
                    "The {words} {} in namespace {namespace:?} have no workload selector, which can lead to undefined \
                     behavior.",
                    names(&who)
                );
                out.at(wide, object, "metadata.name", message);
            }
        }
        // One workload is enough to name for each pair.
        for (object, own) in all.iter().filter(|(_, l)| !l.is_empty()) {
            let rivals: Vec<&(&Object, Labels)> =
                all.iter().filter(|(o, l)| !std::ptr::eq(*o, *object) && !l.is_empty()).collect();
            let shared = |w: &&Workload<'_>| rivals.iter().any(|(_, l)| selects(l, &w.labels));
            let Some(workload) = set.selected(namespace, own).filter(|w| !w.is_owned).find(shared) else { continue };
            let who: Vec<&str> = all
                .iter()
                .filter(|(_, l)| !l.is_empty() && selects(l, &workload.labels))
                .map(|(o, _)| o.name.as_str())
                .collect();
            let message = format!(
                "The {words} {} in namespace {namespace:?} select the same workload pod {:?}, which can lead to undefined \
                 behavior.",
                names(&who),
                workload.object.name
            );
            out.at(overlap, object, "metadata.name", message);
        }
    }
}
