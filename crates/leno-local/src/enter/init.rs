//! Process 1 of a container.

use std::fs::File;
use std::process::{Child, ExitCode};

use anyhow::Context as _;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal as UnixSignal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Container, NOT_RUN, command, report, report_start, root};

/// Builds the container, runs its app to the end, and gives the app's exit code.
pub(super) fn run(container: Container) -> ExitCode {
    let to = match File::create(&container.report) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("leno: {}: {error}", container.report.display());
            return ExitCode::from(NOT_RUN);
        }
    };
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(live(container, &to)));
    match ended {
        Ok(code) => code,
        Err(error) => {
            report(&to, &error);
            ExitCode::from(NOT_RUN)
        }
    }
}

async fn live(container: Container, to: &File) -> anyhow::Result<ExitCode> {
    // Process 1 has no default actions for signals: what it does not take is lost. By handlers, not by a mask, because a
    // mask would be the app's too. They are there before the app is, and hold what comes meanwhile.
    let passed = passed_on().context("signals cannot be taken")?;
    let mut children = signal(SignalKind::child()).context("signals cannot be taken")?;
    let app = start(&container)?;
    report_start(to);
    drop(container);
    let app = Pid::from_raw(i32::try_from(app.id())?);
    for (number, mut received) in passed {
        tokio::spawn(async move {
            while received.recv().await.is_some() {
                let _ = kill(app, number);
            }
        });
    }
    loop {
        if let Some(code) = reap(app) {
            return Ok(code);
        }
        children.recv().await;
    }
}

fn passed_on() -> std::io::Result<Vec<(UnixSignal, Signal)>> {
    let all = [
        UnixSignal::SIGTERM,
        UnixSignal::SIGINT,
        UnixSignal::SIGHUP,
        UnixSignal::SIGQUIT,
        UnixSignal::SIGUSR1,
        UnixSignal::SIGUSR2,
        UnixSignal::SIGWINCH,
    ];
    all.into_iter().map(|s| Ok((s, signal(SignalKind::from_raw(s as i32))?))).collect()
}

fn start(container: &Container) -> anyhow::Result<Child> {
    let netns = File::open(&container.netns).context("the pod's network is gone")?;
    setns(netns, CloneFlags::CLONE_NEWNET).context("the pod's network cannot be entered")?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC)
        .context("no namespaces for the container")?;
    nix::unistd::sethostname(&container.hostname).context("the host name cannot be set")?;
    root::build(container)?;
    command(&container.process)?.spawn().with_context(|| format!("exec: {:?}", container.process.command[0]))
}

/// Reaps all that have ended; the exit code if the app is among them.
fn reap(app: Pid) -> Option<ExitCode> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == app => {
                return Some(ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == app => {
                return Some(ExitCode::from(128 + u8::try_from(signal as i32).unwrap_or(0)));
            }
            Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return None,
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => return None,
        }
    }
}
