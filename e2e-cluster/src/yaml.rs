//! Kubernetes YAML of the apps that scenes are made of.

use crate::mesh::{hub, tag};

/// The image of the test app.
#[must_use]
pub fn image() -> String {
    image_of("leno-shop")
}

/// One of the images under test.
#[must_use]
pub fn image_of(name: &str) -> String {
    format!("{}/{name}:{}", hub(), tag())
}

/// A Deployment with a `ServiceAccount` of its name; the container is called `app`.
#[derive(Clone, Debug)]
pub struct App<'a> {
    /// Name, label `app` and `ServiceAccount`.
    pub name: &'a str,
    /// Label `version` and suffix of the Deployment's name; none where empty.
    pub version: &'a str,
    /// How many pods.
    pub replicas: u32,
    /// What runs.
    pub args: &'a [&'a str],
    /// YAML fields of the container, on lines without indentation.
    pub container: &'a str,
    /// YAML fields of the pod, on lines without indentation.
    pub pod: &'a str,
    /// Annotations of the pod, as YAML of a flow mapping.
    pub annotations: &'a str,
}

impl Default for App<'_> {
    fn default() -> Self {
        Self { name: "app", version: "", replicas: 1, args: &["echo"], container: "", pod: "", annotations: "{}" }
    }
}

impl App<'_> {
    /// The Deployment's name.
    #[must_use]
    pub fn deployment(&self) -> String {
        if self.version.is_empty() { self.name.into() } else { format!("{}-{}", self.name, self.version) }
    }

    /// `ServiceAccount` and Deployment.
    #[must_use]
    pub fn yaml(&self) -> String {
        let Self { name, version, replicas, args, annotations, .. } = self;
        let deployment = self.deployment();
        let labels =
            if version.is_empty() { format!("app: {name}") } else { format!("app: {name}, version: {version}") };
        let (image, container, pod) = (image(), indent(self.container, 8), indent(self.pod, 6));
        format!(
            "apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {deployment}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{{labels}}}}}
  template:
    metadata:
      labels: {{{labels}}}
      annotations: {annotations}
    spec:
      serviceAccountName: {name}
      terminationGracePeriodSeconds: 15
{pod}      containers:
      - name: app
        image: {image}
        args: {args:?}
        env:
        - {{name: VERSION, value: {version:?}}}
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
{container}"
        )
    }
}

fn indent(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

/// An HTTP echo server on port 8080 that says its version, ready when it serves.
#[must_use]
pub fn http_app(name: &str, version: &str, replicas: u32) -> String {
    let container =
        "ports: [{containerPort: 8080}]\nreadinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}";
    App { name, version, replicas, args: &["echo", "--port", "8080"], container, ..App::default() }.yaml()
}

/// A gRPC echo server on port 9090 that says its version, ready when it serves.
#[must_use]
pub fn grpc_app(name: &str, version: &str, replicas: u32) -> String {
    let container = "ports: [{containerPort: 9090}]\nreadinessProbe: {grpc: {port: 9090}, periodSeconds: 1}";
    App { name, version, replicas, args: &["grpc-echo", "--port", "9090"], container, ..App::default() }.yaml()
}

/// A Service; `ports` is YAML such as `[{name: http, port: 8080}]`.
#[must_use]
pub fn service(name: &str, selector: &str, ports: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  selector: {{{selector}}}\n  ports: {ports}\n"
    )
}
