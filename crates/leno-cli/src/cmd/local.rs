//! `leno local`: a mesh on this machine.

mod apply;
mod exec;
mod forward;
mod get;
pub(crate) mod logs;
pub(crate) mod read;
pub(super) mod signals;
mod status;
mod target;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use leno_local::{LocalMesh, StateDir};

use super::{Globals, Output};

/// Arguments of `leno local`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Starts a mesh and everything in these files, and waits until all is ready.
    Up(up::Args),
    /// Creates or changes objects of the running mesh.
    Apply(apply::Args),
    /// Removes objects from the running mesh.
    Delete(apply::DeleteArgs),
    /// How everything is.
    Status {
        /// Form of the output.
        #[arg(short, long, default_value = "table")]
        output: Output,
        /// Only this namespace.
        #[arg(short, long)]
        namespace: Option<String>,
    },
    /// Output of a container, or of one of the mesh's own programs (`system/leno-control`).
    Logs(logs::Args),
    /// Runs a program in a container.
    Exec(exec::Args),
    /// Replaces the pods of a workload one after the other, or one of the mesh's own programs.
    Restart {
        /// `deploy/NAME`, `sts/NAME` or `system/NAME`.
        target: String,
        /// Namespace.
        #[arg(short, long, default_value = "default")]
        namespace: String,
        /// How long it may take.
        #[arg(long, default_value = "120s", value_parser = up::duration)]
        timeout: std::time::Duration,
    },
    /// Ends one of the mesh's own programs (`system/leno-control`) until `start`.
    Stop {
        /// `system/NAME`.
        target: String,
    },
    /// Starts a program that was stopped.
    Start {
        /// `system/NAME`.
        target: String,
    },
    /// Listens on this machine and leads connections to a pod or service.
    PortForward(forward::Args),
    /// Objects of the mesh, `get pods`, `get svc web -o yaml`.
    Get(get::Args),
    /// Ends the mesh and removes all of it.
    Down,
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        serve: bool,
        dir: PathBuf,
    },
    #[command(hide = true)]
    Enter { file: PathBuf },
}

/// Runs `leno local …`. Synchronous: what needs a runtime makes its own, because the supervisor must enter its
/// namespaces before any thread exists.
pub(crate) fn run(args: Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let state = || StateDir::resolve(globals.state.as_deref());
    let mesh = || LocalMesh::connect(&state()?);
    match args.verb {
        Verb::Supervise { serve: false, dir } => {
            Ok(leno_local::supervise::first_process(&StateDir::resolve(Some(dir.as_path()))?))
        }
        Verb::Supervise { serve: true, dir } => {
            leno_kit::log::init("info", leno_kit::log::Format::Text)?;
            leno_local::supervise::serve(&StateDir::resolve(Some(dir.as_path()))?)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Enter { file } => Ok(leno_local::enter::run(&file)),
        Verb::Up(args) => up::run(&args, &state()?),
        Verb::Apply(args) => apply::run(&args, &mesh()?),
        Verb::Delete(args) => apply::delete(&args, &mesh()?),
        Verb::Status { output, namespace } => status::run(&mesh()?, output, namespace.as_deref()),
        Verb::Logs(args) => logs::run(&args, &mesh()?),
        Verb::Exec(args) => exec::run(&args, &mesh()?),
        Verb::Restart { target, namespace, timeout } => restart(&mesh()?, &target, &namespace, timeout),
        Verb::Stop { target } => system(&mesh()?, &target, "SystemStop"),
        Verb::Start { target } => system(&mesh()?, &target, "SystemStart"),
        Verb::PortForward(args) => forward::run(&args, &mesh()?),
        Verb::Get(args) => get::run(&args, &mesh()?),
        Verb::Down => {
            let state = state()?;
            if leno_local::launch::down(&state)? {
                println!("The local mesh is down; nothing of it is left.");
            } else {
                println!("No local mesh runs with its state in {}.", state.path().display());
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn restart(mesh: &LocalMesh, target: &str, namespace: &str, timeout: std::time::Duration) -> anyhow::Result<ExitCode> {
    if target.starts_with("system/") {
        return system(mesh, target, "System");
    }
    let (kind, name) = target::workload(target)?;
    let begun = std::time::Instant::now();
    let mesh_state = mesh.clone();
    mesh_state
        .restart(kind, namespace, name, |unready| {
            anyhow::ensure!(begun.elapsed() < timeout, "not done within {timeout:?}:\n{}", up::list(unready));
            anyhow::ensure!(!unready.iter().any(|u| u.hopeless), "it cannot be replaced:\n{}", up::list(unready));
            Ok(())
        })
        .with_context(|| format!("{target} in namespace {namespace}"))?;
    println!("{target} restarted in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

fn system(mesh: &LocalMesh, target: &str, verb: &str) -> anyhow::Result<ExitCode> {
    let name = target.strip_prefix("system/").unwrap_or(target);
    mesh.restart(verb, "", name, |_| Ok(()))?;
    println!("system/{name} {}", if verb == "SystemStop" { "stopped" } else { "told to start" });
    Ok(ExitCode::SUCCESS)
}
