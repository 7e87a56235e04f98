//! Istio's and Linkerd's names for Leno's settings: `values.global.hub`, `meshConfig.accessLogFile`, `controllerReplicas`, an
//! `IstioOperator` in a file. What has a meaning here is translated, what does no harm is warned of by name, and what would
//! silently leave out something that was asked for is refused.

use serde_json::{Map, Value};

use super::{Layer, tree};

/// What was found on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Keys without a meaning here.
    pub warnings: Vec<String>,
    /// Keys that must not be passed over.
    pub errors: Vec<String>,
}

/// A layer in Leno's own names.
#[must_use]
pub fn translate(layer: &Layer, notes: &mut Notes) -> Layer {
    let origin = layer.origin.clone();
    let Value::Object(map) = &layer.tree else { return layer.clone() };
    let map = match unwrap(map) {
        Ok(map) => map,
        Err(problem) => {
            notes.errors.push(format!("{origin}: {problem}"));
            return Layer { origin, tree: Value::Null };
        }
    };
    let mut own = Value::Object(Map::new());
    for (key, value) in map {
        if FOREIGN.contains(&key.as_str()) {
            let mut leaves = Vec::new();
            flatten(value, key.clone(), &mut leaves);
            for (path, value) in leaves {
                place(&path, value, &mut own, &origin, notes);
            }
        } else {
            let mut one = Map::new();
            one.insert(key.clone(), value.clone());
            tree::merge(&mut own, &Value::Object(one));
        }
    }
    Layer { origin, tree: own }
}

/// The settings inside an `IstioOperator`.
fn unwrap(map: &Map<String, Value>) -> Result<&Map<String, Value>, String> {
    match map.get("kind").and_then(Value::as_str) {
        None => Ok(map),
        Some("IstioOperator") => {
            map.get("spec").and_then(Value::as_object).ok_or("the IstioOperator has no spec".to_owned())
        }
        Some(other) => Err(format!("a {other} holds no settings: give a file of settings, or an IstioOperator")),
    }
}

/// Everything that has no further keys, with its path. Lists are values.
fn flatten(value: &Value, at: String, out: &mut Vec<(String, Value)>) {
    match value.as_object() {
        Some(map) if !map.is_empty() => {
            for (key, value) in map {
                flatten(value, format!("{at}.{key}"), out);
            }
        }
        _ => out.push((at, value.clone())),
    }
}

fn place(path: &str, value: Value, own: &mut Value, origin: &str, notes: &mut Notes) {
    let found = RULES.iter().find_map(|(prefix, rule)| {
        let rest = path.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('.')).then_some((rest, rule))
    });
    match found {
        None => notes.warnings.push(format!("{origin}: `{path}` has no meaning for Leno and is left out")),
        Some((_, Rule::Leave(why))) => notes.warnings.push(format!("{origin}: `{path}` is left out: {why}")),
        Some((_, Rule::Refuse(why))) => notes.errors.push(format!("{origin}: `{path}`: {why}")),
        Some((rest, Rule::Is(target))) => put(own, &format!("{target}{rest}"), value),
        Some((rest, Rule::Text(target))) => {
            let text = match value {
                Value::Number(n) => Value::String(n.to_string()),
                other => other,
            };
            put(own, &format!("{target}{rest}"), text);
        }
        Some((_, Rule::List(target))) => {
            let list = match value {
                Value::String(text) if text == "*" => Value::Array(Vec::new()),
                Value::String(text) => {
                    text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Value::from).collect()
                }
                Value::Number(n) => Value::Array(vec![Value::String(n.to_string())]),
                other => other,
            };
            put(own, target, list);
        }
        // `default:info` of Istio: a level by scope.
        Some((_, Rule::Level(target))) => {
            let text = value.as_str().unwrap_or_default();
            let level = text.split(',').find_map(|l| l.strip_prefix("default:")).unwrap_or(text);
            let level = match level {
                "none" | "fatal" => "error",
                other => other,
            };
            put(own, target, Value::String(level.to_owned()));
        }
        Some((_, Rule::Only(wanted, why))) => {
            let given = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if given != *wanted {
                notes.errors.push(format!("{origin}: `{path}={given}`: {why}"));
            }
        }
    }
}

