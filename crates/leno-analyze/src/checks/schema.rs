//! Objects by themselves: what `leno_config` says of them, and what is old.

use leno_config::object::Path;
use leno_config::{Diagnostic, LowerContext, Object, Severity, check_object};
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::{Finding, Report};
use crate::json::{list, text};
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[
    &DEPRECATED,
    &INVALID,
    &DOUBTFUL,
    &FIELD_NOT_HONOURED,
    &KIND_NOT_HONOURED,
    &PROTECTION_NOT_HONOURED,
    &OLD_VERSION,
];

/// A field that has a successor.
static DEPRECATED: Code = Code {
    id: "IST0002",
    name: "Deprecated",
    level: Level::Warning,
    what: "A field that still works and has a successor.",
    mend: "Use the field that the message names.",
};

/// The object is not what its kind allows.
static INVALID: Code = Code {
    id: "IST0106",
    name: "SchemaValidationError",
    level: Level::Error,
    what: "The object cannot be read, or is refused: a wrong type, a missing or contradictory field, a value out of range. The \
           validating webhook refuses it too, and nothing of it takes effect.",
    mend: "Write the field as the message says.",
};

/// The object is accepted but something in it is odd.
static DOUBTFUL: Code = Code {
    id: "IST0133",
    name: "SchemaWarning",
    level: Level::Warning,
    what: "The object is accepted, but a value in it probably does not do what was meant.",
    mend: "Write the field as the message says.",
};

/// A field without effect in Leno.
static FIELD_NOT_HONOURED: Code = Code {
    id: "LENO0001",
    name: "FieldNotHonoured",
    level: Level::Warning,
    what: "A field that exists in Istio or Linkerd, and that Leno accepts and does not carry out. The rest of the object holds.",
    mend: "Remove it, or do without what it asks for; docs/honoured.md lists what of each kind is honoured.",
};

/// A kind without effect in Leno.
static KIND_NOT_HONOURED: Code = Code {
    id: "LENO0002",
    name: "KindNotHonoured",
    level: Level::Warning,
    what: "A kind of object of Istio, Linkerd or the Gateway API that Leno does not carry out: it is as if it were not there.",
    mend: "Say the same with a kind that is honoured (docs/honoured.md).",
};

/// A kind that protects something, without effect in Leno.
static PROTECTION_NOT_HONOURED: Code = Code {
    id: "LENO0003",
    name: "ProtectionNotHonoured",
    level: Level::Error,
    what: "A kind of object that keeps something out, and that Leno does not carry out: more is let through than it says.",
    mend: "Use AuthorizationPolicy and PeerAuthentication of security.istio.io, which are honoured.",
};

/// An API version that has a successor.
static OLD_VERSION: Code = Code {
    id: "LENO0005",
    name: "OldApiVersion",
    level: Level::Info,
    what: "The object is written in an API version that has a stable successor.",
    mend: "Write `apiVersion` as the message says; the fields stay the same.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    let context = LowerContext { root_namespace: root_of(set), ..LowerContext::default() };
    for object in set.all() {
        if GROUPS.iter().any(|g| object.group() == *g || object.group().ends_with(&format!(".{g}"))) {
            for diagnostic in check_object(object, &context) {
                of_diagnostic(out, object, &diagnostic);
            }
        }
        deprecated(out, object);
        old_version(out, object);
    }
}

/// Where the mesh's settings are: the first of the root namespaces, unless another has them.
fn root_of(set: &Set<'_>) -> String {
    let with_settings = set.options.root_namespaces.iter().find(|n| set.has("", "ConfigMap", n, "istio"));
    with_settings.or_else(|| set.options.root_namespaces.first()).cloned().unwrap_or_default()
}

/// Groups whose objects are for the mesh. Kubernetes' own are judged by the API server.
const GROUPS: &[&str] = &["istio.io", "linkerd.io", "smi-spec.io", "gateway.networking.k8s.io"];

fn of_diagnostic(out: &mut Report, object: &Object, diagnostic: &Diagnostic) {
    let hint = diagnostic.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
    let field = if diagnostic.field.is_empty() { String::new() } else { format!("{}: ", diagnostic.field) };
    let said = format!("{field}{}{hint}", diagnostic.message);
    let (code, message) = match (diagnostic.severity, diagnostic.field.as_str()) {
        (Severity::Error, "kind") => (&PROTECTION_NOT_HONOURED, format!("{}{hint}", diagnostic.message)),
        (Severity::Warning, "kind") => (&KIND_NOT_HONOURED, diagnostic.message.clone()),
        (Severity::Error, _) => (&INVALID, format!("Schema validation error: {said}")),
        // What is old is said by name below.
        (Severity::Warning, _) if diagnostic.message.contains("old name") => return,
        (Severity::Warning, _) if is_about_support(&diagnostic.message) => (&FIELD_NOT_HONOURED, said),
        (Severity::Warning, _) => (&DOUBTFUL, format!("Schema validation warning: {said}")),
        (Severity::Info, _) => return,
    };
    out.diagnostic(code, object, diagnostic, message);
}

