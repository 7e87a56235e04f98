//! The loads, and what one of them came to.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::Tools;
use super::pair::{Kind, Pair};
use crate::measure::{self, Cpu};
use crate::net::Running;

/// A load.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    what: What,
    /// Whether a goal is about it: then it runs for the whole time.
    pub(crate) main: bool,
    /// Whether the system calls of a request are counted too.
    pub(crate) counts_calls: bool,
}

enum What {
    /// wrk with so many connections, for so many bytes (0: the usual answer).
    Http1(u32, u32),
    /// fortio, requests per second.
    Rate(u32),
    /// h2load, 10 connections of 10 streams, this path.
    Http2(&'static str),
    /// One body, in MiB.
    Bulk(u32),
}

/// What one run came to. CPU in microseconds, of both proxies, per request (per MiB of bulk).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rate: f64,
    pub(crate) user: f64,
    pub(crate) system: f64,
    /// Milliseconds; NaN where the load does not tell.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Load {
    const fn new(name: &'static str, what: What) -> Self {
        Self { name, what, main: false, counts_calls: false }
    }

    const fn main(name: &'static str, what: What, counts_calls: bool) -> Self {
        Self { name, what, main: true, counts_calls }
    }

    /// The echo server's h2c has no bodies to choose from, and a plain relay nothing to say of gRPC that h2c does not.
    pub(crate) const fn fits(&self, pair: &Pair) -> bool {
        self.main || pair.is_l7() || matches!(pair.kind, Kind::None)
    }

    /// Runs it once.
    pub(crate) fn run(&self, pair: &Pair, tools: &Tools) -> anyhow::Result<Seen> {
        let seconds = if self.main { tools.seconds } else { tools.seconds.min(SHORT) };
        let before = cpu(pair)?;
        let got = self.drive(pair, tools, seconds)?;
        let after = cpu(pair)?;
        anyhow::ensure!(got.failed == 0.0, "{} requests failed", got.failed);
        anyhow::ensure!(got.requests > 0.0, "no request was answered");
        Ok(Seen {
            rate: got.requests / got.seconds,
            user: (after.user - before.user) / got.requests,
            system: (after.system - before.system) / got.requests,
            p50: got.p50,
            p99: got.p99,
        })
    }

    /// System calls per request and proxy, counted while the load runs. NaN where perf may not.
    pub(crate) fn calls(&self, pair: &Pair, tools: &Tools) -> anyhow::Result<f64> {
        if pair.proxies.is_empty() {
            return Ok(f64::NAN);
        }
        let Some(counting) = Counting::start(pair)? else { return Ok(f64::NAN) };
        let got = self.drive(pair, tools, 2)?;
        Ok(counting.end()? / got.requests / pair.proxies.len() as f64)
    }

    fn drive(&self, pair: &Pair, tools: &Tools, seconds: u64) -> anyhow::Result<Got> {
        let time = seconds.to_string();
        let http1 = |path: &str| format!("http://{}{path}", pair.http1);
        match self.what {
            What::Http1(connections, bytes) => {
                let path = if bytes == 0 { "/".to_owned() } else { format!("/bytes/{bytes}") };
                let connections = format!("-c{connections}");
                let mut wrk = pair.client.command("wrk");
                wrk.args(["-t1", &connections, &format!("-d{time}"), "--timeout", "10", "--latency", &http1(&path)]);
                Got::of(measure::load(&mut wrk)?)
            }
            What::Http2(path) => {
                let mut h2load = pair.client.command("h2load");
                h2load.args(["-t1", "-c10", "-m10", "-D", &time]);
                if path != "/" {
                    h2load
                        .args(["-H", "content-type: application/grpc", "-H", "te: trailers", "-d"])
                        .arg(&pair.message);
                }
                Got::of(measure::load(h2load.arg(format!("http://{}{path}", pair.http2)))?)
            }
            What::Rate(rate) => fortio(pair, tools, rate, seconds, &http1("/")),
            What::Bulk(mib) => {
                let url = http1(&format!("/bytes/{}", u64::from(mib) << 20));
                Got::of(measure::bulk(&mut pair.client.command("curl"), mib, &url)?)
            }
        }
    }
}

/// What a load saw.
struct Got {
    requests: f64,
    seconds: f64,
    failed: f64,
    p50: f64,
    p99: f64,
}

impl Got {
    #[expect(clippy::unnecessary_wraps, reason = "as all loads")]
    fn of(load: measure::Load) -> anyhow::Result<Self> {
        let measure::Load { requests, seconds, failed } = load;
        Ok(Self { requests, seconds, failed, p50: f64::NAN, p99: f64::NAN })
    }
}