fn put(own: &mut Value, path: &str, value: Value) {
    tree::put(own, &path.split('.').collect::<Vec<_>>(), value);
}

enum Rule {
    /// The same setting, and all below it.
    Is(&'static str),
    /// The same, as a text.
    Text(&'static str),
    /// The same as a list, where Istio has a text with commas.
    List(&'static str),
    /// A log level.
    Level(&'static str),
    /// Only this value is what Leno does.
    Only(&'static str, &'static str),
    /// No meaning here, nothing is lost.
    Leave(&'static str),
    /// Must not be passed over.
    Refuse(&'static str),
}

/// Where other meshes keep their settings.
const FOREIGN: &[&str] = &[
    "values",
    "meshConfig",
    "components",
    "addonComponents",
    "controllerReplicas",
    "identityTrustDomain",
    "identityTrustAnchorsPEM",
    "identity",
    "linkerdVersion",
    "proxyInit",
    "policyController",
    "enablePodAntiAffinity",
    "cniEnabled",
    "installNamespace",
    "compatibilityVersion",
    "unvalidatedValues",
];

/// The first that fits counts, so the narrow ones come first.
const RULES: &[(&str, Rule)] = &[
    ("values.global.hub", Rule::Is("hub")),
    ("values.global.tag", Rule::Text("tag")),
    ("values.global.imagePullPolicy", Rule::Is("imagePullPolicy")),
    ("values.global.imagePullSecrets", Rule::Is("imagePullSecrets")),
    ("values.global.istioNamespace", Rule::Is("namespace")),
    ("values.global.logging.level", Rule::Level("control.logLevel")),
    ("values.global.logAsJson", Rule::Leave("the control plane's log is text")),
    ("values.global.priorityClassName", Rule::Is("control.priorityClassName")),
    ("values.global.proxy.logLevel", Rule::Level("proxy.logLevel")),
    ("values.global.proxy.image", Rule::Leave("Leno has its own proxy; `proxy.image` names another build of it")),
    ("values.global.proxy.resources", Rule::Is("proxy.resources")),
    ("values.global.proxy.clusterDomain", Rule::Is("clusterDomain")),
    ("values.global.proxy.holdApplicationUntilProxyStarts", Rule::Is("proxy.holdApplicationUntilProxyStarts")),
    ("values.global.proxy.excludeIPRanges", Rule::List("proxy.excludeOutboundIPRanges")),
    ("values.global.proxy.includeIPRanges", Rule::List("proxy.includeOutboundIPRanges")),
    ("values.global.proxy.excludeInboundPorts", Rule::List("proxy.excludeInboundPorts")),
    ("values.global.proxy.excludeOutboundPorts", Rule::List("proxy.excludeOutboundPorts")),
    (
        "values.global.proxy.autoInject",
        Rule::Only("enabled", "pods are injected where a label asks for it; take the label away instead"),
    ),
    ("values.global.meshID", Rule::Leave("one mesh is one cluster")),
    ("values.global.network", Rule::Leave("one mesh is one network")),
    ("values.global.multiCluster", Rule::Leave("one mesh is one cluster")),
    (
        "values.global.pilotCertProvider",
        Rule::Only("istiod", "Leno makes its own certificates, or takes the Secret `cacerts`"),
    ),
    (
        "values.global.caAddress",
        Rule::Refuse("no other authority than Leno's own; give its key in the Secret `cacerts`"),
    ),
    ("values.global.platform", Rule::Leave("nothing is different there")),
    ("values.pilot.replicaCount", Rule::Is("control.replicas")),
    ("values.pilot.autoscaleMin", Rule::Is("control.replicas")),
    ("values.pilot.autoscaleEnabled", Rule::Leave("set `control.replicas` instead")),
    ("values.pilot.resources", Rule::Is("control.resources")),
    ("values.pilot.nodeSelector", Rule::Is("control.nodeSelector")),
    ("values.pilot.tolerations", Rule::Is("control.tolerations")),
    ("values.pilot.podAnnotations", Rule::Is("control.podAnnotations")),
    ("values.pilot.podLabels", Rule::Is("control.podLabels")),
    ("values.pilot.env", Rule::Leave("Leno has no such switches")),
    ("values.pilot.cni", Rule::Leave("there is no CNI plugin; an init container redirects the traffic")),
    ("values.sidecarInjectorWebhook.rewriteAppHTTPProbe", Rule::Is("proxy.rewriteAppProbes")),
    (
        "values.sidecarInjectorWebhook.enableNamespacesByDefault",
        Rule::Only("false", "namespaces are meshed by a label of their own"),
    ),
    ("values.revision", Rule::Is("revision")),
    ("values.defaultRevision", Rule::Leave("the revision `default` is the one without a name")),
    ("values.profile", Rule::Is("profile")),
    ("values.meshConfig", Rule::Is("mesh")),
    ("values.ztunnel", Rule::Refuse("there is no ambient mode")),
    ("meshConfig.trustDomain", Rule::Is("trustDomain")),
    ("meshConfig.defaultConfig.holdApplicationUntilProxyStarts", Rule::Is("proxy.holdApplicationUntilProxyStarts")),
    ("meshConfig.defaultConfig.terminationDrainDuration", Rule::Is("proxy.terminationDrainDuration")),
    ("meshConfig.enableAutoMtls", Rule::Only("true", "meshed pods always speak mutual TLS to each other")),
    ("meshConfig.accessLogFile", Rule::Is("mesh.accessLogFile")),
    ("meshConfig.accessLogEncoding", Rule::Is("mesh.accessLogEncoding")),
    ("meshConfig.outboundTrafficPolicy", Rule::Is("mesh.outboundTrafficPolicy")),
    ("meshConfig.rootNamespace", Rule::Is("mesh.rootNamespace")),
    ("components.pilot.enabled", Rule::Only("true", "without a control plane there is no mesh")),
    ("components.pilot.hub", Rule::Is("hub")),
    ("components.pilot.tag", Rule::Text("tag")),
    ("components.pilot.k8s.replicaCount", Rule::Is("control.replicas")),
    ("components.pilot.k8s.resources", Rule::Is("control.resources")),
    ("components.pilot.k8s.nodeSelector", Rule::Is("control.nodeSelector")),
    ("components.pilot.k8s.tolerations", Rule::Is("control.tolerations")),
    ("components.pilot.k8s.podAnnotations", Rule::Is("control.podAnnotations")),
    ("components.base", Rule::Leave("`leno install` brings the definitions by itself")),
    ("components.cni.enabled", Rule::Only("false", "there is no CNI plugin; an init container redirects the traffic")),
    ("components.ingressGateways", Rule::Leave("Leno has no gateways of its own yet")),
    ("components.egressGateways", Rule::Leave("Leno has no gateways of its own yet")),
    ("components.ztunnel", Rule::Refuse("there is no ambient mode")),
    ("installNamespace", Rule::Is("namespace")),
    ("controllerReplicas", Rule::Is("control.replicas")),
    ("identityTrustDomain", Rule::Is("trustDomain")),
    ("identityTrustAnchorsPEM", Rule::Refuse("give the authority in the Secret `cacerts` of the install namespace")),
    ("identity.issuer.clockSkewAllowance", Rule::Leave("Leno allows for skew by itself")),
    ("identity", Rule::Refuse("give the authority in the Secret `cacerts` of the install namespace")),
    ("cniEnabled", Rule::Only("false", "there is no CNI plugin; an init container redirects the traffic")),
    ("enablePodAntiAffinity", Rule::Leave("replicas spread over nodes and zones by themselves")),
];
