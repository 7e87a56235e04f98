//! Waiting until what was applied works.

use std::time::Duration;

use anyhow::{anyhow, bail};
use leno_install::{Values, manifests};
use serde_json::Value;
use tokio::time::Instant;

use super::explain;
use super::progress::Step;
use crate::cluster::{Cluster, Kind};

/// Until all replicas of the newest form are ready.
///
/// # Errors
/// When they are not in time, or will not be: with what the pods say.
pub(super) async fn deployment(cluster: &Cluster, namespace: &str, name: &str, end: Instant) -> anyhow::Result<()> {
    let step = Step::begin(name);
    let kind = Kind::namespaced("apps", "v1", "Deployment");
    let mut hopeless_since: Option<Instant> = None;
    loop {
        let Some(object) = cluster.get(&kind, Some(namespace), name).await? else {
            step.failed();
            bail!("Deployment {namespace}/{name} is gone while it was waited for");
        };
        let state = State::of(&object);
        if state.is_ready() {
            step.done(&format!("{} of {} ready", state.ready, state.wanted));
            return Ok(());
        }
        let findings = explain::deployment(cluster, &object).await?;
        // Kubernetes tries on for ever; what is wrong for a while is said at once.
        let hopeless = findings.iter().any(|f| f.hopeless);
        if !hopeless {
            hopeless_since = None;
        }
        let since = *hopeless_since.get_or_insert_with(Instant::now);
        let given_up = hopeless && since.elapsed() >= PATIENCE;
        if given_up || Instant::now() >= end {
            step.failed();
            let why = if given_up { "does not become ready".to_owned() } else { "is not ready in time".to_owned() };
            let details = explain::text(cluster, namespace, &findings).await;
            return Err(anyhow!("{name} {why} ({} of {} replicas):\n{details}", state.ready, state.wanted));
        }
        let note =
            findings.first().map_or_else(|| format!("{} of {} ready", state.ready, state.wanted), |f| f.short.clone());
        step.note(&note);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

struct State {
    wanted: u64,
    updated: u64,
    ready: u64,
    total: u64,
    observed: bool,
}

impl State {
    fn of(object: &Value) -> Self {
        let number = |key: &str| object["status"][key].as_u64().unwrap_or(0);
        Self {
            wanted: object["spec"]["replicas"].as_u64().unwrap_or(1),
            updated: number("updatedReplicas"),
            ready: number("readyReplicas"),
            total: number("replicas"),
            observed: number("observedGeneration") >= object["metadata"]["generation"].as_u64().unwrap_or(0),
        }
    }

    fn is_ready(&self) -> bool {
        self.observed && self.updated >= self.wanted && self.ready >= self.wanted && self.total <= self.updated
    }
}

/// Until the API server knows whom it may trust behind the webhooks.
///
/// # Errors
/// When the control plane does not write it in time.
pub(super) async fn webhooks(cluster: &Cluster, values: &Values, end: Instant) -> anyhow::Result<()> {
    let step = Step::begin("webhooks");
    let api = "admissionregistration.k8s.io";
    let both = [
        (Kind::cluster(api, "v1", "MutatingWebhookConfiguration"), "leno-injector"),
        (Kind::cluster(api, "v1", "ValidatingWebhookConfiguration"), "leno-validator"),
    ];
    loop {
        let mut without = Vec::new();
        for (kind, name) in &both {
            let name = manifests::revisioned(name, &values.revision);
            let object = cluster.get(kind, None, &name).await?.unwrap_or_default();
            let hooks = object["webhooks"].as_array().cloned().unwrap_or_default();
            let trusted = |hook: &Value| hook["clientConfig"]["caBundle"].as_str().is_some_and(|b| !b.is_empty());
            if hooks.is_empty() || !hooks.iter().all(trusted) {
                without.push(format!("{kind} {name}"));
            }
        }
        if without.is_empty() {
            step.done("trusted by the API server");
            return Ok(());
        }
        if Instant::now() >= end {
            step.failed();
            let control = manifests::revisioned(manifests::CONTROL, &values.revision);
            bail!(
                "the control plane did not write its certificate authority into {}: pods of meshed namespaces cannot start; \
                 its log may say why: kubectl -n {} logs deployment/{control}",
                without.join(" and "),
                values.namespace
            );
        }
        step.note("waiting for the certificate authority");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Until the definitions can be used.
///
/// # Errors
/// When the API server does not take them into use within half a minute.
pub(super) async fn established(cluster: &Cluster, definitions: &[Value]) -> anyhow::Result<()> {
    let kind = Kind::cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let there = cluster.list(&kind, None, None).await?;
        let usable = |name: &Value| {
            let found = there.iter().find(|d| d["metadata"]["name"] == *name);
            let conditions = found.and_then(|d| d["status"]["conditions"].as_array());
            conditions.is_some_and(|c| c.iter().any(|c| c["type"] == "Established" && c["status"] == "True"))
        };
        let waiting: Vec<&str> = definitions
            .iter()
            .filter(|d| !usable(&d["metadata"]["name"]))
            .filter_map(|d| d["metadata"]["name"].as_str())
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            bail!("the API server does not take these definitions into use: {}", waiting.join(", "));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How long a fault that Kubernetes may mend by itself (a pull that fails once) is watched.
const PATIENCE: Duration = Duration::from_secs(15);
