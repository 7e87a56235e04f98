//! Bringing objects to the cluster, in the order in which they need each other.

use std::process::ExitCode;

use anyhow::bail;
use leno_install::values::{Layer, Switch};
use leno_install::{Values, crds, manifests};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::progress::Step;
use super::{How, adopt, summary, wait};
use crate::cluster::apply::{Applied, ApplyOptions};
use crate::cluster::kind::title;
use crate::cluster::{Cluster, Kind};

/// What is to be done.
pub(super) struct Plan {
    /// The custom resource definitions.
    pub(super) definitions: bool,
    /// All else.
    pub(super) objects: bool,
    /// What was chosen, to be remembered.
    pub(super) choices: Vec<Layer>,
}

/// Does it and waits.
///
/// # Errors
/// When an object is refused or something does not become ready, with why.
pub(super) async fn all(cluster: &Cluster, mut values: Values, plan: &Plan, how: &How) -> anyhow::Result<ExitCode> {
    fit(cluster, &mut values)?;
    if plan.objects {
        alone(cluster, &values).await?;
    }
    if plan.definitions {
        definitions(cluster, how).await?;
    }
    if !plan.objects {
        return Ok(ExitCode::SUCCESS);
    }
    let end = Instant::now() + how.timeout;
    // The webhooks come last: nothing may ask a control plane that is not there yet.
    let (webhooks, rest): (Vec<Value>, Vec<Value>) = manifests::install(&values)
        .into_iter()
        .partition(|o| o["kind"].as_str().is_some_and(|k| k.ends_with("WebhookConfiguration")));
    objects(cluster, &values.namespace, with_choices(rest, plan), how).await?;
    if how.dry_run {
        return objects(cluster, "webhooks", webhooks, how).await.map(|()| ExitCode::SUCCESS);
    }
    let control = manifests::revisioned(manifests::CONTROL, &values.revision);
    wait::deployment(cluster, &values.namespace, &control, end).await?;
    objects(cluster, "webhooks", webhooks, how).await?;
    wait::webhooks(cluster, &values, end).await?;
    if values.viz.enabled {
        wait::deployment(cluster, &values.namespace, manifests::VIZ, end).await?;
    }
    println!("{} is ready.", summary(&values));
    next(&values);
    Ok(ExitCode::SUCCESS)
}

fn next(values: &Values) {
    if values.revision == "default" {
        println!("Mesh a namespace: kubectl label namespace NAME istio-injection=enabled");
        println!("(or: kubectl annotate namespace NAME linkerd.io/inject=enabled), then restart its workloads:");
        println!("kubectl -n NAME rollout restart deployment");
    } else {
        let rev = &values.revision;
        println!(
            "Move a namespace to it: kubectl label namespace NAME istio-injection- istio.io/rev={rev} --overwrite,"
        );
        println!("then restart its workloads: kubectl -n NAME rollout restart deployment");
    }
}

/// What depends on the cluster.
fn fit(cluster: &Cluster, values: &mut Values) -> anyhow::Result<()> {
    let version = cluster.version();
    if (version.major, version.minor) < OLDEST {
        bail!(
            "this cluster is Kubernetes {}; Leno needs {}.{} or newer (webhooks with match conditions)",
            version.text,
            OLDEST.0,
            OLDEST.1
        );
    }
    if values.proxy.native_sidecar == Switch::Auto && (version.major, version.minor) < NATIVE_SIDECARS {
        eprintln!(
            "warning: Kubernetes {} has no native sidecars: the proxy runs as an ordinary container, first in each pod",
            version.text
        );
        values.proxy.native_sidecar = Switch::Off;
    }
    Ok(())
}

/// Two control planes of one revision would undo each other's work.
async fn alone(cluster: &Cluster, values: &Values) -> anyhow::Result<()> {
    let kind = Kind::cluster("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration");
    let name = manifests::revisioned("leno-injector", &values.revision);
    let Some(there) = cluster.get(&kind, None, &name).await? else { return Ok(()) };
    let other = there["webhooks"][0]["clientConfig"]["service"]["namespace"].as_str().unwrap_or_default();
    if !other.is_empty() && other != values.namespace {
        bail!(
            "revision `{}` of Leno is installed in namespace {other} already: give --namespace {other} to change it, or --revision NAME to add another",
            values.revision
        );
    }
    Ok(())
}

