//! Kubernetes YAML of the apps that scenes are made of.

use std::fmt::Write as _;

/// How a namespace is meshed.
#[derive(Clone, Copy, Debug)]
pub enum Namespace {
    /// Istio's label.
    Istio,
    /// Linkerd's annotation.
    Linkerd,
    /// Not at all.
    Plain,
}

impl Namespace {
    /// The Namespace object.
    #[must_use]
    pub fn named(self, name: &str) -> String {
        let extra = match self {
            Self::Istio => "  labels: {istio-injection: enabled}\n",
            Self::Linkerd => "  annotations: {linkerd.io/inject: enabled}\n",
            Self::Plain => "",
        };
        format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n{extra}")
    }
}

/// A Deployment of one container with its own `ServiceAccount`. `extra` is YAML of the container, indented by eight.
#[must_use]
pub fn app(namespace: &str, name: &str, version: &str, replicas: u32, command: &[&str], extra: &str) -> String {
    let deployment = if version.is_empty() { name.to_owned() } else { format!("{name}-{version}") };
    let mut labels = format!("app: {name}");
    if !version.is_empty() {
        let _ = write!(labels, ", version: {version}");
    }
    format!(
        "apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {deployment}, namespace: {namespace}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{{labels}}}}}
  template:
    metadata:
      labels: {{{labels}}}
    spec:
      serviceAccountName: {name}
      terminationGracePeriodSeconds: 5
      containers:
      - name: app
        image: example.com/{name}:latest
        command: {command:?}
{extra}"
    )
}

/// An HTTP echo server that says its version, ready when it serves.
#[must_use]
pub fn echo_app(namespace: &str, name: &str, version: &str, replicas: u32) -> String {
    let extra = format!(
        "        env: [{{name: VERSION, value: \"{version}\"}}]
        ports: [{{containerPort: 8080, name: http}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
"
    );
    app(namespace, name, version, replicas, &["leno-shop", "echo", "--port", "8080"], &extra)
}

/// A pod that does nothing, to run clients in.
#[must_use]
pub fn client(namespace: &str, name: &str) -> String {
    app(namespace, name, "", 1, &["sleep", "100000"], "")
}

/// A Service; `ports` is YAML such as `[{name: http, port: 8080}]`.
#[must_use]
pub fn service(namespace: &str, name: &str, selector: &str, ports: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{{selector}}}
  ports: {ports}
"
    )
}