fn is_about_support(message: &str) -> bool {
    ["honoured", "carried yet", "stands in for it"].iter().any(|words| message.contains(words))
}

/// A document that could not be read.
pub(crate) fn of_unreadable(diagnostic: &Diagnostic) -> Finding {
    let hint = diagnostic.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
    let field = if diagnostic.field.is_empty() { String::new() } else { format!("{}: ", diagnostic.field) };
    let reference = diagnostic.position.as_ref().map(|p| format!("{}:{}", p.file, p.line));
    Finding {
        code: &INVALID,
        message: format!("Schema validation error: {field}{}{hint}", diagnostic.message),
        origin: diagnostic.object.clone(),
        namespace: String::new(),
        reference: reference.unwrap_or_default(),
    }
}

fn deprecated(out: &mut Report, object: &Object) {
    let fields: &[(&str, &str)] = match (object.group(), object.kind.as_str()) {
        ("networking.istio.io", "VirtualService") => VIRTUAL_SERVICE,
        ("networking.istio.io", "DestinationRule") => DESTINATION_RULE,
        ("security.istio.io", "AuthorizationPolicy" | "RequestAuthentication") => {
            &[("spec.targetRef", "spec.targetRefs")]
        }
        _ => return,
    };
    for (field, instead) in fields {
        let steps: Vec<&str> = field.split('.').collect();
        walk(&object.json, &steps, &Path::root(), &mut |path| {
            out.add(&DEPRECATED, object, path, format!("Deprecated: {path} has been replaced by {instead}"));
        });
    }
}

const VIRTUAL_SERVICE: &[(&str, &str)] = &[
    ("spec.http[].fault.delay.percent", "fault.delay.percentage"),
    ("spec.http[].fault.abort.percent", "fault.abort.percentage"),
    ("spec.http[].mirrorPercent", "mirrorPercentage"),
    ("spec.http[].mirror_percent", "mirrorPercentage"),
    ("spec.http[].corsPolicy.allowOrigin", "corsPolicy.allowOrigins"),
    ("spec.http[].websocketUpgrade", "nothing: it is always on"),
];

const DESTINATION_RULE: &[(&str, &str)] = &[
    ("spec.trafficPolicy.outlierDetection.consecutiveErrors", "consecutive5xxErrors"),
    ("spec.subsets[].trafficPolicy.outlierDetection.consecutiveErrors", "consecutive5xxErrors"),
    ("spec.trafficPolicy.loadBalancer.consistentHash.minimumRingSize", "ringHash.minimumRingSize"),
    ("spec.trafficPolicy.loadBalancer.warmupDurationSecs", "warmup"),
];

/// Calls `found` with the path of every node at `steps`, of which `name[]` is each item of a list.
fn walk(value: &Value, steps: &[&str], path: &Path, found: &mut impl FnMut(&Path)) {
    let Some((step, rest)) = steps.split_first() else { return found(path) };
    match step.strip_suffix("[]") {
        Some(name) => {
            for (index, item) in list(value, &format!("/{name}")).iter().enumerate() {
                walk(item, rest, &path.key(name).index(index), found);
            }
        }
        None => {
            if let Some(child) = value.get(*step) {
                walk(child, rest, &path.key(step), found);
            }
        }
    }
}

/// Only of files: a cluster answers in whichever version it is asked.
fn old_version(out: &mut Report, object: &Object) {
    if object.position.file.is_empty() {
        return;
    }
    let kind = object.kind.as_str();
    let instead = match object.api_version.as_str() {
        "networking.istio.io/v1alpha3" | "networking.istio.io/v1beta1" => {
            STABLE_NETWORKING.contains(&kind).then_some("networking.istio.io/v1")
        }
        "security.istio.io/v1beta1" => Some("security.istio.io/v1"),
        "telemetry.istio.io/v1alpha1" => Some("telemetry.istio.io/v1"),
        "gateway.networking.k8s.io/v1beta1" | "gateway.networking.k8s.io/v1alpha2" => {
            ["Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute"]
                .contains(&kind)
                .then_some("gateway.networking.k8s.io/v1")
        }
        "discovery.k8s.io/v1beta1" => Some("discovery.k8s.io/v1"),
        _ => None,
    };
    if let Some(instead) = instead {
        let message =
            format!("{} has been replaced by {instead}.", text(&object.json, "/apiVersion").unwrap_or_default());
        out.at(&OLD_VERSION, object, "apiVersion", message);
    }
}

const STABLE_NETWORKING: &[&str] =
    &["VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "WorkloadEntry", "WorkloadGroup"];
