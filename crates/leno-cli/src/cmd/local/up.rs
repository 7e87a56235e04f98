//! `leno local up`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use leno_local::StateDir;
use leno_local::launch::Starting;
use leno_local::protocol::{Start, Unready};

use super::{read, signals};

/// Arguments of `leno local up`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Files or folders of Kubernetes YAML; `-` is standard input.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Namespace of objects that name none.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How long everything may take to be ready.
    #[arg(long, default_value = "60s", value_parser = duration)]
    timeout: Duration,
    /// Life of the workloads' certificates.
    #[arg(long, default_value = "24h", value_parser = ttl)]
    cert_ttl: String,
    /// Log level of proxies and control plane.
    #[arg(long, default_value = "info")]
    log_level: String,
}

/// Starts the mesh.
///
/// # Errors
/// When it does not come up; then nothing of it is left.
pub(super) fn run(args: &Args, state: &StateDir) -> anyhow::Result<ExitCode> {
    let interrupted = signals::take()?;
    let begun = Instant::now();
    let (objects, findings) = read::read(&args.paths, args.namespace.as_deref())?;
    let found = read::judge(objects, findings, Vec::new());
    found.say();
    if found.has_errors() {
        bail!("nothing was started because of the errors above");
    }
    let start = Start { objects: found.good, cert_ttl: args.cert_ttl.clone(), log_level: args.log_level.clone() };
    let (starting, applied) = Starting::begin(state, start)?;
    for warning in &applied.warnings {
        eprintln!("{warning}");
    }
    let mut line = Line::default();
    let waited = starting.wait(|unready| {
        if interrupted.try_recv().is_ok() {
            bail!("interrupted");
        }
        if unready.iter().any(|u| u.hopeless) {
            let hopeless: Vec<Unready> = unready.iter().filter(|u| u.hopeless).cloned().collect();
            bail!("this will not become ready:\n{}", list(&hopeless));
        }
        if begun.elapsed() > args.timeout {
            bail!("not ready within {:?}:\n{}", args.timeout, list(unready));
        }
        line.show(begun, unready);
        Ok(())
    });
    line.clear();
    waited.map_err(|error| anyhow!("{error:#}\nEverything was ended and removed again."))?;
    println!(
        "The local mesh is up after {:.1} s: {} objects. Look at it by `leno local status`, end it by `leno local down`.",
        begun.elapsed().as_secs_f64(),
        applied.changes.len()
    );
    Ok(ExitCode::SUCCESS)
}

/// One line for each thing that is not ready.
pub(super) fn list(unready: &[Unready]) -> String {
    unready.iter().map(|u| format!("  {}: {}", u.what, u.why)).collect::<Vec<_>>().join("\n")
}

/// What is waited for, in place, where somebody looks.
#[derive(Default)]
struct Line(bool);

impl Line {
    fn show(&mut self, begun: Instant, unready: &[Unready]) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        self.0 = true;
        let first = unready.first().map_or_else(String::new, |u| format!("{}: {}", u.what, u.why));
        let text = format!("{:3.0} s, {} to go  {first}", begun.elapsed().as_secs_f64(), unready.len());
        let text: String = text.replace('\n', " ").chars().take(79).collect();
        eprint!("\r\x1b[K{text}");
        let _ = std::io::stderr().flush();
    }

    fn clear(&self) {
        if self.0 {
            eprint!("\r\x1b[K");
        }
    }
}

/// `90s`, `5m`, `1h`, `500ms`, or seconds.
///
/// # Errors
/// Anything else.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is no duration such as 90s, 5m or 1h"))?;
    let factor = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{text:?} is no duration such as 90s, 5m or 1h")),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|e| e.to_string())
}

fn ttl(text: &str) -> Result<String, String> {
    match duration(text)? {
        life if life < Duration::from_secs(5) => Err("certificates live for 5 s at least".into()),
        _ => Ok(text.to_owned()),
    }
}
