//! `leno uninstall`: everything of Leno's and nothing else.

mod find;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use leno_install::manifests::INJECTION_LABEL;
use leno_viz::model::parse_duration;
use serde_json::json;

use super::Globals;
use super::install::agreed;
use super::install::progress::Step;
use crate::cluster::{self, Cluster, Kind};
use find::Found;

/// Removes Leno from the cluster, after listing what it found.
///
/// Objects of Istio's kinds (VirtualService and so on) stay, and so do the definitions, unless --purge is given.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also the definitions that Leno brought, and with them all objects of those kinds, and the install namespace whatever is in it.
    #[arg(long)]
    purge: bool,
    /// Only this revision.
    #[arg(short = 'r', long, value_name = "NAME")]
    revision: Option<String>,
    /// Without asking.
    #[arg(short = 'y', long = "yes", visible_alias = "skip-confirmation")]
    yes: bool,
    /// List what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
    /// How long the removal of one object may take.
    #[arg(long, default_value = "2m", value_parser = parse_duration, value_name = "TIME")]
    timeout: Duration,
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    cluster::run(async {
        let cluster = Cluster::connect(&globals.cluster).await?;
        if args.revision.is_none()
            && let Some(release) = find::helm_release(&cluster).await?
        {
            bail!(
                "the control plane in namespace {0} is the Helm release {1}: `helm uninstall {1} -n {0}` removes it. Then run this \
                 again for what it made itself (certificates, labels)",
                release.namespace,
                release.name
            );
        }
        let found = find::all(&cluster, args.revision.as_deref(), args.purge).await?;
        if found.is_empty() {
            println!("there is no Leno on this cluster ({})", cluster.source());
            return Ok(ExitCode::SUCCESS);
        }
        println!("Found on {} ({}):", cluster.url(), cluster.source());
        print!("{}", found.list());
        for warning in &found.warnings {
            println!("warning: {warning}");
        }
        if args.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        if !args.yes && !agreed("All of this is removed. Go on?")? {
            println!("nothing was changed");
            return Ok(ExitCode::SUCCESS);
        }
        remove(&cluster, &found, args.timeout).await
    })
}

async fn remove(cluster: &Cluster, found: &Found, limit: Duration) -> anyhow::Result<ExitCode> {
    // In the order of the list: webhooks first, so that nothing asks what is about to go; namespaces last.
    for (title, objects) in found.groups() {
        let step = Step::begin(title);
        for object in objects {
            step.note(&object.name);
            if let Err(error) = cluster.delete(&object.kind, object.namespace.as_deref(), &object.name).await {
                step.failed();
                return Err(error);
            }
        }
        for object in objects {
            let gone = cluster.wait_gone(&object.kind, object.namespace.as_deref(), &object.name, limit).await;
            if let Err(error) = gone {
                step.failed();
                return Err(error);
            }
        }
        step.done(&format!("{} removed", objects.len()));
    }
    if !found.labelled.is_empty() {
        let step = Step::begin(format!("labels {INJECTION_LABEL}"));
        let kind = Kind::cluster("", "v1", "Namespace");
        let patch = json!({"metadata": {"labels": {INJECTION_LABEL: null}}});
        for name in &found.labelled {
            // A namespace that goes itself needs no change.
            if cluster.get(&kind, None, name).await?.is_some_and(|n| n["metadata"]["deletionTimestamp"].is_null()) {
                cluster.merge(&kind, None, name, &patch).await?;
            }
        }
        step.done(&format!("{} removed", found.labelled.len()));
    }
    println!("Leno is gone.");
    Ok(ExitCode::SUCCESS)
}
