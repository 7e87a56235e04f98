//! The control plane's Service, Deployment and disruption budget.

use leno_core::names::port;
use serde_json::{Value, json};

use super::{
    CONTROL, REVISION_LABEL, container_security, env_field, image, place, pod_security, pull_policy, revision_labels,
    revisioned,
};
use crate::values::Values;

pub(super) fn objects(values: &Values) -> Vec<Value> {
    let mut objects = vec![service(values), deployment(values)];
    // With one replica a budget would do nothing but stop the draining of its node.
    if values.control.replicas > 1 {
        objects.push(budget(values));
    }
    objects
}

fn name(values: &Values) -> String {
    revisioned(CONTROL, &values.revision)
}

fn selector(values: &Values) -> Value {
    json!({"app": CONTROL, REVISION_LABEL: values.revision})
}

fn metadata(values: &Values) -> Value {
    let mut labels = revision_labels(CONTROL, values);
    labels["app"] = json!(CONTROL);
    json!({"name": name(values), "namespace": values.namespace, "labels": labels})
}

fn service(values: &Values) -> Value {
    let port = |name: &str, port: u16, target: &str| json!({"name": name, "port": port, "targetPort": target, "protocol": "TCP"});
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(values),
        "spec": {
            "selector": selector(values),
            "ports": [
                port("tls-xds", port::CONTROL_TLS, "tls-xds"),
                port("http-monitoring", port::CONTROL_MONITORING, "http-monitoring"),
                port("https-webhook", 443, "https-webhook"),
            ],
        },
    })
}

fn deployment(values: &Values) -> Value {
    let mut labels = revision_labels(CONTROL, values);
    labels["app"] = json!(CONTROL);
    labels["app.kubernetes.io/version"] = json!(values.tag);
    // It is what sidecars wait for, so it has none.
    labels["sidecar.istio.io/inject"] = json!("false");
    for (key, value) in &values.control.pod_labels {
        labels[key.as_str()] = json!(value);
    }
    let mut annotations = json!({
        "prometheus.io/scrape": "true",
        "prometheus.io/port": port::CONTROL_MONITORING.to_string(),
        "prometheus.io/path": "/metrics",
    });
    for (key, value) in &values.control.pod_annotations {
        annotations[key.as_str()] = json!(value);
    }
    let mut spec = json!({
        "serviceAccountName": name(values),
        "securityContext": pod_security(),
        "containers": [container(values)],
        "terminationGracePeriodSeconds": 30,
        "topologySpreadConstraints": [
            spread("kubernetes.io/hostname", values),
            spread("topology.kubernetes.io/zone", values),
        ],
    });
    if !values.control.priority_class_name.is_empty() {
        spec["priorityClassName"] = json!(values.control.priority_class_name);
    }
    place(&mut spec, values, &values.control.node_selector, &values.control.tolerations);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(values),
        "spec": {
            "replicas": values.control.replicas,
            "selector": {"matchLabels": selector(values)},
            // A new one is ready before an old one goes, so that proxies always have one to turn to.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec},
        },
    })
}

/// Wishes, not conditions: a cluster with one node works, too.
fn spread(key: &str, values: &Values) -> Value {
    json!({
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(values)},
    })
}

fn container(values: &Values) -> Value {
    let probe = |path: &str| json!({"path": path, "port": "http-monitoring"});
    let port = |name: &str, port: u16| json!({"name": name, "containerPort": port, "protocol": "TCP"});
    let args = [
        "--kubernetes".to_owned(),
        format!("--namespace={}", values.namespace),
        format!("--revision={}", values.revision),
        format!("--cluster-domain={}", values.cluster_domain),
        format!("--trust-domain={}", values.trust_domain),
        format!("--log-level={}", values.control.log_level),
    ];
    let mut container = json!({
        "name": "control",
        "image": image(values, CONTROL),
        "command": ["/leno-control"],
        "args": args,
        "env": [
            env_field("POD_NAME", "metadata.name"),
            env_field("POD_NAMESPACE", "metadata.namespace"),
            env_field("POD_IP", "status.podIP"),
        ],
        "ports": [
            port("tls-xds", port::CONTROL_TLS),
            port("http-monitoring", port::CONTROL_MONITORING),
            port("https-webhook", port::CONTROL_WEBHOOK),
        ],
        "readinessProbe": {"httpGet": probe("/ready"), "periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 3},
        "livenessProbe": {
            "httpGet": probe("/healthz/live"),
            "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6,
        },
        "resources": values.control.resources,
        "securityContext": container_security(),
    });
    pull_policy(&mut container, values);
    container
}

fn budget(values: &Values) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(values),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector(values)}},
    })
}
