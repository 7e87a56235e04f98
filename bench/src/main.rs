//! What a request costs: load, client's proxy, mutual TLS, server's proxy, a tiny echo server. `quick` has Leno and HAProxy
//! in turns, so that a noisy machine is noisy for both; `full` has the released programs in a mesh, and all peers.
//! `control`: the control plane under changes. The other commands are what they start.

mod control;
mod echo;
mod full;
mod idle;
mod instructions;
mod leno;
mod measure;
mod net;
mod peer;
mod quick;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    about = "What a request costs, beside HAProxy in the same minute, and what a change costs the control plane."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The quick benchmark; as root.
    Quick {
        /// Rounds; each runs every load against every pair.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Seconds of one load.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// Only the loads whose names contain this, such as `h2c`.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Instructions of a request in each sidecar, by valgrind.
    Instructions {
        /// Requests counted, of each kind.
        #[arg(long, default_value_t = 3000)]
        requests: u64,
    },
    /// The whole benchmark, with the released programs, beside nginx, HAProxy and Envoy; as root.
    Full(full::Options),
    /// Every load once, through sidecars that count what they run (`make pgo`); as root.
    Train(full::Tools),
    /// New connections with mutual TLS, one after the other.
    Handshakes(full::handshakes::Options),
    /// Starts a command and says after how many milliseconds it takes connections.
    Started {
        /// The port that it is to listen on.
        port: u16,
        /// The command.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// What a change costs the control plane, and when it has reached all proxies.
    Control(control::Options),
    /// A sidecar with a mesh of literal objects, as a process of its own.
    Sidecar {
        /// Folder with the authority.
        #[arg(long)]
        authority: PathBuf,
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
        /// The server's sidecar (for the client's), or the application (for the server's).
        #[arg(long)]
        to: SocketAddr,
        /// Whose sidecar.
        #[arg(long)]
        side: leno::Side,
    },
    /// Answers HTTP/1.1 and h2c with 100 bytes, `/bytes/N` with N.
    Echo {
        /// Where it listens.
        listen: SocketAddr,
    },
    /// Opens connections, asks once on each, and keeps them until its input ends.
    Idle {
        /// Whom, `HOST:PORT`; port 80 where none is named.
        to: String,
        /// How many.
        count: usize,
    },
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let outcome = match Arguments::parse().command {
        Command::Control(options) => control::run(options),
        Command::Quick { rounds, seconds, only } => quick::run(rounds, seconds, &only).map(done),
        Command::Instructions { requests } => instructions::run(requests).map(done),
        Command::Full(options) => full::run(&options).map(done),
        Command::Train(tools) => full::train::run(&tools).map(done),
        Command::Handshakes(options) => full::handshakes::run(&options).map(done),
        Command::Started { port, command } => full::start::run(port, &command).map(done),
        Command::Sidecar { authority, listen, to, side } => leno::run(&authority, listen, to, side).map(done),
        Command::Echo { listen } => echo::run(listen).map(done),
        Command::Idle { to, count } => idle::run(&to, count).map(done),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("leno-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The runtime of every part: one thread, as a sidecar has.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
