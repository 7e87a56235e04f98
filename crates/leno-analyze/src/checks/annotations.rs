//! Annotations of both meshes: unknown, misplaced, invalid, deprecated, without effect here.

mod known;

use leno_config::Object;
use leno_config::object::Path;
use leno_config::quantity;
use leno_core::model::Labels;

use self::known::{DEPRECATED, HONOURED, ISTIO, LINKERD, Place};
use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::labels;
use crate::mesh::INJECT;
use crate::set::Set;

pub(super) const CODES: &[&Code] =
    &[&MISPLACED, &UNKNOWN, &INVALID, &DEPRECATED_ISTIO, &UNKNOWN_LINKERD, &NOT_HONOURED];

/// A known annotation on the wrong kind of object.
static MISPLACED: Code = Code {
    id: "IST0107",
    name: "MisplacedAnnotation",
    level: Level::Warning,
    what: "An annotation is on a kind of object where nobody reads it. Most often one for pods is on the Deployment instead \
           of its pod template.",
    mend: "Move it to the kind that the message names: for pods of a Deployment that is \
           `spec.template.metadata.annotations`.",
};

/// An annotation in Istio's name space that does not exist.
static UNKNOWN: Code = Code {
    id: "IST0108",
    name: "UnknownAnnotation",
    level: Level::Warning,
    what: "An annotation of `istio.io` that does not exist: it has no effect.",
    mend: "Mind the spelling; upper and lower case count.",
};

/// A value that cannot be read.
static INVALID: Code = Code {
    id: "IST0125",
    name: "InvalidAnnotation",
    level: Level::Warning,
    what: "The value of an annotation cannot be read, and is ignored.",
    mend: "Write it as the message says.",
};

/// An annotation that has a successor.
static DEPRECATED_ISTIO: Code = Code {
    id: "IST0135",
    name: "DeprecatedAnnotation",
    level: Level::Info,
    what: "An annotation that still works and has a successor.",
    mend: "Use what the message names.",
};

/// An annotation in Linkerd's name space that does not exist.
static UNKNOWN_LINKERD: Code = Code {
    id: "LENO0080",
    name: "UnknownLinkerdAnnotation",
    level: Level::Warning,
    what: "An annotation of `linkerd.io` that does not exist: it has no effect.",
    mend: "Mind the spelling.",
};

/// A real annotation that means nothing to Leno.
static NOT_HONOURED: Code = Code {
    id: "LENO0081",
    name: "AnnotationNotHonoured",
    level: Level::Info,
    what: "An annotation that Istio or Linkerd knows and that has no effect in Leno, on a pod that gets Leno's sidecar. The \
           injector says so on the pod too.",
    mend: "Remove it, or see docs/honoured.md for what takes its place.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for object in set.all() {
        let place = match (object.group(), object.kind.as_str()) {
            ("", "Namespace") => Place::Namespace,
            ("", "Service") => Place::Service,
            ("", "Pod") => continue,
            ("apps", "Deployment" | "StatefulSet" | "DaemonSet") | ("batch", "Job" | "CronJob") => Place::Workload,
            _ => continue,
        };
        let annotations = labels(&object.json, "/metadata/annotations");
        judge(out, object, &Path::root().keys("metadata.annotations"), &annotations, place);
    }
    for workload in set.templates() {
        let at = workload.at.keys("metadata.annotations");
        judge(out, workload.object, &at, &workload.annotations, Place::Pod);
        deprecated(out, workload.object, &at, &workload.annotations, &workload.labels);
        if set.is_meshed(workload) {
            not_honoured(out, workload.object, &at, &workload.annotations);
        }
    }
}

fn group(key: &str) -> Option<(&str, &str)> {
    key.split_once('/')
}

fn judge(out: &mut Report, object: &Object, at: &Path, annotations: &Labels, place: Place) {
    for (key, value) in annotations {
        let Some((group, _)) = group(key) else { continue };
        let path = at.key(key);
        if group == "istio.io" || group.ends_with(".istio.io") {
            match ISTIO.iter().find(|(name, _)| name == key) {
                None => out.add(&UNKNOWN, object, &path, format!("Unknown annotation: {key}")),
                Some((_, places)) if !allowed(places, place) => {
                    let kinds: Vec<&str> = places.iter().map(|p| p.name()).collect();
                    let message = format!("Misplaced annotation: {key} can only be applied to {}", kinds.join(", "));
                    out.add(&MISPLACED, object, &path, message);
                }
                Some(_) => invalid(out, object, &path, key, value),
            }
        } else if group == "linkerd.io" || LINKERD_GROUPS.contains(&group) {
            if LINKERD.contains(&key.as_str()) {
                invalid(out, object, &path, key, value);
            } else {
                out.add(&UNKNOWN_LINKERD, object, &path, format!("Unknown annotation: {key}"));
            }
        }
    }
}

