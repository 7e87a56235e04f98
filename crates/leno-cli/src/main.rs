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
    end_quietly_when_nobody_reads();
    let cli = cmd::Cli::parse();
    match cmd::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `leno … | head` closes our output early. Rust ignores SIGPIPE, so that printing panics; for a command that is the end of
/// its work, with the exit code that a shell gives for that signal.
fn end_quietly_when_nobody_reads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to std") && text.contains("Broken pipe") {
            std::process::exit(141);
        }
        report(info);
    }));
}
