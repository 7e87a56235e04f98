//! The whole benchmark: the released programs in a mesh of `leno local`, with all that is on by default, beside nginx,
//! HAProxy and Envoy in pods of the same network. All run for the whole time, every load goes to each in turn, and that
//! several times over: what disturbs the machine disturbs all of them.

mod goals;
pub(crate) mod handshakes;
mod load;
mod mesh;
mod pair;
mod report;
pub(crate) mod start;
pub(crate) mod train;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use load::LOADS;
use mesh::Mesh;
use report::Report;

/// What any use of the loads needs.
#[derive(Debug, clap::Args)]
pub(crate) struct Tools {
    /// Seconds of one of the loads that goals are about; the others take 3 at most.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Folder of the released programs.
    #[arg(long, default_value = "target/release")]
    programs: PathBuf,
    /// The program of fortio.
    #[arg(long, env = "LENO_FORTIO")]
    fortio: PathBuf,
}

/// What is measured, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    tools: Tools,
    /// Rounds; each runs every load against every pair.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only loads whose name holds this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Only these pairs, by the beginnings of their names, with commas between; all where none is named.
    #[arg(long, value_delimiter = ',')]
    pairs: Vec<String>,
    /// The program of Envoy.
    #[arg(long, env = "LENO_ENVOY")]
    envoy: PathBuf,
    /// Where all figures go, as JSON.
    #[arg(long, default_value = "target/bench.json")]
    out: PathBuf,
}

/// Measures, prints, and fails where a goal is missed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mesh = Mesh::up(&options.tools.programs, "")?;
    let mut pairs = pair::start_all(&mesh, options)?;
    if !options.pairs.is_empty() {
        pairs.retain(|p| options.pairs.iter().any(|wanted| p.name.starts_with(wanted)));
        anyhow::ensure!(!pairs.is_empty(), "--pairs: no pair's name begins like that");
    }
    let mut report = Report::default();
    report.program(&options.tools.programs.join("leno-proxy"))?;
    for pair in &pairs {
        pair.wait_until_it_answers()?;
    }
    std::thread::sleep(REST);
    for pair in &pairs {
        report.rest(pair)?;
    }
    let loads: Vec<_> = LOADS.iter().filter(|l| is_wanted(l.name, &options.only)).collect();
    for round in 1..=options.rounds {
        for load in &loads {
            for pair in pairs.iter().filter(|p| load.fits(p)) {
                eprintln!("round {round} of {}: {}, {}", options.rounds, load.name, pair.name);
                match load.run(pair, &options.tools) {
                    Ok(seen) => report.add(pair.name, load.name, seen),
                    // The others are measured all the same; a goal that needs the figure is missed.
                    Err(error) => report.fail(pair.name, load.name, &format!("{error:#}")),
                }
            }
        }
    }
    for load in loads.iter().filter(|l| l.counts_calls) {
        for pair in pairs.iter().filter(|p| load.fits(p)) {
            match load.calls(pair, &options.tools) {
                Ok(calls) => report.calls(pair.name, load.name, calls),
                Err(error) => report.fail(pair.name, load.name, &format!("system calls: {error:#}")),
            }
        }
    }
    for pair in pairs.iter().filter(|p| p.tls.is_some()) {
        match handshakes::measure(pair, &mesh.pod("peer-client")?) {
            Ok(seen) => report.handshakes(pair.name, seen),
            Err(error) => report.fail(pair.name, "handshakes", &format!("{error:#}")),
        }
    }
    std::thread::sleep(REST);
    for pair in &pairs {
        report.after(pair)?;
    }
    for pair in pairs.iter().filter(|p| p.is_l7()) {
        match load::idle(pair) {
            Ok(held) => report.held(pair.name, held),
            Err(error) => report.fail(pair.name, "connections at rest", &format!("{error:#}")),
        }
    }
    if let Err(error) = start::measure(&mesh, options, &mut report) {
        report.fail(pair::LENO, "start to ready", &format!("{error:#}"));
    }
    report.print();
    let goals = goals::judge(&report);
    std::fs::write(&options.out, report.json(&goals)).with_context(|| options.out.display().to_string())?;
    goals::print(&goals)
}

fn is_wanted(load: &str, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|part| load.contains(part))
}

/// After the last request a proxy is at rest, whatever it does then to give back what it does not need.
const REST: Duration = Duration::from_secs(12);
