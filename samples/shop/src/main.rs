//! The sample shop's services and the project's test servers and clients, in one program.
//!
//! Services of the shop are in [`shop`]; `echo`, `grpc-echo`, `tcp-echo` and `tcp-greet` are servers for tests; `call`,
//! `load`, `grpc-call` and `tcp-call` are clients. Each is a subcommand, so that one file is all that a pod needs.

mod client;
mod echo;
mod grpc;
mod histogram;
mod load;
mod mode;
mod plan;
mod proto;
mod report;
mod server;
mod shell;
mod shop;
mod tcp;
mod units;
mod watch;

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
    Web(shop::web::Args),
    Catalog(shop::catalog::Args),
    Cart(shop::cart::Args),
    Pay(shop::pay::Args),
    Stock(shop::stock::Args),
    Reviews(shop::reviews::Args),
    Seed(shop::seed::Args),
    Wait(shop::wait::Args),
    Echo(echo::Args),
    GrpcEcho(grpc::EchoArgs),
    TcpEcho(tcp::EchoArgs),
    TcpGreet(tcp::GreetArgs),
    Call(load::CallArgs),
    Load(load::LoadArgs),
    Watch(watch::Args),
    GrpcCall(grpc::CallArgs),
    TcpCall(tcp::CallArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One thread: a pod of the sample costs little, and a mesh of twenty fits two cores.
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
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Verb::Web(args) => shop::web::run(args).await.map(done),
        Verb::Catalog(args) => shop::catalog::run(args).await.map(done),
        Verb::Cart(args) => shop::cart::run(args).await.map(done),
        Verb::Pay(args) => shop::pay::run(args).await.map(done),
        Verb::Stock(args) => shop::stock::run(args).await.map(done),
        Verb::Reviews(args) => shop::reviews::run(args).await.map(done),
        Verb::Seed(args) => shop::seed::run(args).await.map(done),
        Verb::Wait(args) => shop::wait::run(args).await.map(done),
        Verb::Echo(args) => echo::run(args).await.map(done),
        Verb::GrpcEcho(args) => grpc::echo(args).await.map(done),
        Verb::TcpEcho(args) => tcp::echo(args).await.map(done),
        Verb::TcpGreet(args) => tcp::greet(args).await.map(done),
        Verb::Call(args) => load::call(args).await,
        Verb::Load(args) => load::load(args).await,
        Verb::Watch(args) => watch::run(args).await.map(done),
        Verb::GrpcCall(args) => grpc::call(args).await,
        Verb::TcpCall(args) => tcp::call(args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
