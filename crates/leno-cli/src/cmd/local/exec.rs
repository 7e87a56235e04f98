//! `leno local exec`.

use std::os::fd::AsFd as _;
use std::process::ExitCode;

use leno_local::LocalMesh;
use leno_local::protocol::Exec;

use super::{signals, target};

/// Arguments of `leno local exec`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A pod, `deploy/NAME`, `sts/NAME`, `svc/NAME`.
    target: String,
    /// Namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Container; the pod's first by default.
    #[arg(short, long)]
    container: Option<String>,
    /// Accepted for kubectl's sake: the program has this one's input and terminal anyway.
    #[arg(short = 'i', long, hide = true)]
    stdin: bool,
    /// Accepted for kubectl's sake.
    #[arg(short = 't', long, hide = true)]
    tty: bool,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs a program in a container; its exit code is this one's.
///
/// # Errors
/// There is no such pod or container, or it does not run.
pub(super) fn run(args: &Args, mesh: &LocalMesh) -> anyhow::Result<ExitCode> {
    let status = mesh.status()?;
    let pod = target::pod(&status, &args.namespace, &args.target)?;
    let exec = Exec {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        container: args.container.clone(),
        command: args.command.clone(),
    };
    let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let received = signals::take()?;
    let code = mesh.exec(exec, [input.as_fd(), output.as_fd(), errors.as_fd()], received.into_iter())?;
    Ok(ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)))
}
