//! The `leno` command: what people run.
//!
//! [`cmd`] is the tree of verbs, one file each; [`access`] is how they reach a running mesh, [`cluster`] a Kubernetes cluster; [`table`] prints rows.
//! Exit codes: 0 done, 1 it failed or what was asked about is not well, 2 the command line was wrong.

mod access;
mod cluster;
mod cmd;
mod table;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cmd::Cli::parse();
    match cmd::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
