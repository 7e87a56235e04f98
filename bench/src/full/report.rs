//! All figures, their medians and ranges, and how they are shown.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::goals::Goal;
use super::handshakes::Handshakes;
use super::load::{BULK, FIXED, H1, H2C, LOADS, SLOW, Seen};
use super::pair::{ENVOY_H1, ENVOY_H2, HAPROXY, LENO, Pair};
use crate::measure;

/// Everything that was seen.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// In the order of measuring.
    pairs: Vec<&'static str>,
    seen: BTreeMap<(&'static str, &'static str), Vec<Seen>>,
    calls: BTreeMap<(&'static str, &'static str), f64>,
    handshakes: BTreeMap<&'static str, [Handshakes; 2]>,
    memory: BTreeMap<&'static str, Memory>,
    held: BTreeMap<&'static str, f64>,
    starts: BTreeMap<&'static str, Vec<f64>>,
    program: f64,
    failures: Vec<String>,
}

/// Resident memory, MiB, of the larger of both proxies.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    rest: f64,
    after: f64,
    peak: f64,
}

/// A figure of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    Rate,
    /// Microseconds, both proxies.
    Cpu,
    /// Its part in user mode.
    User,
    P50,
    P99,
}

/// What is ours alone.
pub(crate) struct Facts {
    pub(crate) rest_mib: f64,
    pub(crate) after_mib: f64,
    pub(crate) program_mib: f64,
    pub(crate) start_ms: f64,
    pub(crate) idle_kib: f64,
}

impl Sum {
    const fn of(self, seen: &Seen) -> f64 {
        match self {
            Self::Rate => seen.rate,
            Self::Cpu => seen.user + seen.system,
            Self::User => seen.user,
            Self::P50 => seen.p50,
            Self::P99 => seen.p99,
        }
    }

    /// The better of two.
    pub(crate) fn better(self) -> fn(f64, f64) -> f64 {
        if self == Self::Rate { f64::max } else { f64::min }
    }
}

impl Report {
    pub(crate) fn program(&mut self, path: &Path) -> std::io::Result<()> {
        self.program = std::fs::metadata(path)?.len() as f64 / MIB;
        Ok(())
    }

    /// Before the first load.
    pub(crate) fn rest(&mut self, pair: &Pair) -> anyhow::Result<()> {
        self.pairs.push(pair.name);
        self.memory.entry(pair.name).or_default().rest = resident(pair, measure::resident)?;
        Ok(())
    }

    /// After the last one.
    pub(crate) fn after(&mut self, pair: &Pair) -> anyhow::Result<()> {
        let memory = self.memory.entry(pair.name).or_default();
        memory.after = resident(pair, measure::resident)?;
        memory.peak = resident(pair, measure::peak)?;
        Ok(())
    }

    pub(crate) fn add(&mut self, pair: &'static str, load: &'static str, seen: Seen) {
        self.seen.entry((pair, load)).or_default().push(seen);
    }

    /// A load that did not get through.
    pub(crate) fn fail(&mut self, pair: &str, load: &str, why: &str) {
        eprintln!("{pair}: {load}: {why}");
        self.failures.push(format!("{pair}: {load}: {why}"));
    }

    pub(crate) fn calls(&mut self, pair: &'static str, load: &'static str, calls: f64) {
        self.calls.insert((pair, load), calls);
    }

    pub(crate) fn handshakes(&mut self, pair: &'static str, seen: [Handshakes; 2]) {
        self.handshakes.insert(pair, seen);
    }

    pub(crate) fn held(&mut self, pair: &'static str, kib: f64) {
        self.held.insert(pair, kib);
    }

    pub(crate) fn start(&mut self, pair: &'static str, millis: f64) {
        self.starts.entry(pair).or_default().push(millis);
    }

    /// NaN where it was not measured.
    pub(crate) fn median(&self, pair: &str, load: &str, what: Sum) -> f64 {
        measure::median(&self.figures(pair, load, what))
    }

    pub(crate) fn leno(&self) -> Facts {
        let memory = self.memory.get(LENO);
        Facts {
            rest_mib: memory.map_or(f64::NAN, |m| m.rest),
            after_mib: memory.map_or(f64::NAN, |m| m.after),
            program_mib: if self.program > 0.0 { self.program } else { f64::NAN },
            start_ms: self.started(LENO),
            idle_kib: self.held.get(LENO).copied().unwrap_or(f64::NAN),
        }
    }

