//! leno-viz.

use leno_core::id::SpiffeId;
use leno_core::names::{TOKEN_AUDIENCE, VIZ_ACCOUNT, port};
use serde_json::{Value, json};

use super::{CONTROL, VIZ, container_security, image, labels, place, pod_security, pull_policy, revisioned};
use crate::inject::ROOT_CONFIG_MAP;
use crate::values::Values;

/// Its objects. Who the proxies are it asks the control plane; on the API server it may read the objects that the dashboard shows
/// and checks, and nothing else.
#[must_use]
pub fn viz(values: &Values) -> Vec<Value> {
    let [role, binding] = rights(values);
    vec![account(values), role, binding, service(values), replicas(values), deployment(values)]
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

/// Whose name has the addresses of all replicas of the control plane, of every revision: each knows its own sidecars only.
fn replicas(values: &Values) -> Value {
    let mut metadata = metadata(values);
    metadata["name"] = json!(REPLICAS);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "clusterIP": "None",
            "selector": {"app": CONTROL},
            "ports": [{
                "name": "http-monitoring", "port": port::CONTROL_MONITORING,
                "targetPort": port::CONTROL_MONITORING, "protocol": "TCP",
            }],
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
        "volumes": volumes(),
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
            format!("--replicas={REPLICAS}.{}.svc:15014", values.namespace),
            format!("--authority={control}.{}.svc:15012", values.namespace),
            format!("--identity={}", SpiffeId::new(&values.trust_domain, &values.namespace, VIZ_ACCOUNT)),
            "--kubernetes".to_owned(),
            format!("--window={}", values.viz.window),
            format!("--log={}", values.viz.log_level),
        ],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/healthz/ready", "port": "http"}, "periodSeconds": 5, "timeoutSeconds": 3},
        "resources": values.viz.resources,
        "volumeMounts": [
            {"name": TOKEN, "mountPath": "/var/run/secrets/tokens", "readOnly": true},
            {"name": ROOTS, "mountPath": "/var/run/secrets/istio", "readOnly": true},
        ],
        "securityContext": container_security(),
    });
    pull_policy(&mut container, values);
    container
}

/// Its token for the control plane's authority, as a sidecar has one, and the mesh's roots.
fn volumes() -> Value {
    json!([
        {"name": TOKEN, "projected": {"sources": [{"serviceAccountToken": {
            "audience": TOKEN_AUDIENCE, "expirationSeconds": 3600, "path": "istio-token",
        }}]}},
        {"name": ROOTS, "configMap": {"name": ROOT_CONFIG_MAP, "optional": true}},
    ])
}

const PORT: u16 = 8084;
const REPLICAS: &str = "leno-viz-control";
const TOKEN: &str = "istio-token";
const ROOTS: &str = "istiod-ca-cert";

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