/// At a fixed rate, spread evenly over eight connections.
fn fortio(pair: &Pair, tools: &Tools, rate: u32, seconds: u64, url: &str) -> anyhow::Result<Got> {
    let program = tools.fortio.display().to_string();
    let output = pair
        .client
        .command(&program)
        .args(["load", "-quiet", "-qps", &rate.to_string(), "-c", "8", "-uniform", "-t", &format!("{seconds}s")])
        .args(["-p", "50,99", "-r", "0.00002", "-json", "-", url])
        .output()?;
    anyhow::ensure!(output.status.success(), "fortio: {}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).context("fortio's JSON")?;
    let times = &said["DurationHistogram"];
    let percentile = |wanted: f64| {
        let found = times["Percentiles"].as_array()?.iter().find(|p| p["Percentile"].as_f64() == Some(wanted))?;
        Some(found["Value"].as_f64()? * 1000.0)
    };
    let count = times["Count"].as_f64().context("fortio's count")?;
    Ok(Got {
        requests: count,
        seconds: said["ActualDuration"].as_f64().context("fortio's time")? / 1e9,
        failed: count - said["RetCodes"]["200"].as_f64().unwrap_or(0.0),
        p50: percentile(50.0).context("fortio's p50")?,
        p99: percentile(99.0).context("fortio's p99")?,
    })
}

fn cpu(pair: &Pair) -> anyhow::Result<Cpu> {
    let mut sum = Cpu::default();
    for pid in &pair.proxies {
        let one = measure::cpu(*pid)?;
        sum.user += one.user;
        sum.system += one.system;
    }
    Ok(sum)
}

/// perf, counting the system calls of a pair.
struct Counting(Child);

impl Counting {
    fn start(pair: &Pair) -> anyhow::Result<Option<Self>> {
        let pids: Vec<String> = pair.proxies.iter().map(ToString::to_string).collect();
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pids.join(",")]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("running perf")?;
        std::thread::sleep(Duration::from_millis(300));
        Ok(child.try_wait()?.is_none().then_some(Self(child)))
    }

    /// Its count so far.
    fn end(self) -> anyhow::Result<f64> {
        let interrupted = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status()?;
        anyhow::ensure!(interrupted.success(), "perf had ended");
        let output = self.0.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let count = text.lines().find(|l| l.contains("sys_enter")).and_then(|l| l.split(',').next()?.parse().ok());
        count.with_context(|| format!("perf said: {text}"))
    }
}

/// KiB of resident memory that a connection at rest adds, both proxies together.
pub(crate) fn idle(pair: &Pair) -> anyhow::Result<f64> {
    let resident = || pair.proxies.iter().map(|pid| measure::resident(*pid)).sum::<anyhow::Result<u64>>();
    let before = resident()?;
    let me = std::env::current_exe()?.display().to_string();
    let mut command = pair.client.command(&me);
    command.args(["idle", &pair.http1, &RESTING.to_string()]);
    let mut held = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    let mut line = String::new();
    BufReader::new(held.0.stdout.take().context("its output")?).read_line(&mut line)?;
    anyhow::ensure!(line.trim() == "open", "{}: connections at rest could not be opened", pair.name);
    std::thread::sleep(Duration::from_secs(1));
    Ok(resident()?.saturating_sub(before) as f64 / f64::from(RESTING))
}

pub(crate) const H1: &str = "HTTP/1.1, 32 connections";
pub(crate) const FIXED: &str = "HTTP/1.1, 2,000 rps";
pub(crate) const H2C: &str = "h2c, 10x10 streams";
pub(crate) const BULK: &str = "1 GiB body";
pub(crate) const SLOW: &str = "HTTP/1.1, 200 rps";
pub(crate) const LOADS: [Load; 12] = [
    Load::main(H1, What::Http1(32, 0), true),
    Load::main(FIXED, What::Rate(2000), false),
    Load::main(H2C, What::Http2("/"), true),
    Load::main(BULK, What::Bulk(1024), false),
    Load { counts_calls: true, ..Load::new(SLOW, What::Rate(200)) },
    Load::new("gRPC unary, 10x10", What::Http2("/grpc/1")),
    Load::new("gRPC stream of 100", What::Http2("/grpc/100")),
    Load::new("HTTP/1.1, 1 connection", What::Http1(1, 0)),
    Load::new("HTTP/1.1, 1,000 conns", What::Http1(1000, 0)),
    Load::new("1 KiB, 32 connections", What::Http1(32, 1 << 10)),
    Load::new("64 KiB, 32 connections", What::Http1(32, 64 << 10)),
    Load::new("1 MiB, 32 connections", What::Http1(32, 1 << 20)),
];
/// Seconds of a load that no goal is about.
const SHORT: u64 = 3;
const RESTING: u32 = 1000;