    /// The loads that goals speak of, then a table for every other load, then the rest. In 80 columns.
    pub(crate) fn print(&self) {
        self.http1();
        self.others();
        println!(
            "\nCPU-s/1k: both proxies. user: us per request and proxy. RSS: MiB, the larger.\n\
             calls: per request and proxy at 200 rps / saturated. Medians, in brackets the\n\
             range. The last row is Leno to the best peer that has mutual TLS and knows HTTP."
        );
        for load in LOADS.iter().filter(|l| ![H1, H2C, BULK].contains(&l.name)) {
            self.table(load.name);
        }
        self.rest_of_it();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
    }

    /// HTTP/1.1, saturated and at a fixed rate.
    fn http1(&self) {
        let row = |name: &str, [rate, cpu, user, times]: [String; 4]| {
            println!("{name:10} {rate:>19} {cpu:>9} {user:>7} {times:>13}");
        };
        println!();
        row("", ["32 conns rps", "CPU-s/1k", "user", "2k rps p50/99"].map(str::to_owned));
        for pair in &self.pairs {
            let times = [Sum::P50, Sum::P99].map(|what| shown(self.median(pair, FIXED, what), 2));
            row(
                pair,
                [
                    self.ranged(pair, H1, Sum::Rate),
                    shown(self.median(pair, H1, Sum::Cpu) / 1000.0, 3),
                    shown(self.median(pair, H1, Sum::User) / 2.0, 1),
                    times.join("/"),
                ],
            );
        }
        let ratio = |load, what| shown(self.to_best(load, what), 2);
        let times = [Sum::P50, Sum::P99].map(|what| ratio(FIXED, what));
        row("ratio", [ratio(H1, Sum::Rate), ratio(H1, Sum::Cpu), ratio(H1, Sum::User), times.join("/")]);
    }

    /// h2c, bulk, memory and system calls.
    fn others(&self) {
        let row = |name: &str, [rate, user, bulk, memory, calls]: [String; 5]| {
            println!("{name:10} {rate:>19} {user:>6} {bulk:>15} {memory:>14} {calls:>10}");
        };
        println!();
        row("", ["h2c 10x10 rps", "user", "1 GiB, MiB/s", "RSS rest/peak", "calls"].map(str::to_owned));
        for pair in &self.pairs {
            let memory = self.memory.get(pair).copied().unwrap_or_default();
            let calls = [SLOW, H1].map(|load| shown(self.call(pair, load), 1));
            row(
                pair,
                [
                    self.ranged(pair, H2C, Sum::Rate),
                    shown(self.median(pair, H2C, Sum::User) / 2.0, 1),
                    self.ranged(pair, BULK, Sum::Rate),
                    if memory.rest > 0.0 { format!("{:.1}/{:.1}", memory.rest, memory.peak) } else { "-".into() },
                    calls.join("/"),
                ],
            );
        }
        let ratio = |load, what| shown(self.to_best(load, what), 2);
        let none = String::new;
        row("ratio", [ratio(H2C, Sum::Rate), ratio(H2C, Sum::User), ratio(BULK, Sum::Rate), none(), none()]);
    }

    fn table(&self, load: &str) {
        if !self.pairs.iter().any(|p| !self.figures(p, load, Sum::Rate).is_empty()) {
            return;
        }
        println!("\n{load:23} {:>21} {:>16} {:>8} {:>8}", "rate", "CPU us, both", "p50 ms", "p99 ms");
        for pair in &self.pairs {
            if self.figures(pair, load, Sum::Rate).is_empty() {
                continue;
            }
            let figure = |what| shown(self.median(pair, load, what), 2);
            println!(
                "  {pair:21} {:>21} {:>16} {:>8} {:>8}",
                self.ranged(pair, load, Sum::Rate),
                self.ranged(pair, load, Sum::Cpu),
                figure(Sum::P50),
                figure(Sum::P99)
            );
        }
        let ratio = |what| shown(self.to_best(load, what), 2);
        println!(
            "  {:21} {:>21} {:>16} {:>8} {:>8}",
            "ratio",
            ratio(Sum::Rate),
            ratio(Sum::Cpu),
            ratio(Sum::P50),
            ratio(Sum::P99)
        );
    }

