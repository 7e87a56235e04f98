//! Kubernetes' `NetworkPolicy`s that cut sidecars off from their control plane.

use leno_config::Object;
use leno_core::names::port::CONTROL_TLS;
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, selects, texts};
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[&CUT_OFF];

/// No egress rule lets the sidecars reach the control plane.
static CUT_OFF: Code = Code {
    id: "LENO0120",
    name: "NetworkPolicyCutsOffControlPlane",
    level: Level::Error,
    what: "The NetworkPolicies that select meshed pods let them send to some places only, and the control plane (port 15012) \
           is not among them. Their sidecars get no certificate and no configuration, so that the pods never start.",
    mend: "Add an egress rule: `to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: leno-system}}}]`, \
           `ports: [{port: 15012}]`.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    let policies: Vec<&Object> = set.of("networking.k8s.io", "NetworkPolicy").filter(|p| bounds_egress(p)).collect();
    for (index, policy) in policies.iter().enumerate() {
        let pods =
            set.templates().filter(|w| w.namespace() == policy.namespace() && set.is_meshed(w) && !w.has_ended());
        let selector = &policy.json["spec"]["podSelector"];
        // What any of the policies that select a pod allows is allowed. The first of them is named.
        let cut_off = pods.filter(|w| selects(selector, &w.labels)).find(|w| {
            let mut of_pod = policies
                .iter()
                .enumerate()
                .filter(|(_, p)| p.namespace() == w.namespace() && selects(&p.json["spec"]["podSelector"], &w.labels));
            of_pod.clone().next().is_some_and(|(first, _)| first == index)
                && !of_pod.any(|(_, p)| list(&p.json, "/spec/egress").iter().any(|rule| allows(set, rule)))
        });
        if let Some(workload) = cut_off {
            let message = format!(
                "The sidecar of {} cannot reach the control plane: no egress rule allows port {CONTROL_TLS} of namespace {}.",
                workload.object.describe(),
                set.options.install_namespace
            );
            out.at(&CUT_OFF, policy, "spec.egress", message);
        }
    }
}

fn bounds_egress(policy: &Object) -> bool {
    let types = texts(&policy.json, "/spec/policyTypes");
    types.contains(&"Egress") || types.is_empty() && policy.json.pointer("/spec/egress").is_some()
}

/// Whether an egress rule lets pods reach the control plane. What cannot be judged from here counts as yes.
fn allows(set: &Set<'_>, rule: &Value) -> bool {
    let ports = list(rule, "/ports");
    let to = list(rule, "/to");
    let port_fits = ports.is_empty() || ports.iter().any(port_allows);
    let place_fits = to.is_empty()
        || to.iter().any(|peer| {
            let Some(selector) = peer.get("namespaceSelector") else {
                // An address block may hold the control plane; pods of the own namespace do not.
                return peer.get("ipBlock").is_some();
            };
            let namespace = set.namespace(&set.options.install_namespace);
            let mut labels = namespace.map(|n| crate::json::labels(&n.json, "/metadata/labels")).unwrap_or_default();
            labels.insert("kubernetes.io/metadata.name".to_owned(), set.options.install_namespace.clone());
            // Labels of a namespace that is not at hand are not known.
            selects(selector, &labels) || namespace.is_none() && !names_another(selector)
        });
    port_fits && place_fits
}

fn names_another(selector: &Value) -> bool {
    selector.pointer("/matchLabels/kubernetes.io~1metadata.name").is_some()
}

fn port_allows(port: &Value) -> bool {
    let wanted = u64::from(CONTROL_TLS);
    let tcp = port.get("protocol").is_none_or(|p| p == "TCP");
    tcp && match (port.get("port"), port.get("endPort").and_then(Value::as_u64)) {
        (None, _) => true,
        (Some(Value::Number(low)), Some(high)) => low.as_u64().is_some_and(|low| (low..=high).contains(&wanted)),
        (Some(Value::Number(number)), None) => number.as_u64() == Some(wanted),
        // The name of a port of the control plane's pods.
        (Some(_), _) => true,
    }
}
