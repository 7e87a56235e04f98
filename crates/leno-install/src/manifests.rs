//! The objects of an installation, as Kubernetes takes them.
//!
//! [`install`] gives those of the control plane in the order in which they should be applied, [`mod@viz`] those of leno-viz, and
//! [`crate::crds`] the definitions. Each is made by one function of this module's parts and is the same whoever asks: `leno
//! install`, a pipe to kubectl, the Helm chart.

mod control;
mod rbac;
mod viz;
mod webhooks;

use serde_json::{Map, Value, json};

use crate::values::{Proxy, Switch, Values};

pub use viz::viz;
pub use webhooks::validated;

/// Label that says an object is Leno's: only such are changed and removed by `leno uninstall`.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "leno");
/// Label of the revision that an object belongs to (Istio's).
pub const REVISION_LABEL: &str = "istio.io/rev";
/// Name of the control plane's objects, without its revision.
pub const CONTROL: &str = "leno-control";
/// Name of leno-viz's objects.
pub const VIZ: &str = "leno-viz";
/// `ConfigMap` with the mesh's settings, without its revision.
pub const CONFIG_MAP: &str = "leno";
/// Label on namespaces that the control plane mirrors from `linkerd.io/inject`.
pub const INJECTION_LABEL: &str = "leno.dev/injection";

/// Everything but the definitions, in the order to apply it; leno-viz is in it where the values say so.
#[must_use]
pub fn install(values: &Values) -> Vec<Value> {
    let mut objects = vec![namespace(values)];
    objects.extend(rbac::objects(values));
    objects.push(config_map(values));
    objects.extend(control::objects(values));
    if values.viz.enabled {
        objects.extend(viz(values));
    }
    objects.push(webhooks::mutating(values));
    objects.push(webhooks::validating(values));
    objects
}

/// `leno-control`, with the revision where it is not the default one.
#[must_use]
pub fn revisioned(name: &str, revision: &str) -> String {
    if revision == "default" { name.to_owned() } else { format!("{name}-{revision}") }
}

/// Labels of every object of ours.
#[must_use]
pub fn labels(name: &str) -> Value {
    json!({
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "leno",
        MANAGED_BY.0: MANAGED_BY.1,
    })
}

fn revision_labels(name: &str, values: &Values) -> Value {
    let mut labels = labels(name);
    labels[REVISION_LABEL] = json!(values.revision);
    labels
}

fn namespace(values: &Values) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": values.namespace, "labels": labels("leno")},
    })
}

/// What the control plane and `leno inject` read.
fn config_map(values: &Values) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": revisioned(CONFIG_MAP, &values.revision),
            "namespace": values.namespace,
            "labels": revision_labels("leno", values),
        },
        "data": {"mesh": yaml(&mesh(values)), "values": yaml(&injection(values))},
    })
}

fn mesh(values: &Values) -> Value {
    let mut mesh = Map::new();
    mesh.insert("trustDomain".into(), json!(values.trust_domain));
    mesh.extend(values.mesh.clone());
    Value::Object(mesh)
}

/// What the injector knows about sidecars.
#[must_use]
pub fn injection(values: &Values) -> Value {
    let Proxy { resources, .. } = &values.proxy;
    let control = revisioned(CONTROL, &values.revision);
    let mut out = serde_json::to_value(&values.proxy).unwrap_or_default();
    out["image"] = json!(image(values, "leno-proxy"));
    if !values.proxy.image.is_empty() {
        out["image"] = json!(values.proxy.image);
    }
    out["controlAddress"] = json!(format!("{control}.{}.svc:15012", values.namespace));
    out["trustDomain"] = json!(values.trust_domain);
    out["revision"] = json!(values.revision);
    out["resources"] = json!(resources);
    out["nativeSidecar"] = json!(values.proxy.native_sidecar != Switch::Off);
    if !values.image_pull_policy.is_empty() {
        out["imagePullPolicy"] = json!(values.image_pull_policy);
    }
    out["imagePullSecrets"] = json!(values.image_pull_secrets);
    out
}

/// As YAML: people read it in the `ConfigMap`.
fn yaml(value: &Value) -> String {
    serde_yaml_ng::to_string(value).unwrap_or_else(|_| value.to_string())
}

fn image(values: &Values, name: &str) -> String {
    format!("{}/{name}:{}", values.hub, values.tag)
}

/// As strict as the `restricted` Pod Security Standard.
fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
    })
}

fn pod_security() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

fn env_field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

/// What is common to both Deployments' pods and was chosen by values.
fn place(spec: &mut Value, values: &Values, nodes: &std::collections::BTreeMap<String, String>, tolerations: &[Value]) {
    if !values.image_pull_secrets.is_empty() {
        spec["imagePullSecrets"] = values.image_pull_secrets.iter().map(|name| json!({"name": name})).collect();
    }
    if !nodes.is_empty() {
        spec["nodeSelector"] = json!(nodes);
    }
    if !tolerations.is_empty() {
        spec["tolerations"] = json!(tolerations);
    }
}

fn pull_policy(container: &mut Value, values: &Values) {
    if !values.image_pull_policy.is_empty() {
        container["imagePullPolicy"] = json!(values.image_pull_policy);
    }
}

#[cfg(test)]
mod tests;
