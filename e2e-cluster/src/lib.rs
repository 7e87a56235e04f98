//! Harness of the end-to-end tests on Kubernetes: the cluster that KUBECONFIG names, used as a person would, with `kubectl` and `leno`.
//!
//! `make e2e-cluster` runs the scenes on the cluster of `make cluster`, or on any other with the images loaded. Nothing is
//! reached behind the API server's back. Each scene has namespaces of its own, removed at its end; a scene that fails prints
//! the pods, events and logs of its namespaces and of the control plane.

mod load;
mod mesh;
mod namespace;
pub mod primer;
mod run;
mod yaml;

use std::time::{Duration, Instant};

pub use load::{Load, Report};
pub use mesh::{INSTALL_NAMESPACE, Mesh};
pub use namespace::{Meshed, Namespace};
pub use run::{Ran, program};
use serde_json::Value;
pub use yaml::{App, grpc_app, http_app, image, image_of, service};

/// The cluster that KUBECONFIG names.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Cluster {}

impl Cluster {
    /// Connects, which is to say: sees that the API server answers.
    ///
    /// # Panics
    /// Where KUBECONFIG is not set or the API server does not answer.
    #[must_use]
    pub fn connect() -> Self {
        assert!(
            std::env::var_os("KUBECONFIG").is_some(),
            "KUBECONFIG is not set: run `make e2e-cluster`, or name a cluster whose contents may be changed"
        );
        let cluster = Self {};
        let ready = cluster.kubectl(&["get", "--raw", "/readyz"]);
        assert!(ready.ok(), "the cluster that KUBECONFIG names does not answer\n{ready}");
        cluster
    }

    /// Runs `kubectl ARGS…`.
    pub fn kubectl(&self, args: &[&str]) -> Ran {
        run::run(run::kubectl().args(args), None)
    }

    /// Runs `kubectl ARGS…` and returns its standard output.
    ///
    /// # Panics
    /// Where it fails; the message holds all it printed.
    pub fn must(&self, args: &[&str]) -> String {
        let ran = self.kubectl(args);
        assert!(ran.ok(), "kubectl {args:?} failed\n{ran}");
        ran.stdout
    }

    /// `kubectl apply`, with the namespace for objects that name none.
    pub fn try_apply(&self, namespace: &str, yaml: &str) -> Ran {
        run::run(run::kubectl().args(["apply", "-n", namespace, "-f", "-"]), Some(yaml))
    }

    /// As [`Cluster::try_apply`].
    ///
    /// # Panics
    /// Where an object is refused.
    pub fn apply(&self, namespace: &str, yaml: &str) {
        let ran = self.try_apply(namespace, yaml);
        assert!(ran.ok(), "kubectl apply failed\n{ran}\n--- of\n{yaml}");
    }

    /// `kubectl get ARGS… -o json`; null where there is no such thing.
    #[must_use]
    pub fn get(&self, args: &[&str]) -> Value {
        let mut all = vec!["get", "-o", "json"];
        all.extend(args);
        serde_json::from_str(&self.kubectl(&all).stdout).unwrap_or(Value::Null)
    }

    /// Runs `leno ARGS…`.
    pub fn leno(&self, args: &[&str]) -> Ran {
        run::run(&mut run::leno(args), None)
    }

    /// Runs `leno ARGS…` and returns its standard output.
    ///
    /// # Panics
    /// Where it fails; the message holds all it printed.
    pub fn leno_must(&self, args: &[&str]) -> String {
        let ran = self.leno(args);
        assert!(ran.ok(), "leno {args:?} failed\n{ran}");
        ran.stdout
    }

    /// Runs a command line of the primer: of `kubectl`, of `leno`, or of both with a pipe between.
    ///
    /// # Panics
    /// Where it fails; the message holds all it printed.
    pub fn shell(&self, line: &str) -> String {
        let ran = run::run(&mut run::shell(line), None);
        assert!(ran.ok(), "`{line}` failed\n{ran}");
        ran.stdout
    }

    /// Waits until every rollout of the namespace is complete.
    ///
    /// # Panics
    /// Where one is not within `limit`; the message tells the state of the pods.
    pub fn rolled_out(&self, namespace: &str, limit: Duration) {
        let limit = format!("--timeout={}s", limit.as_secs());
        for kind in ["deployment", "statefulset", "daemonset"] {
            let names = self.kubectl(&["get", kind, "-n", namespace, "-o", "name"]).stdout;
            for name in names.split_whitespace() {
                let ran = self.kubectl(&["rollout", "status", name, "-n", namespace, &limit]);
                assert!(ran.ok(), "{name} in {namespace} did not become ready\n{ran}\n{}", self.tell(namespace));
            }
        }
    }

    /// Waits until `check` gives something.
    ///
    /// # Panics
    /// Where it does not within `limit`; the message ends with the last that `check` said.
    pub fn wait<T>(&self, limit: Duration, what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
        let start = Instant::now();
        loop {
            match check() {
                Ok(value) => return value,
                Err(last) if start.elapsed() > limit => panic!("not within {limit:?}: {what}\nlast: {last}"),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    /// Pods, events and the ends of logs of a namespace, for the message of a failure.
    #[must_use]
    pub fn tell(&self, namespace: &str) -> String {
        let mut out = format!("=== namespace {namespace}\n");
        let mut add = |args: &[&str], lines: usize| {
            let ran = self.kubectl(args);
            let text = if ran.ok() { ran.stdout } else { ran.stderr };
            let all: Vec<_> = text.lines().collect();
            let from = all.len().saturating_sub(lines);
            out.push_str(&format!("--- kubectl {}\n{}\n", args.join(" "), all[from..].join("\n")));
        };
        add(&["get", "pods", "-n", namespace, "-o", "wide"], 60);
        add(&["get", "events", "-n", namespace, "--sort-by=.lastTimestamp"], 40);
        let pods = self.kubectl(&["get", "pods", "-n", namespace, "-o", "name"]).stdout;
        for pod in pods.split_whitespace().take(12) {
            add(&["logs", "-n", namespace, pod, "--all-containers", "--prefix", "--tail=15"], 60);
        }
        out
    }
}