/// The custom resource definitions; those of others are left as they are.
async fn definitions(cluster: &Cluster, how: &How) -> anyhow::Result<()> {
    let step = Step::begin("definitions");
    let kind = Kind::cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let there = cluster.list(&kind, None, None).await?;
    let (mut counts, mut kept, mut old) = (Counts::default(), Vec::new(), Vec::new());
    let all = crds::all();
    for wanted in &all {
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let found = there.iter().find(|d| d["metadata"]["name"] == name);
        if let Some(found) = found.filter(|d| !adopt::is_ours(d) && !how.force) {
            kept.push((name.to_owned(), adopt::whose(found)));
            let missing = adopt::missing_versions(wanted, found);
            if !missing.is_empty() {
                old.push(format!("{name} does not serve {}", missing.join(", ")));
            }
            continue;
        }
        step.note(name);
        let options =
            ApplyOptions { force_conflicts: how.force || how.force_conflicts, dry_run: how.dry_run, from_pipe: true };
        match cluster.apply(wanted, options).await {
            Ok(applied) => counts.add(applied),
            Err(error) => {
                step.failed();
                return Err(error);
            }
        }
    }
    if !how.dry_run {
        wait::established(cluster, &all).await?;
    }
    step.done(&counts.text(how.dry_run));
    for (name, whose) in kept {
        println!("  {name} is {whose} and is used as it is (--force overwrites it)");
    }
    for text in old {
        println!("  warning: {text}: objects of that version cannot be made on this cluster");
    }
    Ok(())
}

pub(super) async fn objects(cluster: &Cluster, what: &str, objects: Vec<Value>, how: &How) -> anyhow::Result<()> {
    let step = Step::begin(format!("objects of {what}"));
    let mut counts = Counts::default();
    let options = ApplyOptions { force_conflicts: how.force_conflicts, dry_run: how.dry_run, from_pipe: true };
    for object in &objects {
        step.note(&title(object));
        match cluster.apply(object, options).await {
            Ok(applied) => counts.add(applied),
            // In a dry run the namespace is not really there.
            Err(error) if how.dry_run && format!("{error:#}").contains("not found") => counts.add(Applied::Created),
            Err(error) => {
                step.failed();
                return Err(error);
            }
        }
    }
    step.done(&counts.text(how.dry_run));
    Ok(())
}

/// What was chosen stands on the `ConfigMap`, for `leno upgrade`.
fn with_choices(mut objects: Vec<Value>, plan: &Plan) -> Vec<Value> {
    let chosen: Vec<Value> = plan.choices.iter().map(|l| json!({"origin": l.origin, "tree": l.tree})).collect();
    for object in &mut objects {
        if object["kind"] == "ConfigMap" {
            object["metadata"]["annotations"][CHOICES] = Value::String(Value::Array(chosen.clone()).to_string());
        }
    }
    objects
}

#[derive(Default)]
struct Counts {
    created: usize,
    changed: usize,
    unchanged: usize,
}

impl Counts {
    fn add(&mut self, applied: Applied) {
        match applied {
            Applied::Created => self.created += 1,
            Applied::Changed => self.changed += 1,
            Applied::Unchanged => self.unchanged += 1,
        }
    }

    fn text(&self, dry_run: bool) -> String {
        let would = if dry_run { "would be " } else { "" };
        let parts = [(self.created, "created"), (self.changed, "changed"), (self.unchanged, "unchanged")];
        let text: Vec<String> =
            parts.iter().filter(|p| p.0 > 0).map(|(n, word)| format!("{n} {would}{word}")).collect();
        text.join(", ")
    }
}

/// Annotation on the `ConfigMap` `leno` with what was chosen, for the next upgrade.
pub(super) const CHOICES: &str = "leno.dev/choices";
/// Match conditions of webhooks are on by default since.
const OLDEST: (u32, u32) = (1, 28);
/// Native sidecars are on by default since.
const NATIVE_SIDECARS: (u32, u32) = (1, 29);
