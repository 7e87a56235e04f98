//! What processes use, and what a load saw.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// CPU time of a process, in microseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

/// Reads it from `/proc/PID/stat`.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Cpu> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')').context("a stat line")?.1.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok()).context("a stat line");
    Ok(Cpu { user: ticks(11)? * MICROS_PER_TICK, system: ticks(12)? * MICROS_PER_TICK })
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmRSS:")
}

/// The most that it ever had, in KiB.
pub(crate) fn peak(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, field: &'static str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix(field)).context(field)?;
    line.trim().trim_end_matches(" kB").parse().context(field)
}

/// The middle one, or between the two that are in the middle; NaN of none.
pub(crate) fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    let Some(last) = all.len().checked_sub(1) else { return f64::NAN };
    let (low, high) = (all.get(last / 2), all.get(all.len() / 2));
    low.zip(high).map_or(f64::NAN, |(low, high)| f64::midpoint(*low, *high))
}

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    pub(crate) failed: f64,
}

/// Runs wrk or h2load to its end and reads its report.
pub(crate) fn load(command: &mut Command) -> anyhow::Result<Load> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complain = || format!("{command:?} said:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), complain());
    wrk(&text).or_else(|| h2load(&text)).with_context(complain)
}

/// Asks by curl until there is an answer, so that connections and certificates are there before anything is measured. `curl`:
/// where it runs; `flags`: how it asks.
pub(crate) fn until_answered(
    curl: impl Fn() -> Command,
    flags: &[&str],
    url: &str,
    limit: Duration,
) -> anyhow::Result<()> {
    let until = Instant::now() + limit;
    loop {
        let asked = curl().args(["-fsS", "-o", "/dev/null", "-m", "2"]).args(flags).arg(url).output()?;
        if asked.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&asked.stderr).into_owned();
        anyhow::ensure!(Instant::now() < until, "no answer from {url} {}: {why}", flags.join(" "));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Fetches one body of so many MiB; its "requests" are MiB.
pub(crate) fn bulk(curl: &mut Command, mib: u32, url: &str) -> anyhow::Result<Load> {
    let output = curl.args(["-fsS", "-o", "/dev/null", "-w", "%{time_total}", url]).output()?;
    anyhow::ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    let seconds = String::from_utf8_lossy(&output.stdout).trim().parse().context("curl's time")?;
    Ok(Load { requests: f64::from(mib), seconds, failed: 0.0 })
}

/// `  123456 requests in 3.00s, 20.0MB read`, and perhaps `Non-2xx or 3xx responses: 5`.
fn wrk(text: &str) -> Option<Load> {
    let line = text.lines().find(|l| l.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let seconds = rest.split(',').next()?.trim_end_matches('s').parse().ok()?;
    let failed = text.lines().find_map(|l| l.trim().strip_prefix("Non-2xx or 3xx responses: "));
    let failed = failed.map_or(Some(0.0), |n| n.trim().parse().ok())?;
    Some(Load { requests: requests.parse().ok()?, seconds, failed })
}

/// `finished in 3.00s, ...` and `requests: 100 total, 100 started, 100 done, 100 succeeded, 0 failed, ...`.
fn h2load(text: &str) -> Option<Load> {
    let time = text.lines().find_map(|l| l.strip_prefix("finished in "))?;
    let seconds = seconds(time.split(',').next()?)?;
    let counts = text.lines().find_map(|l| l.strip_prefix("requests: "))?;
    let number = |word: &str| {
        counts.split(", ").find_map(|part| part.strip_suffix(word)).and_then(|n| n.trim().parse::<f64>().ok())
    };
    Some(Load { requests: number(" succeeded")?, seconds, failed: number(" failed")? })
}

/// h2load's times: `1.50s`, `179.67ms`, `950us`.
fn seconds(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let scale = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

/// The kernel's tick in `/proc` is a hundredth of a second on every platform that Leno runs on.
const MICROS_PER_TICK: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_h2load_is_read_whatever_its_unit() {
        for (time, expected) in [("3.00s", 3.0), ("179.50ms", 0.1795), ("950us", 0.00095)] {
            let text = format!(
                "finished in {time}, 9 req/s, 9KB/s\nrequests: 7 total, 7 started, 7 done, 6 succeeded, 1 failed, 1 errored\n"
            );
            let load = h2load(&text).expect("a report");
            assert_eq!((load.requests, load.failed), (6.0, 1.0));
            assert!((load.seconds - expected).abs() < 1e-9, "{time}");
        }
    }
}
