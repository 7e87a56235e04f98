//! The quick benchmark.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use leno_identity::Authority;

use crate::measure::{self, Cpu};
use crate::net::{Pods, Running, SERVER, start};
use crate::peer::{Place, haproxy};

/// Runs all, prints a table.
pub(crate) fn run(rounds: usize, seconds: u64, only: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    Authority::generate("cluster.local")?.write(folder.path())?;
    let pods = Pods::new()?;
    let me = std::env::current_exe()?.display().to_string();
    let _echo = start(pods.server(&me).args(["echo", &format!("127.0.0.1:{APP}")]))?;
    let place = Place { folder: folder.path(), server: SERVER, app: APP };
    let pairs = [
        Pair {
            name: "haproxy",
            dial: haproxy::PORTS.map(|p| p.0),
            proxies: haproxy::start_pair(&place, &|p| pods.client(p), &|p| pods.server(p))?,
        },
        Pair { name: "leno", dial: [OUTBOUND; 2], proxies: leno(&pods, folder.path(), &me)? },
    ];
    let mut results: BTreeMap<(&str, &str), Vec<Row>> = BTreeMap::new();
    for pair in &pairs {
        pair.warm(&pods)?;
    }
    anyhow::ensure!(
        LOADS.iter().any(|load| load.contains(only)),
        "no load is named like `{only}`: {}",
        LOADS.join("; ")
    );
    for _ in 0..rounds {
        for load in LOADS.into_iter().filter(|load| load.contains(only)) {
            for pair in &pairs {
                results.entry((load, pair.name)).or_default().push(pair.measure(&pods, load, seconds)?);
            }
        }
    }
    print(&results);
    for pair in &pairs {
        pair.rest(&pods, &me)?;
    }
    Ok(())
}

fn leno(pods: &Pods, folder: &Path, me: &str) -> anyhow::Result<[Running; 2]> {
    let sidecar = |mut command: Command, side: &str, listen: String, to: String| {
        command.args(["sidecar", "--side", side, "--listen", &listen, "--to", &to, "--authority"]).arg(folder);
        start(&mut command)
    };
    let (middle, app) = (format!("{SERVER}:{INBOUND}"), format!("127.0.0.1:{APP}"));
    Ok([
        sidecar(pods.client(me), "client", format!("127.0.0.1:{OUTBOUND}"), middle.clone())?,
        sidecar(pods.server(me), "server", middle, app)?,
    ])
}

/// Two proxies with mutual TLS between them.
struct Pair {
    name: &'static str,
    /// Ports for HTTP/1.1 and for h2c.
    dial: [u16; 2],
    proxies: [Running; 2],
}

/// One load against one pair.
#[derive(Clone, Copy)]
struct Row {
    rate: f64,
    /// Microseconds per request, client's proxy and server's.
    cpu: [Cpu; 2],
}

impl Pair {
    /// Waits until it answers.
    fn warm(&self, pods: &Pods) -> anyhow::Result<()> {
        let url = format!("http://127.0.0.1:{}/", self.dial[0]);
        measure::until_answered(|| pods.client("curl"), &[], &url, Duration::from_secs(10)).context(self.name)
    }

    fn measure(&self, pods: &Pods, load: &str, seconds: u64) -> anyhow::Result<Row> {
        let pids = [self.proxies[0].0.id(), self.proxies[1].0.id()];
        let before = [measure::cpu(pids[0])?, measure::cpu(pids[1])?];
        let time = seconds.to_string();
        let seen = match load {
            H1 => measure::load(pods.client("wrk").args([
                "-t1",
                "-c32",
                &format!("-d{time}"),
                &format!("http://127.0.0.1:{}/", self.dial[0]),
            ])),
            H2C => measure::load(pods.client("h2load").args([
                "-t1",
                "-c10",
                "-m10",
                "-D",
                &time,
                &format!("http://127.0.0.1:{}/", self.dial[1]),
            ])),
            _ => {
                let url = format!("http://127.0.0.1:{}/bytes/{}", self.dial[0], u64::from(BULK_MIB) << 20);
                measure::bulk(&mut pods.client("curl"), BULK_MIB, &url)
            }
        }
        .with_context(|| format!("{}: {load}", self.name))?;
        anyhow::ensure!(seen.failed == 0.0, "{}: {load}: {} requests failed", self.name, seen.failed);
        anyhow::ensure!(seen.requests > 0.0, "{}: {load}: no request was answered", self.name);
        let after = [measure::cpu(pids[0])?, measure::cpu(pids[1])?];
        let per = |n: usize| Cpu {
            user: (after[n].user - before[n].user) / seen.requests,
            system: (after[n].system - before[n].system) / seen.requests,
        };
        Ok(Row { rate: seen.requests / seen.seconds, cpu: [per(0), per(1)] })
    }

    /// What connections at rest hold.
    fn rest(&self, pods: &Pods, me: &str) -> anyhow::Result<()> {
        let resident = || -> anyhow::Result<[u64; 2]> {
            Ok([measure::resident(self.proxies[0].0.id())?, measure::resident(self.proxies[1].0.id())?])
        };
        let before = resident()?;
        let mut command = pods.client(me);
        command.args(["idle", &format!("127.0.0.1:{}", self.dial[0]), &RESTING.to_string()]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut held = Running(child);
        let mut line = String::new();
        BufReader::new(held.0.stdout.take().context("its output")?).read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "open", "{}: connections at rest could not be opened", self.name);
        std::thread::sleep(Duration::from_secs(1));
        let after = resident()?;
        let each = |n: usize| (after[n].saturating_sub(before[n])) as f64 / RESTING as f64;
        println!(
            "{:8} RSS {}+{} KiB after load; {RESTING} connections at rest add {:.1}+{:.1} KiB each",
            self.name,
            before[0],
            before[1],
            each(0),
            each(1)
        );
        Ok(())
    }
}

fn print(results: &BTreeMap<(&str, &str), Vec<Row>>) {
    println!("{:22} {:8} {:>9}  {:>21} {:>8} {:>8}", "load", "pair", "rate/s", "CPU us, user+sys", "both", "ratio");
    for load in LOADS {
        let both = |name: &str| {
            results.get(&(load, name)).map(|rows| median(rows, |r| r.cpu.iter().map(|c| c.user + c.system).sum()))
        };
        let base = both("haproxy").unwrap_or(f64::NAN);
        for name in ["haproxy", "leno"] {
            let Some(rows) = results.get(&(load, name)) else { continue };
            let side =
                |n: usize| format!("{:.1}+{:.1}", median(rows, |r| r.cpu[n].user), median(rows, |r| r.cpu[n].system));
            let sum = both(name).unwrap_or(f64::NAN);
            println!(
                "{load:22} {name:8} {:>9.0}  {:>10} {:>10} {sum:>8.1} {:>8.2}",
                median(rows, |r| r.rate),
                side(0),
                side(1),
                sum / base
            );
        }
    }
}

fn median(rows: &[Row], of: impl Fn(&Row) -> f64) -> f64 {
    measure::median(&rows.iter().map(of).collect::<Vec<_>>())
}

const H1: &str = "HTTP/1.1, 32 conns";
const H2C: &str = "h2c, 10x10 streams";
const BULK: &str = "bulk, per MiB";
const LOADS: [&str; 3] = [H1, H2C, BULK];
const APP: u16 = 18080;
const OUTBOUND: u16 = 15001;
const INBOUND: u16 = 15006;
const RESTING: usize = 1000;
/// A quarter of a GiB by one request.
const BULK_MIB: u32 = 256;
