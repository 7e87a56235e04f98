//! `leno viz install`.

use std::process::ExitCode;

use anyhow::bail;
use leno_install::manifests;
use tokio::time::Instant;

use super::choices::Choices;
use super::{How, agreed, apply, print, upgrade, wait};
use crate::cluster::{self, Cluster, Kind};
use crate::cmd::Globals;

/// Installs leno-viz into a mesh, or prints its objects: `leno viz install | kubectl apply -f -`.
#[derive(clap::Args)]
pub(crate) struct VizArgs {
    #[command(flatten)]
    choices: Choices,
    #[command(flatten)]
    how: How,
}

/// Runs it.
pub(crate) fn run(args: &VizArgs, globals: &Globals) -> anyhow::Result<ExitCode> {
    let alone = args.choices.values(None)?;
    if let Some(form) = args.how.printed() {
        print(&manifests::viz(&alone), form)?;
        return Ok(ExitCode::SUCCESS);
    }
    cluster::run(async {
        let cluster = Cluster::connect(&globals.cluster).await?;
        let namespace = Kind::cluster("", "v1", "Namespace");
        if cluster.get(&namespace, None, &alone.namespace).await?.is_none() {
            bail!("there is no namespace {}: run `leno install` first, or give --namespace", alone.namespace);
        }
        // From where the control plane's images came, viz's come too.
        let installed = upgrade::installed(&cluster, &alone.namespace).await?;
        let before = upgrade::merged(&upgrade::chosen(&installed, args.choices.revision.as_deref()));
        let values = args.choices.values(Some(before))?;
        let objects = manifests::viz(&values);
        let question = format!("This installs leno-viz into {} ({}). Go on?", cluster.url(), cluster.source());
        if !args.how.yes && !args.how.dry_run && !agreed(&question)? {
            println!("nothing was changed");
            return Ok(ExitCode::SUCCESS);
        }
        apply::objects(&cluster, manifests::VIZ, objects, &args.how).await?;
        if !args.how.dry_run {
            wait::deployment(&cluster, &values.namespace, manifests::VIZ, Instant::now() + args.how.timeout).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
