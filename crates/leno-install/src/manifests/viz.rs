//! leno-viz.

use serde_json::{Value, json};

use super::{CONTROL, VIZ, container_security, image, labels, place, pod_security, pull_policy, revisioned};
use crate::values::Values;

/// Its objects. It asks the control plane who the proxies are, so it needs no rights on the API server and has no token for it.
#[must_use]
pub fn viz(values: &Values) -> Vec<Value> {
    vec![account(values), service(values), deployment(values)]
}

fn metadata(values: &Values) -> Value {
    let mut labels = labels(VIZ);
    labels["app"] = json!(VIZ);
    json!({"name": VIZ, "namespace": values.namespace, "labels": labels})
}

fn account(values: &Values) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(values),
        "automountServiceAccountToken": false,
    })
}

fn service(values: &Values) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(values),
        "spec": {
            "selector": {"app": VIZ},
            "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    })
}

fn deployment(values: &Values) -> Value {
    let mut labels = metadata(values)["labels"].clone();
    labels["app.kubernetes.io/version"] = json!(values.tag);
    labels["sidecar.istio.io/inject"] = json!("false");
    let mut spec = json!({
        "serviceAccountName": VIZ,
        "automountServiceAccountToken": false,
        "securityContext": pod_security(),
        "containers": [container(values)],
    });
    place(&mut spec, values, &values.viz.node_selector, &values.viz.tolerations);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(values),
        "spec": {
            // What it has seen is in its memory: one is all there can be.
            "replicas": 1,
            "selector": {"matchLabels": {"app": VIZ}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    })
}

fn container(values: &Values) -> Value {
    let control = revisioned(CONTROL, &values.revision);
    let mut container = json!({
        "name": "viz",
        "image": image(values, VIZ),
        "command": ["/leno-viz"],
        "args": [
            format!("--control=http://{control}.{}.svc:15014", values.namespace),
            format!("--window={}", values.viz.window),
            format!("--log={}", values.viz.log_level),
        ],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/healthz/ready", "port": "http"}, "periodSeconds": 5, "timeoutSeconds": 3},
        "resources": values.viz.resources,
        "securityContext": container_security(),
    });
    pull_policy(&mut container, values);
    container
}

const PORT: u16 = 8084;
