//! `leno logs`: what a pod's sidecar says.

use std::process::ExitCode;

use super::Globals;
use crate::access::{self, Log};

/// Prints the log of a pod's sidecar, or of another of its containers.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// POD[.NAMESPACE], deploy/NAME, sts/NAME or job/NAME.
    pod: String,
    /// Namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Container.
    #[arg(short, long, default_value = leno_install::inject::PROXY_CONTAINER)]
    container: String,
    /// Go on as more is written.
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the last lines.
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let mesh = access::connect(globals)?;
    let pod = access::find_pod(mesh.as_ref(), &args.pod, &args.namespace)?;
    mesh.print_log(&pod, Log { container: &args.container, follow: args.follow, tail: args.tail })?;
    Ok(ExitCode::SUCCESS)
}
