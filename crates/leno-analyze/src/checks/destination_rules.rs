//! `DestinationRule`s: their host, their subsets, their TLS.

use leno_config::Object;
use leno_config::object::Path;
use leno_core::model::{Labels, selects};
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{labels, list, port, text};
use crate::set::Set;

pub(super) const CODES: &[&Code] =
    &[&NO_CA_HOST, &NO_CA_PORT, &SUBSET_SELECTS_NOTHING, &UNKNOWN_HOST, &TLS_AGAINST_STRICT];

/// TLS towards a host without a certificate authority to check it by.
static NO_CA_HOST: Code = Code {
    id: "IST0128",
    name: "NoServerCertificateVerificationDestinationLevel",
    level: Level::Warning,
    what: "A DestinationRule asks for TLS (SIMPLE or MUTUAL) and names no caCertificates, so that anybody's certificate is \
           taken for the server's.",
    mend: "Set `caCertificates`, or `credentialName` with a `ca.crt`, in the rule's `tls`; or use ISTIO_MUTUAL towards pods \
           of the mesh.",
};

/// The same for one port.
static NO_CA_PORT: Code = Code {
    id: "IST0129",
    name: "NoServerCertificateVerificationPortLevel",
    level: Level::Warning,
    what: "As IST0128, for one port (`portLevelSettings`).",
    mend: "Set `caCertificates` or `credentialName` in the port's `tls`.",
};

/// A subset's labels select no pod of the service.
static SUBSET_SELECTS_NOTHING: Code = Code {
    id: "IST0173",
    name: "DestinationRuleSubsetNotSelectPods",
    level: Level::Error,
    what: "No pod of the service has the labels of this subset. Requests that a rule sends to the subset fail with 503.",
    mend: "Compare the subset's labels with those of the pods (`kubectl get pods --show-labels`). Where the version is yet to \
           be rolled out, give it weight 0 until it is there.",
};

/// The rule's host is no service.
static UNKNOWN_HOST: Code = Code {
    id: "IST0174",
    name: "UnknownDestinationRuleHost",
    level: Level::Warning,
    what: "The host of a DestinationRule is no service of the mesh, so that the rule holds for nothing.",
    mend: "Mind the spelling and the namespace: a short name means a service in the namespace of the rule.",
};

/// Clients are told to speak plaintext to servers that refuse it.
static TLS_AGAINST_STRICT: Code = Code {
    id: "LENO0030",
    name: "TlsDisabledAgainstStrict",
    level: Level::Error,
    what: "A DestinationRule tells clients to speak plaintext (`tls.mode: DISABLE`) to a service whose pods demand mutual \
           TLS (PeerAuthentication STRICT). Every request fails.",
    mend: "Remove `tls` from the DestinationRule (mutual TLS between sidecars is automatic), or set it to ISTIO_MUTUAL.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for object in set.destination_rules() {
        let Some(host) = text(&object.json, "/spec/host").filter(|h| !h.is_empty()) else { continue };
        certificates(out, object, host);
        if !set.host_exists(host, object.namespace()) {
            let message =
                format!("The host {host} defined in the DestinationRule does not match any services in the mesh.");
            out.at(&UNKNOWN_HOST, object, "spec.host", message);
        }
        subsets(set, out, object, host);
        against_strict(set, out, object, host);
    }
}

/// `(tls settings, path, port)` at the top and in subsets.
fn tls_settings(object: &Object) -> Vec<(&Value, Path, Option<u16>)> {
    let spec = Path::root().key("spec");
    let mut policies = vec![(object.json.pointer("/spec/trafficPolicy"), spec.key("trafficPolicy"))];
    for (index, subset) in list(&object.json, "/spec/subsets").iter().enumerate() {
        policies.push((subset.get("trafficPolicy"), spec.key("subsets").index(index).key("trafficPolicy")));
    }
    let mut all = Vec::new();
    for (policy, at) in policies {
        let Some(policy) = policy else { continue };
        all.extend(policy.get("tls").map(|tls| (tls, at.key("tls"), None)));
        for (index, settings) in list(policy, "/portLevelSettings").iter().enumerate() {
            let path = at.key("portLevelSettings").index(index).key("tls");
            all.extend(settings.get("tls").map(|tls| (tls, path, port(settings, "/port/number"))));
        }
    }
    all
}

fn certificates(out: &mut Report, object: &Object, host: &str) {
    for (tls, path, port) in tls_settings(object) {
        let given = |key: &str| tls.get(key).and_then(Value::as_str).is_some_and(|v| !v.is_empty());
        let mode = text(tls, "/mode").unwrap_or_default();
        if !matches!(mode, "SIMPLE" | "MUTUAL") || given("caCertificates") || given("credentialName") {
            continue;
        }
        let (name, namespace) = (&object.name, object.namespace());
        let message = format!(
            "DestinationRule {namespace}/{name} in namespace {namespace} has TLS mode set to {mode} but no caCertificates \
             are set to validate server identity for host: {host}"
        );
        match port {
            None => out.add(&NO_CA_HOST, object, &path, message),
            Some(port) => out.add(&NO_CA_PORT, object, &path, format!("{message} at port {port}")),
        }
    }
}

fn subsets(set: &Set<'_>, out: &mut Report, object: &Object, host: &str) {
    let Some(service) = set.service_of_host(host, object.namespace()) else { return };
    if service.spec.selector.is_empty() || !set.knows_pods(&service.id.namespace) {
        return;
    }
    for (index, subset) in list(&object.json, "/spec/subsets").iter().enumerate() {
        let wanted: Labels = labels(subset, "/labels");
        if !set.behind(service).any(|w| selects(&wanted, &w.labels)) {
            let name = text(subset, "/name").unwrap_or_default();
            let message = format!(
                "The Subset {name} defined in the DestinationRule does not select any pods. Which may lead to 503 UH \
                 (NoHealthyUpstream)."
            );
            out.add(&SUBSET_SELECTS_NOTHING, object, &Path::root().keys("spec.subsets").index(index), message);
        }
    }
}

fn against_strict(set: &Set<'_>, out: &mut Report, object: &Object, host: &str) {
    let Some(service) = set.service_of_host(host, object.namespace()) else { return };
    for (tls, path, port) in tls_settings(object) {
        if text(tls, "/mode") != Some("DISABLE") {
            continue;
        }
        if let Some(policy) = set.strict(service, port) {
            let message = format!(
                "Clients are told to speak plaintext to {host}, whose pods demand mutual TLS by {}.",
                policy.describe()
            );
            out.add(&TLS_AGAINST_STRICT, object, &path.key("mode"), message);
        }
    }
}
