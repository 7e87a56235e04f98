//! leno-viz.

use serde_json::{Value, json};

use super::{CONTROL, VIZ, container_security, image, labels, place, pod_security, pull_policy, revisioned};
use crate::values::Values;

/// Its objects. Who the proxies are it asks the control plane; on the API server it may read the objects that the dashboard shows
/// and checks, and nothing else.
#[must_use]
pub fn viz(values: &Values) -> Vec<Value> {
    let [role, binding] = rights(values);
    vec![account(values), role, binding, service(values), deployment(values)]
}

/// What the dashboard's configuration page reads: no Secret, no `ConfigMap`, and no verb but these.
fn rights(values: &Values) -> [Value; 2] {
    let api = "rbac.authorization.k8s.io";
    // Two meshes in one cluster do not take each other's rights.
    let mut everywhere = metadata(values);
    everywhere["name"] = json!(format!("{VIZ}-{}", values.namespace));
    if let Some(map) = everywhere.as_object_mut() {
        map.remove("namespace");
    }
    let rules: Vec<Value> = READS
        .iter()
        .map(|(group, resources)| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list"]}))
        .collect();
    let role = json!({
        "apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": everywhere, "rules": rules,
    });
    let binding = json!({
        "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": everywhere,
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": everywhere["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": VIZ, "namespace": values.namespace}],
    });
    [role, binding]
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
            "--kubernetes".to_owned(),
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

/// By API group; a test of leno-viz compares this with what it lists.
const READS: &[(&str, &[&str])] = &[
    ("", &["namespaces", "services", "pods", "serviceaccounts", "resourcequotas", "limitranges"]),
    ("apps", &["deployments", "statefulsets", "daemonsets"]),
    ("batch", &["jobs", "cronjobs"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("admissionregistration.k8s.io", &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]),
    (
        "networking.istio.io",
        &[
            "virtualservices",
            "destinationrules",
            "gateways",
            "serviceentries",
            "sidecars",
            "envoyfilters",
            "workloadentries",
        ],
    ),
    ("security.istio.io", &["peerauthentications", "authorizationpolicies", "requestauthentications"]),
    ("telemetry.istio.io", &["telemetries"]),
    ("split.smi-spec.io", &["trafficsplits"]),
    ("linkerd.io", &["serviceprofiles"]),
    ("policy.linkerd.io", &["servers", "serverauthorizations", "authorizationpolicies"]),
    ("gateway.networking.k8s.io", &["gateways", "httproutes", "grpcroutes"]),
];
