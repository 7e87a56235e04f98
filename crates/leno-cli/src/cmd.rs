//! The tree of verbs.

pub(crate) mod local;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A service mesh for Kubernetes, and on this machine alone.
#[derive(Parser)]
#[command(name = "leno", version, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options every verb takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Globals {
    /// State directory of the local mesh [default: $XDG_RUNTIME_DIR/leno, /run/leno for root].
    #[arg(long, global = true, env = "LENO_STATE", value_name = "DIR", help_heading = "Global options")]
    pub(crate) state: Option<PathBuf>,
}

/// What can be done.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// A mesh on this machine: each pod is a network namespace with real processes.
    Local(local::Args),
}

/// Runs what was asked.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { globals, verb } = cli;
    match verb {
        Verb::Local(args) => local::run(args, &globals),
    }
}
