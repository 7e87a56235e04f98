//! The sample shop's services and the project's test servers and clients, in one program.
//!
//! Services of the shop are in [`shop`]; `echo`, `grpc-echo`, `tcp-echo` and `tcp-greet` are servers for tests; `call`,
//! `load`, `grpc-call` and `tcp-call` are clients. Each is a subcommand, so that one file is all that a pod needs.

mod client;
mod echo;
mod histogram;
mod load;
mod mode;
mod plan;
mod report;
mod server;
mod shell;
mod units;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A sample shop of small services, and tools to test a mesh with.
#[derive(Parser)]
#[command(name = "leno-shop", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Echo(echo::Args),
    Call(load::CallArgs),
    Load(load::LoadArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(cli.verb))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match verb {
        Verb::Echo(args) => done(echo::run(args).await),
        Verb::Call(args) => load::call(args).await,
        Verb::Load(args) => load::load(args).await,
    }
}
