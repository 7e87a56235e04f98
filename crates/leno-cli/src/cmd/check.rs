//! `leno check`: is the cluster, and the mesh in it, as it should be?
//!
//! [`gather`] asks the cluster, [`state`] is what it said, one file for each family judges that and nothing else, and
//! [`mod@print`] says it.

mod certificates;
mod cni;
mod control;
mod data_plane;
mod gather;
mod kubernetes;
mod outcome;
mod print;
mod state;
mod webhooks;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use self::outcome::{Category, Status};
use self::state::ClusterState;
use super::Globals;

/// Checks the cluster and the mesh in it: √ it is well, ‼ look at it, × it is wrong, each with what to do.
///
/// Exit code 1 when something is wrong.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Before an installation: can Leno be installed here?
    #[arg(long)]
    pre: bool,
    /// Of the sidecars and pods only.
    #[arg(long, conflicts_with = "pre")]
    proxy: bool,
    /// Of pods, only those of this namespace.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Namespace of the control plane.
    #[arg(long, default_value = "leno-system", value_name = "NAME")]
    install_namespace: String,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    /// How long to wait for things to become well (such as 5m), asking again.
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "DURATION")]
    wait: Duration,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Everything.
    #[default]
    Table,
    /// What is not well.
    Short,
    /// JSON with linkerd's fields.
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
    leno_config::quantity::duration(text).map_err(|why| why.to_string())
}

/// Between two looks under `--wait`.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let categories = crate::cluster::run(async {
        let end = Instant::now() + args.wait;
        loop {
            let state = gather::gather(&globals.cluster, args).await;
            let judged = state.as_ref().map(|state| judge(state, args)).ok();
            let is_well = judged.as_ref().is_some_and(|all| !all.iter().any(|c| c.worst() == Status::Failure));
            if is_well || Instant::now() + PAUSE > end {
                return judged.map_or_else(|| Err(state.err().unwrap_or_else(|| anyhow::anyhow!("no answer"))), Ok);
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    let categories = categories.unwrap_or_else(|error| vec![kubernetes::unreachable(&error)]);
    print::print(&categories, args.output)?;
    let failed = categories.iter().any(|c| c.worst() == Status::Failure);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Everything that is to be said of a cluster.
pub(crate) fn judge(state: &ClusterState, args: &Args) -> Vec<Category> {
    let mut all = Vec::new();
    if !args.proxy {
        all.extend([
            kubernetes::version(state),
            kubernetes::clocks(state),
            cni::check(state),
            kubernetes::others(state),
        ]);
    }
    if args.pre {
        all.extend([kubernetes::permissions(state), kubernetes::definitions(state, true)]);
        return all;
    }
    if !args.proxy {
        all.extend([
            kubernetes::definitions(state, false),
            control::check(state),
            certificates::check(state),
            webhooks::check(state),
        ]);
    }
    all.extend([data_plane::injection(state), data_plane::interception(state), data_plane::proxies(state)]);
    all.retain(|category| !category.checks.is_empty());
    all
}

#[cfg(test)]
mod tests;
