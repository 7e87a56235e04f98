//! The goals, as ratios to peers of the same run or as figures of our own.

use serde::Serialize;

use super::load::{BULK, FIXED, H1, H2C};
use super::pair::{ENVOY_H1, ENVOY_H2, HAPROXY, LENO};
use super::report::{Report, Sum};

/// A goal, and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    /// What it may at most, or must at least, be.
    pub(crate) bound: f64,
    pub(crate) at_least: bool,
    pub(crate) got: f64,
    pub(crate) held: bool,
}

/// Judges them all.
pub(crate) fn judge(report: &Report) -> Vec<Goal> {
    let get = |pair: &str, load: &str, what: Sum| report.median(pair, load, what);
    // To HAProxy, and to the better of both Envoys.
    let haproxy = |load: &str, what: Sum| get(LENO, load, what) / get(HAPROXY, load, what);
    let envoy = |load: &str, what: Sum| {
        let both = [get(ENVOY_H1, load, what), get(ENVOY_H2, load, what)];
        get(LENO, load, what) / both.into_iter().reduce(what.better()).unwrap_or(f64::NAN)
    };
    let user = |load: &str| get(LENO, load, Sum::User) / 2.0;
    let facts = report.leno();
    vec![
        least("HTTP/1.1, 32 connections: rps to HAProxy", 1.6, haproxy(H1, Sum::Rate)),
        least("HTTP/1.1, 32 connections: rps to Envoy", 3.0, envoy(H1, Sum::Rate)),
        most("CPU per request at saturation to HAProxy", 0.5, haproxy(H1, Sum::Cpu)),
        most("CPU per request at saturation to Envoy", 0.25, envoy(H1, Sum::Cpu)),
        most("user us per request and proxy, HTTP/1.1", 8.0, user(H1)),
        most("user us per request and proxy, h2c", 5.0, user(H2C)),
        most("2,000 rps: CPU to HAProxy", 0.65, haproxy(FIXED, Sum::Cpu)),
        most("2,000 rps: p50 to HAProxy", 0.9, haproxy(FIXED, Sum::P50)),
        most("2,000 rps: p99 to HAProxy", 1.0, haproxy(FIXED, Sum::P99)),
        most("2,000 rps: p99 to Envoy", 0.4, envoy(FIXED, Sum::P99)),
        least("h2c 10x10: rps to HAProxy", 1.8, haproxy(H2C, Sum::Rate)),
        least("h2c 10x10: rps to Envoy", 6.0, envoy(H2C, Sum::Rate)),
        least("1 GiB: rate to Envoy", 1.0, envoy(BULK, Sum::Rate)),
        least("1 GiB: rate to HAProxy", 1.7, haproxy(BULK, Sum::Rate)),
        most("RSS at rest, MiB per proxy", 8.0, facts.rest_mib),
        most("RSS after all runs, MiB per proxy", 14.0, facts.after_mib),
        most("stripped program, MiB", 10.0, facts.program_mib),
        most("start to ready, ms", 10.0, facts.start_ms),
        most("KiB per pair of connections at rest", 16.0, facts.idle_kib),
    ]
}

/// Prints them, and how many hold.
///
/// # Errors
/// Where one does not.
pub(crate) fn print(goals: &[Goal]) -> anyhow::Result<()> {
    println!();
    for goal in goals {
        let word = if goal.at_least { "at least" } else { "at most" };
        let mark = if goal.held { "held" } else { "MISSED" };
        println!("{mark:6} {:42} {:>9.2}  {word} {}", goal.name, goal.got, goal.bound);
    }
    let held = goals.iter().filter(|g| g.held).count();
    println!("goals held: {held} of {}", goals.len());
    anyhow::ensure!(held == goals.len(), "{} goals are missed", goals.len() - held);
    Ok(())
}

// A figure that is missing (NaN) holds nothing.
fn least(name: &'static str, bound: f64, got: f64) -> Goal {
    Goal { name, bound, at_least: true, got, held: got >= bound }
}

fn most(name: &'static str, bound: f64, got: f64) -> Goal {
    Goal { name, bound, at_least: false, got, held: got <= bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_held() {
        assert!(judge(&Report::default()).iter().all(|goal| !goal.held));
    }

    #[test]
    fn bounds_belong_to_what_they_allow() {
        assert!(least("", 2.0, 2.0).held && most("", 2.0, 2.0).held);
        assert!(!least("", 2.0, 1.9).held && !most("", 2.0, 2.1).held);
    }
}