/// Groups of Linkerd that hold annotations for pods, services and namespaces, whole lists of which are known.
const LINKERD_GROUPS: &[&str] = &["config.linkerd.io", "config.alpha.linkerd.io", "config.beta.linkerd.io"];

fn allowed(places: &[Place], place: Place) -> bool {
    places.is_empty() || places.contains(&place)
}

fn deprecated(out: &mut Report, object: &Object, at: &Path, annotations: &Labels, labels: &Labels) {
    for (key, instead) in DEPRECATED {
        // Who has both keeps the old one for old meshes.
        if annotations.contains_key(*key) && !(*key == INJECT && labels.contains_key(INJECT)) {
            let message = format!(
                "Annotation {key:?} has been deprecated in favor of {instead} and may not work in future versions."
            );
            out.add(&DEPRECATED_ISTIO, object, &at.key(key), message);
        }
    }
}

fn not_honoured(out: &mut Report, object: &Object, at: &Path, annotations: &Labels) {
    for key in annotations.keys() {
        let known = ISTIO.iter().any(|(name, places)| name == key && places.contains(&Place::Pod))
            || LINKERD.contains(&key.as_str());
        if known && !HONOURED.contains(&key.as_str()) {
            let message = format!("The annotation {key} has no effect in Leno.");
            out.add(&NOT_HONOURED, object, &at.key(key), message);
        }
    }
}

fn invalid(out: &mut Report, object: &Object, path: &Path, key: &str, value: &str) {
    if let Some(problem) = problem(key, value.trim()) {
        out.add(&INVALID, object, path, format!("Invalid annotation {key}: {problem}"));
    }
}

/// Why a value cannot be read.
fn problem(key: &str, value: &str) -> Option<String> {
    let one_of =
        |words: &[&str]| (!words.contains(&value)).then(|| format!("`{value}` is none of {}", words.join(", ")));
    let each = |is_good: fn(&str) -> bool, what: &str| {
        let bad = value.split(',').map(str::trim).find(|item| !item.is_empty() && !is_good(item));
        bad.map(|item| format!("`{item}` is not {what}"))
    };
    match key {
        "sidecar.istio.io/inject" => {
            one_of(&["true", "false", "y", "n", "yes", "no", "on", "off", "enabled", "disabled"])
        }
        "linkerd.io/inject" => one_of(&["enabled", "disabled", "ingress"]),
        "sidecar.istio.io/rewriteAppHTTPProbers"
        | "sidecar.istio.io/nativeSidecar"
        | "config.linkerd.io/proxy-enable-native-sidecar"
        | "config.alpha.linkerd.io/proxy-enable-native-sidecar"
        | "config.beta.linkerd.io/proxy-enable-native-sidecar" => one_of(&["true", "false"]),
        "config.linkerd.io/proxy-await" => one_of(&["enabled", "disabled"]),
        "traffic.sidecar.istio.io/includeInboundPorts" | "traffic.sidecar.istio.io/includeOutboundPorts"
            if value == "*" =>
        {
            None
        }
        "traffic.sidecar.istio.io/includeInboundPorts"
        | "traffic.sidecar.istio.io/includeOutboundPorts"
        | "traffic.sidecar.istio.io/excludeInboundPorts"
        | "traffic.sidecar.istio.io/excludeOutboundPorts" => each(is_port_range, "a port or a range of ports"),
        "config.linkerd.io/skip-inbound-ports" | "config.linkerd.io/skip-outbound-ports" => {
            each(is_port_range, "a port or a range of ports")
        }
        // Linkerd takes names of container ports here too.
        "config.linkerd.io/opaque-ports" => None,
        "traffic.sidecar.istio.io/includeOutboundIPRanges" if value == "*" => None,
        "traffic.sidecar.istio.io/includeOutboundIPRanges" | "traffic.sidecar.istio.io/excludeOutboundIPRanges" => {
            each(is_network, "an IP network such as 10.0.0.0/8")
        }
        "sidecar.istio.io/proxyCPU"
        | "sidecar.istio.io/proxyCPULimit"
        | "sidecar.istio.io/proxyMemory"
        | "sidecar.istio.io/proxyMemoryLimit"
        | "config.linkerd.io/proxy-cpu-request"
        | "config.linkerd.io/proxy-cpu-limit"
        | "config.linkerd.io/proxy-memory-request"
        | "config.linkerd.io/proxy-memory-limit" => quantity::milli_quantity(value).err().map(|why| why.to_string()),
        _ => None,
    }
}

/// A port number or `LOW-HIGH`.
fn is_port_range(text: &str) -> bool {
    let port = |t: &str| t.parse::<u16>().ok().filter(|p| *p > 0);
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    matches!((port(low), port(high)), (Some(low), Some(high)) if low <= high)
}

fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let Ok(address) = address.parse::<std::net::IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}