    fn rest_of_it(&self) {
        println!(
            "\n{:11} {:>9} {:>9} {:>9} {:>12} {:>12} {:>12}",
            "", "TLS/s", "resumed/s", "share", "CPU us, TLS", "at rest KiB", "start ms"
        );
        for pair in &self.pairs {
            let [full, resumed] = self.handshakes.get(pair).copied().unwrap_or_default();
            let or_none = |value: f64, digits| shown(if value > 0.0 { value } else { f64::NAN }, digits);
            println!(
                "  {pair:9} {:>9} {:>9} {:>9} {:>12} {:>12} {:>12}",
                or_none(full.rate, 0),
                or_none(resumed.rate, 0),
                if full.rate > 0.0 { format!("{:.0} %", resumed.resumed * 100.0) } else { "-".into() },
                or_none(full.cpu, 0),
                shown(self.held.get(pair).copied().unwrap_or(f64::NAN), 1),
                shown(self.started(pair), 1),
            );
        }
        println!(
            "\nTLS: new connections with a request each, one after the other. At rest: a pair of\n\
             connections of 1,000 held open."
        );
    }

    /// As JSON: every figure of every round.
    pub(crate) fn json(&self, goals: &[Goal]) -> String {
        let loads: Vec<Value> = self
            .seen
            .iter()
            .map(|((pair, load), seen)| {
                let rounds: Vec<Value> = seen.iter().map(round).collect();
                json!({"pair": pair, "load": load, "calls_per_request": self.calls.get(&(*pair, *load)), "rounds": rounds})
            })
            .collect();
        let pairs: Vec<Value> = self
            .pairs
            .iter()
            .map(|pair| {
                let memory = self.memory.get(pair).copied().unwrap_or_default();
                let handshakes = self.handshakes.get(pair).map(|both| both.map(|h| json!({"per_second": h.rate, "cpu_us": h.cpu, "resumed": h.resumed})));
                json!({"pair": pair, "rss_mib": {"rest": memory.rest, "after": memory.after, "peak": memory.peak},
                    "idle_connection_kib": self.held.get(pair), "start_ms": self.starts.get(pair), "handshakes": handshakes})
            })
            .collect();
        let all = json!({"loads": loads, "pairs": pairs, "program_mib": self.program, "failures": self.failures, "goals": goals});
        format!("{all:#}\n")
    }

    /// Leno's median to the best of the peers that do the same.
    fn to_best(&self, load: &str, what: Sum) -> f64 {
        let peers = [HAPROXY, ENVOY_H1, ENVOY_H2].map(|p| self.median(p, load, what));
        self.median(LENO, load, what) / peers.into_iter().reduce(what.better()).unwrap_or(f64::NAN)
    }

    fn figures(&self, pair: &str, load: &str, what: Sum) -> Vec<f64> {
        let rows = self.seen.iter().filter(|((p, l), _)| *p == pair && *l == load);
        rows.flat_map(|(_, seen)| seen).map(|seen| what.of(seen)).collect()
    }

    fn call(&self, pair: &str, load: &str) -> f64 {
        self.calls.iter().find(|((p, l), _)| *p == pair && *l == load).map_or(f64::NAN, |(_, calls)| *calls)
    }

    fn started(&self, pair: &str) -> f64 {
        measure::median(self.starts.get(pair).map_or(&[][..], Vec::as_slice))
    }

    /// `median (least-most)`.
    fn ranged(&self, pair: &str, load: &str, what: Sum) -> String {
        let all = self.figures(pair, load, what);
        let (least, most) =
            (all.iter().copied().fold(f64::NAN, f64::min), all.iter().copied().fold(f64::NAN, f64::max));
        let median = measure::median(&all);
        if median.is_nan() || most == 0.0 { "-".into() } else { format!("{median:.0} ({least:.0}-{most:.0})") }
    }
}

fn round(seen: &Seen) -> Value {
    let number = |n: f64| if n.is_finite() { json!(n) } else { Value::Null };
    json!({"per_second": number(seen.rate), "user_us": number(seen.user), "system_us": number(seen.system),
        "p50_ms": number(seen.p50), "p99_ms": number(seen.p99)})
}

fn resident(pair: &Pair, of: fn(u32) -> anyhow::Result<u64>) -> anyhow::Result<f64> {
    let mut largest = 0;
    for pid in &pair.proxies {
        largest = largest.max(of(*pid)?);
    }
    Ok(largest as f64 / 1024.0)
}

fn shown(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "-".to_owned() }
}

const MIB: f64 = 1024.0 * 1024.0;
