//! `leno demo`: the sample shop with a canary in motion, and a live table of what the mesh does.

mod scene;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use leno_viz::model::{Edges, Secured, Stat, parse_duration};

use super::{Globals, dashboard, viz};
use crate::access;
use crate::table::{Live, Screen};

/// Runs the sample shop with sidecars, STRICT mTLS, load and a canary in motion, and shows what the mesh does.
///
/// On a terminal it runs until Ctrl-C and draws in place. Elsewhere, or with --for, it prints snapshots and ends by itself,
/// with exit code 0 when the figures are sane. Nothing stays behind.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run so long, print plain snapshots, judge the figures and end.
    #[arg(long = "for", value_parser = parse_duration, value_name = "TIME")]
    length: Option<Duration>,
    /// Do not take the mesh down at the end.
    #[arg(long)]
    keep: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let screen = Screen::stdout();
    let length = args.length.or_else(|| screen.width.is_none().then_some(DEFAULT_LENGTH));
    if access::on_this_machine(globals).is_ok() {
        bail!("a local mesh runs already; end it by `leno local down`, or give the demo a --state DIR of its own");
    }
    let ending = endings()?;
    println!("Starting the sample shop: 8 services, each pod with a sidecar, nothing but mutual TLS between them.");
    if !leno(globals, &["local", "up", "-", "--timeout", "120s"], Some(&scene::all()))? {
        return Ok(ExitCode::FAILURE);
    }
    let dashboard = dashboard::beside(globals)?;
    println!("The dashboard: {dashboard}");
    let shown = show(globals, &ending, length, &dashboard);
    if args.keep {
        println!("The shop keeps running: `leno local down` ends it.");
    } else if !leno(globals, &["local", "down"], None)? {
        bail!("`leno local down` failed: see above");
    }
    shown
}

/// Shows the shop until the end; whether its figures are sane.
fn show(
    globals: &Globals,
    ending: &Receiver<()>,
    length: Option<Duration>,
    dashboard: &str,
) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let step = length.map_or(STEP, |length| (length / 4).max(Duration::from_secs(5)));
    let pause = Duration::from_secs(if length.is_some() { 5 } else { 1 });
    let (mut live, mut phase, mut last) = (Live::default(), 0, None);
    let mut since = Instant::now();
    while ending.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        if length.is_some_and(|length| start.elapsed() >= length) {
            break;
        }
        if since.elapsed() >= step {
            phase += 1;
            since = Instant::now();
            apply(globals, &scene::canary(weight(phase)))?;
        }
        let seen = look(globals);
        let screen = if length.is_some() { Screen::default() } else { Screen::stdout() };
        let text = match &seen {
            Ok(seen) => scene::draw(seen, weight(phase), start.elapsed(), &screen),
            // The first seconds have no figures yet; later this is worth showing.
            Err(error) => format!("{error:#}\n"),
        };
        if length.is_some() {
            println!("{text}");
        } else {
            live.draw(&format!("{text}{}", scene::hints(dashboard)), &screen);
        }
        last = seen.ok().or(last);
    }
    if length.is_none() {
        println!();
        return Ok(ExitCode::SUCCESS);
    }
    let problems = last.map_or_else(|| vec!["no figures came".to_owned()], |seen| judge(&seen));
    for problem in &problems {
        eprintln!("not sane: {problem}");
    }
    if problems.is_empty() {
        println!("The figures are sane.");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is shown.
struct Seen {
    stat: Stat,
    edges: Edges,
}

fn look(globals: &Globals) -> anyhow::Result<Seen> {
    let mesh = access::on_this_machine(globals)?;
    let question = viz::deployments(scene::NAMESPACE, WINDOW);
    Ok(Seen { stat: viz::stat(mesh.as_ref(), &question)?, edges: viz::edges(mesh.as_ref(), &question)? })
}

/// What is wrong with the last figures. `reviews` fails on purpose and is retried: only its callers' view counts.
fn judge(seen: &Seen) -> Vec<String> {
    let mut problems = Vec::new();
    for name in ["web", "cart", "catalog-v1", "catalog-v2"] {
        match seen.stat.rows.iter().find(|row| row.name == name) {
            Some(row) if row.requests == 0 => problems.push(format!("{name} had no requests")),
            Some(row) if row.success.is_some_and(|s| s < 0.98) => {
                problems.push(format!("{name}: success {:.2}%", row.success.unwrap_or(0.0) * 100.0));
            }
            Some(_) => {}
            None => problems.push(format!("{name} is not there")),
        }
    }
    if let Some(edge) = seen.edges.rows.iter().find(|e| e.secured != Secured::Mtls) {
        problems.push(format!("{} -> {} is {}", edge.src, edge.dst, edge.secured));
    }
    if seen.edges.rows.is_empty() {
        problems.push("nobody talks to anybody".to_owned());
    }
    problems
}

/// Share of v2 in percent, phase by phase.
fn weight(phase: usize) -> u32 {
    WEIGHTS[phase % WEIGHTS.len()]
}

/// Runs `leno local …`, which says itself what goes wrong.
fn leno(globals: &Globals, arguments: &[&str], input: Option<&str>) -> anyhow::Result<bool> {
    let mut child = command(globals, arguments)?.spawn()?;
    feed(&mut child, input)?;
    Ok(child.wait()?.success())
}

/// Applies YAML without a word where the picture is drawn.
fn apply(globals: &Globals, yaml: &str) -> anyhow::Result<()> {
    let mut command = command(globals, &["local", "apply", "-"])?;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    feed(&mut child, Some(yaml))?;
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "leno local apply: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn feed(child: &mut Child, input: Option<&str>) -> std::io::Result<()> {
    // Dropping the pipe ends the input.
    child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(input.unwrap_or_default().as_bytes()))
}

/// This program again, with its own folder in front of PATH (the other programs are beside it).
fn command(globals: &Globals, arguments: &[&str]) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::piped());
    if let Some(state) = &globals.state {
        command.env("LENO_STATE", state);
    }
    let folders = program.parent().map(std::path::Path::to_owned).into_iter();
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env("PATH", std::env::join_paths(folders.chain(std::env::split_paths(&path)))?);
    // Ctrl-C on the terminal goes to every process of its group. It may end `up`, which cleans up behind itself; what comes
    // later must be left to finish.
    if !arguments.contains(&"up") {
        command.process_group(0);
    }
    Ok(command)
}

/// Ctrl-C, SIGTERM and the terminal's end from now on as messages.
fn endings() -> anyhow::Result<Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (to, from) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                if to.send(()).is_err() {
                    return;
                }
            }
        });
    });
    Ok(from)
}

/// v2's share in percent.
const WEIGHTS: [u32; 4] = [10, 50, 90, 50];
/// How long each share stays.
const STEP: Duration = Duration::from_secs(20);
/// Where there is no terminal.
const DEFAULT_LENGTH: Duration = Duration::from_secs(30);
/// The figures shown are of the last ten seconds, so that a moving weight is seen.
const WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
