//! `leno-bench quick`: load, client's proxy, mutual TLS over a veth pair, server's proxy, a tiny echo server; Leno and
//! HAProxy in turns, so that a noisy machine is noisy for both. The other commands are what it starts.

mod echo;
mod idle;
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
#[command(about = "What a request costs, beside HAProxy in the same minute.")]
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
    },
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
        /// Whom.
        to: SocketAddr,
        /// How many.
        count: usize,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Quick { rounds, seconds } => quick::run(rounds, seconds),
        Command::Sidecar { authority, listen, to, side } => leno::run(&authority, listen, to, side),
        Command::Echo { listen } => echo::run(listen),
        Command::Idle { to, count } => idle::run(to, count),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
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
