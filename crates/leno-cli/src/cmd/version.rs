//! `leno version`.

use std::process::ExitCode;

use super::Globals;
use crate::access;

/// Prints the versions of this program, and of the control plane and sidecars if a mesh runs.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only of this program.
    #[arg(long)]
    client: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    println!("leno: {}", env!("CARGO_PKG_VERSION"));
    if args.client {
        return Ok(ExitCode::SUCCESS);
    }
    // No mesh is no failure: the question was about this program first.
    let Ok(mesh) = access::connect(globals) else {
        println!("mesh: none runs here");
        return Ok(ExitCode::SUCCESS);
    };
    let proxies = super::proxy_status::proxies(mesh.as_ref())?;
    let mut versions: Vec<&str> = proxies.iter().map(|p| p.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    for version in versions {
        println!("sidecars: {version} ({} pods)", proxies.iter().filter(|p| p.version == version).count());
    }
    Ok(ExitCode::SUCCESS)
}
