//! `leno local`: a mesh on this machine.

use super::Globals;
use std::process::ExitCode;

/// Arguments of `leno local`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs `leno local …`. Synchronous: what needs a runtime makes its own, because the supervisor must enter its
/// namespaces before any thread exists.
pub(crate) fn run(_args: Args, _globals: &Globals) -> anyhow::Result<ExitCode> {
    anyhow::bail!("leno local is not built into this program")
}
