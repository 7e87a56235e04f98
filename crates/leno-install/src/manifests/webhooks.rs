//! What the API server asks the control plane. The serving certificate's authority (`caBundle`) is written by the control plane's
//! leader, so it is not here and an upgrade leaves it as it is.

use serde_json::{Value, json};

use super::{CONTROL, INJECTION_LABEL, REVISION_LABEL, revision_labels, revisioned};
use crate::crds;
use crate::values::Values;

/// Pods that are to get a sidecar. Every entry is narrow: a dead webhook stops no pod outside meshed namespaces, and lets none
/// start unmeshed inside them.
pub(super) fn mutating(values: &Values) -> Value {
    let name = revisioned("leno-injector", &values.revision);
    let is_default = values.revision == "default";
    // Namespaces that no label speaks for.
    let silent = || json!([system(values), absent(INJECTION), absent(REVISION_LABEL), absent(INJECTION_LABEL)]);
    let mut webhooks = vec![entry(
        values,
        "rev.namespace",
        &json!([system(values), is_in(REVISION_LABEL, &values.revision), absent(INJECTION)]),
        &json!([is_not(INJECT, "false")]),
    )];
    if is_default {
        webhooks.push(entry(
            values,
            "namespace",
            &json!([system(values), is_in(INJECTION, "enabled")]),
            &json!([is_not(INJECT, "false")]),
        ));
        webhooks.push(entry(
            values,
            "linkerd.namespace",
            &json!([system(values), is_in(INJECTION_LABEL, "enabled"), absent(INJECTION), absent(REVISION_LABEL)]),
            &json!([is_not(INJECT, "false")]),
        ));
        webhooks.push(entry(values, "object", &silent(), &json!([is_in(INJECT, "true"), absent(REVISION_LABEL)])));
        let mut annotated = entry(values, "annotation", &silent(), &json!([absent(INJECT)]));
        annotated["matchConditions"] = json!([{"name": "linkerd-inject", "expression": ANNOTATED}]);
        webhooks.push(annotated);
    }
    webhooks.push(entry(
        values,
        "rev.object",
        &silent(),
        &json!([is_not(INJECT, "false"), is_in(REVISION_LABEL, &values.revision)]),
    ));
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "labels": revision_labels(CONTROL, values)},
        "webhooks": webhooks,
    })
}

fn entry(values: &Values, name: &str, namespaces: &Value, pods: &Value) -> Value {
    json!({
        "name": format!("{name}.injector.leno.dev"),
        "clientConfig": client(values, "/inject"),
        "rules": [{
            "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "scope": "Namespaced",
        }],
        "namespaceSelector": {"matchExpressions": namespaces},
        "objectSelector": {"matchExpressions": pods},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "reinvocationPolicy": "Never",
        "matchPolicy": "Equivalent",
        "failurePolicy": "Fail",
        "timeoutSeconds": 5,
    })
}

/// `(group, plurals)` of the kinds that Leno defines.
#[must_use]
pub fn validated() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for kind in crds::kinds() {
        match groups.iter_mut().find(|g| g.0 == kind.group) {
            Some(group) => group.1.push(kind.plural),
            None => groups.push((kind.group, vec![kind.plural])),
        }
    }
    groups
}

/// Objects of the groups that Leno defines, and no others.
pub(super) fn validating(values: &Values) -> Value {
    let rules: Vec<Value> = validated()
        .into_iter()
        .map(|(group, resources)| {
            json!({
                "operations": ["CREATE", "UPDATE"], "apiGroups": [group], "apiVersions": ["*"], "resources": resources,
                "scope": "Namespaced",
            })
        })
        .collect();
    // A canary answers for objects that name it only: its faults must not hold up the others.
    let objects =
        if values.revision == "default" { json!([]) } else { json!([is_in(REVISION_LABEL, &values.revision)]) };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {
            "name": revisioned("leno-validator", &values.revision),
            "labels": revision_labels(CONTROL, values),
        },
        "webhooks": [{
            "name": "validator.leno.dev",
            "clientConfig": client(values, "/validate"),
            "rules": rules,
            "objectSelector": {"matchExpressions": objects},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "matchPolicy": "Equivalent",
            "failurePolicy": "Fail",
            "timeoutSeconds": 5,
        }],
    })
}

fn client(values: &Values, path: &str) -> Value {
    let name = revisioned(CONTROL, &values.revision);
    json!({"service": {"name": name, "namespace": values.namespace, "path": path, "port": 443}})
}

fn is_in(key: &str, value: &str) -> Value {
    json!({"key": key, "operator": "In", "values": [value]})
}

fn is_not(key: &str, value: &str) -> Value {
    json!({"key": key, "operator": "NotIn", "values": [value]})
}

fn absent(key: &str) -> Value {
    json!({"key": key, "operator": "DoesNotExist"})
}

/// Never these: the cluster must be able to heal itself, and Leno to start.
fn system(values: &Values) -> Value {
    json!({
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": ["kube-system", "kube-public", "kube-node-lease", values.namespace],
    })
}

const INJECTION: &str = "istio-injection";
const INJECT: &str = "sidecar.istio.io/inject";
/// A pod's own annotation; that of a namespace comes as a label.
const ANNOTATED: &str = "has(object.metadata.annotations) && 'linkerd.io/inject' in object.metadata.annotations \
     && object.metadata.annotations['linkerd.io/inject'] in ['enabled', 'ingress']";
