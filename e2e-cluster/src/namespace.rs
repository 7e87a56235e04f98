//! Namespaces that scenes own.

use std::time::Duration;

use serde_json::Value;

use crate::Cluster;
use crate::mesh::INSTALL_NAMESPACE;
use crate::run::Ran;

/// How a namespace is meshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meshed {
    /// By Istio's label.
    Istio,
    /// By Linkerd's annotation.
    Linkerd,
    /// Not at all.
    No,
}

/// A namespace of this scene's own; removed when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    cluster: Cluster,
}

impl Namespace {
    /// Makes it anew: one of the same name, left by a run that was killed, is removed first.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[must_use]
    pub fn new(cluster: &Cluster, name: &str, meshed: Meshed) -> Self {
        cluster.must(&["delete", "namespace", name, "--ignore-not-found", "--timeout=120s"]);
        cluster.must(&["create", "namespace", name]);
        let namespace = Self { name: name.into(), cluster: cluster.clone() };
        match meshed {
            Meshed::Istio => drop(cluster.must(&["label", "namespace", name, "istio-injection=enabled"])),
            Meshed::Linkerd => drop(cluster.must(&["annotate", "namespace", name, "linkerd.io/inject=enabled"])),
            Meshed::No => {}
        }
        namespace.account_exists();
        namespace
    }

    // Pods are refused until the controller has made the namespace's account.
    fn account_exists(&self) {
        self.cluster.wait(Duration::from_secs(30), "the namespace's default ServiceAccount", || {
            let ran = self.kubectl(&["get", "serviceaccount", "default"]);
            if ran.ok() { Ok(()) } else { Err(ran.to_string()) }
        });
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `kubectl -n NAMESPACE ARGS…`.
    pub fn kubectl(&self, args: &[&str]) -> Ran {
        let mut all = vec!["-n", &self.name];
        all.extend(args);
        self.cluster.kubectl(&all)
    }

    /// As [`Namespace::kubectl`]; its standard output.
    ///
    /// # Panics
    /// Where it fails.
    pub fn must(&self, args: &[&str]) -> String {
        let ran = self.kubectl(args);
        assert!(ran.ok(), "kubectl -n {} {args:?} failed\n{ran}", self.name);
        ran.stdout
    }

    /// Applies YAML to this namespace.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn apply(&self, yaml: &[&str]) {
        self.cluster.apply(&self.name, &yaml.join("\n---\n"));
    }

    /// Applies YAML and waits until all is rolled out.
    ///
    /// # Panics
    /// Where it is refused, or not ready within two minutes.
    pub fn run(&self, yaml: &[&str]) {
        self.apply(yaml);
        self.ready();
    }

    /// Waits until all is rolled out.
    ///
    /// # Panics
    /// Where it is not within two minutes.
    pub fn ready(&self) {
        self.cluster.rolled_out(&self.name, Duration::from_secs(120));
    }

    /// The pods with this label, as JSON.
    #[must_use]
    pub fn pods(&self, selector: &str) -> Vec<Value> {
        let list = self.cluster.get(&["pods", "-n", &self.name, "-l", selector]);
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Whether every pod with this label has a sidecar, and there is one at least.
    #[must_use]
    pub fn all_meshed(&self, selector: &str) -> bool {
        let mut pods = self.pods(selector);
        // Those of before a rollout may still be on their way out.
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        !pods.is_empty() && pods.iter().all(has_sidecar)
    }

    /// Runs a command in a pod's app, by `POD` or `deploy/NAME`.
    pub fn exec(&self, target: &str, command: &[&str]) -> Ran {
        let mut args = vec!["exec", target, "-c", "app", "--"];
        args.extend(command);
        self.kubectl(&args)
    }

    /// Sends `requests` requests from a pod and gives the client's summary.
    ///
    /// # Panics
    /// Where the client printed no JSON.
    #[must_use]
    pub fn call(&self, from: &str, url: &str, requests: u32) -> Value {
        let number = requests.to_string();
        self.exec_json(from, &["leno-shop", "call", url, "-n", &number, "-c", "8", "--json"])
    }

    /// Runs a command in a pod's app and parses what it prints.
    ///
    /// # Panics
    /// Where it printed no JSON.
    #[must_use]
    pub fn exec_json(&self, from: &str, command: &[&str]) -> Value {
        let ran = self.exec(from, command);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{command:?} printed no JSON ({e})\n{ran}"))
    }

    /// Waits until a URL answers from a pod: the node learns of a new Service some moments after its pods are ready.
    ///
    /// # Panics
    /// Where it does not within half a minute.
    pub fn reaches(&self, from: &str, url: &str) {
        self.cluster.wait(Duration::from_secs(30), &format!("{url} answers {from}"), || {
            let ran = self.exec(from, &["leno-shop", "call", url]);
            if ran.ok() { Ok(()) } else { Err(ran.to_string()) }
        });
    }

    /// How many of `requests` requests from a pod were answered with 200.
    #[must_use]
    pub fn answered(&self, from: &str, url: &str, requests: u32) -> u64 {
        self.call(from, url, requests)["statuses"]["200"].as_u64().unwrap_or(0)
    }
}

fn has_sidecar(pod: &Value) -> bool {
    ["initContainers", "containers"].iter().any(|list| {
        pod["spec"][list].as_array().is_some_and(|all| all.iter().any(|c| c["name"].as_str() == Some("istio-proxy")))
    })
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.cluster.tell(&self.name));
            eprintln!("{}", self.cluster.tell(INSTALL_NAMESPACE));
        }
        let _ = self.kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
