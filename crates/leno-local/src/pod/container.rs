//! The life of one container: start, probes, end, and again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use leno_config::k8s::{Container, Handler, Probe};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::board::WAITING;
use super::{Pod, env, logs, probe, process, volumes};
use crate::enter::user::User;
use crate::enter::{self, Process};
use probe::{Check, Counter};

/// When a container must be gone, once it has been told to go.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Told to go.
    pub token: CancellationToken,
    /// Time it has from then on.
    pub grace: Duration,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit code; 128 + signal.
    pub code: i32,
    /// Why, in Kubernetes' words: `Completed`, `Error`, `StartError`, `Unhealthy` …
    pub reason: String,
    /// More about it.
    pub message: String,
    /// How long it ran.
    pub ran: Duration,
}

/// Whether a container is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Always.
    Always,
    /// When it failed.
    OnFailure,
    /// Never.
    Never,
}

impl Again {
    /// A pod's restart policy.
    #[must_use]
    pub fn of(policy: &str) -> Self {
        match policy {
            "OnFailure" => Self::OnFailure,
            "Never" => Self::Never,
            _ => Self::Always,
        }
    }
}

/// Runs a container again and again as `again` says, until it stays ended or is told to stop. `None`: told to stop.
pub async fn keep(pod: &Arc<Pod>, container: &Container, again: Again, stop: &Stop) -> Option<Ended> {
    let mut wait = FIRST_WAIT;
    loop {
        let ended = once(pod, container, stop).await;
        if stop.token.is_cancelled() {
            return None;
        }
        let stays = match again {
            Again::Always => false,
            Again::OnFailure => ended.code == 0,
            Again::Never => true,
        };
        if stays {
            return Some(ended);
        }
        if ended.ran > WELL_AFTER {
            wait = FIRST_WAIT;
        }
        back_off(pod, container, &ended, wait);
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.token.cancelled() => return None,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
        pod.board.container(&container.name, |s| s.restarts += 1);
    }
}

fn back_off(pod: &Pod, container: &Container, ended: &Ended, wait: Duration) {
    // What could not start is said by its own reason: it is not a crash.
    let reason =
        if ended.reason == "Completed" || ended.reason == "Error" { "CrashLoopBackOff" } else { &ended.reason };
    let message = if ended.message.is_empty() {
        format!("it ended with exit code {}; next start in {} s", ended.code, wait.as_secs())
    } else {
        ended.message.clone()
    };
    pod.board.container(&container.name, |s| {
        s.state = "Waiting".into();
        s.reason = reason.into();
        s.message = message;
        s.ready = false;
    });
}

/// Runs a container once.
pub async fn once(pod: &Arc<Pod>, container: &Container, stop: &Stop) -> Ended {
    let begun = Instant::now();
    let report = pod.volume_dir().join(".leno").join(format!("{}.report", container.name));
    let mut child = match launch(pod, container, report.clone()) {
        Ok(child) => child,
        Err((reason, message)) => return note_end(pod, container, 128, reason, message, begun.elapsed()),
    };
    // A program that cannot be run must not be taken for one that is ready until that is known.
    if has_started(&report, &mut child, stop).await {
        let pid = child.id().unwrap_or(0);
        pod.board.container(&container.name, |s| {
            s.state = "Running".into();
            s.reason.clear();
            s.message.clear();
            s.inner_pid = pid;
            s.started = container.startup_probe.is_none();
            s.ready = s.started && container.readiness_probe.is_none();
        });
    }
    let (code, reason, message) = attend(pod, container, child, stop).await;
    let said = fs::read_to_string(&report).unwrap_or_default();
    let (reason, message) = match said.trim() {
        "" => (reason, message),
        said => ("StartError", said.to_owned()),
    };
    note_end(pod, container, code, reason, message, begun.elapsed())
}

/// Waits until the container's program runs. Not so where it has ended without, or is to be stopped before.
async fn has_started(report: &Path, child: &mut Child, stop: &Stop) -> bool {
    loop {
        tokio::select! {
            _ = child.wait() => return false,
            () = stop.token.cancelled() => return false,
            () = sleep(LOOK) => {}
        }
        let said = fs::read_to_string(report).unwrap_or_default();
        if !said.is_empty() {
            return said == enter::STARTED;
        }
    }
}

fn note_end(pod: &Pod, container: &Container, code: i32, reason: &str, message: String, ran: Duration) -> Ended {
    pod.board.container(&container.name, |s| {
        s.state = "Terminated".into();
        s.reason = reason.into();
        s.message.clone_from(&message);
        s.inner_pid = 0;
        s.exit_code = Some(code);
        s.ready = false;
        s.started = false;
    });
    Ended { code, reason: reason.to_owned(), message, ran }
}

/// Watches a container that runs until it has ended.
async fn attend(pod: &Arc<Pod>, container: &Container, mut child: Child, stop: &Stop) -> (i32, &'static str, String) {
    let (unwell, mut is_unwell) = mpsc::channel(1);
    let care = tokio::spawn(care(Arc::clone(pod), container.clone(), unwell));
    let result = tokio::select! {
        status = child.wait() => {
            let code = status.map_or(1, process::code_of);
            (code, if code == 0 { "Completed" } else { "Error" }, String::new())
        }
        Some((why, grace)) = is_unwell.recv() => {
            let code = terminate(pod, container, &mut child, grace.unwrap_or(stop.grace)).await;
            (code, "Unhealthy", why)
        }
        () = stop.token.cancelled() => {
            pod.board.container(&container.name, |s| s.ready = false);
            let code = terminate(pod, container, &mut child, stop.grace).await;
            (code, "Completed", String::new())
        }
    };
    care.abort();
    result
}

/// preStop, SIGTERM, and SIGKILL when the time is up; the exit code.
async fn terminate(pod: &Arc<Pod>, container: &Container, child: &mut Child, grace: Duration) -> i32 {
    let end = Instant::now() + grace;
    if let Some(hook) = container.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref()) {
        tokio::select! {
            status = child.wait() => return status.map_or(1, process::code_of),
            _ = timeout(grace, run_hook(pod, container, hook)) => {}
        }
    }
    signal(child, Signal::SIGTERM);
    if let Ok(status) = tokio::time::timeout_at(end, child.wait()).await {
        return status.map_or(1, process::code_of);
    }
    signal(child, Signal::SIGKILL);
    child.wait().await.map_or(137, process::code_of)
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Hook and probes of a container that runs.
async fn care(pod: Arc<Pod>, container: Container, unwell: mpsc::Sender<(String, Option<Duration>)>) {
    if let Some(hook) = container.lifecycle.as_ref().and_then(|l| l.post_start.as_ref())
        && let Err(why) = run_hook(&pod, &container, hook).await
    {
        let _ = unwell.send((format!("its postStart hook failed: {why}"), None)).await;
        return;
    }
    if let Some(startup) = &container.startup_probe {
        if let Err(why) = until_started(&pod, &container, startup).await {
            let grace = startup.termination_grace_period_seconds.map(Duration::from_secs);
            let _ = unwell.send((format!("its startup probe failed: {why}"), grace)).await;
            return;
        }
        let ready = container.readiness_probe.is_none();
        pod.board.container(&container.name, |s| {
            s.started = true;
            s.ready = ready;
        });
    }
    let readiness = async {
        if let Some(probe) = &container.readiness_probe {
            watch_readiness(&pod, &container, probe).await;
        }
    };
    let liveness = async {
        if let Some(probe) = &container.liveness_probe {
            let why = until_dead(&pod, &container, probe).await;
            let grace = probe.termination_grace_period_seconds.map(Duration::from_secs);
            let _ = unwell.send((format!("its liveness probe failed: {why}"), grace)).await;
        }
    };
    tokio::join!(readiness, liveness);
}

/// Asks more often than the period says until the first success, so that nobody waits for a period to pass; failures
/// count by the period all the same.
async fn until_started(pod: &Arc<Pod>, container: &Container, probe: &Probe) -> Result<(), String> {
    sleep(seconds(probe.initial_delay_seconds)).await;
    let allowed = seconds(probe.period_seconds) * probe.failure_threshold.max(1);
    let begun = Instant::now();
    loop {
        match ask(pod, container, probe).await {
            Ok(()) => return Ok(()),
            Err(why) if begun.elapsed() >= allowed => return Err(why),
            Err(why) => pod.board.container(&container.name, |s| s.message = format!("startup probe: {why}")),
        }
        sleep(EAGER.min(seconds(probe.period_seconds))).await;
    }
}

async fn watch_readiness(pod: &Arc<Pod>, container: &Container, probe: &Probe) {
    sleep(seconds(probe.initial_delay_seconds)).await;
    let mut counter = Counter::new(probe);
    let mut was_ready = false;
    loop {
        let answer = ask(pod, container, probe).await;
        let verdict = counter.note(answer.is_ok());
        let message = answer.err().map(|why| format!("readiness probe: {why}")).unwrap_or_default();
        let now = pod.board.of(&container.name);
        let ready = verdict.unwrap_or(now.ready);
        was_ready |= ready;
        if now.ready != ready || now.message != message {
            pod.board.container(&container.name, |s| {
                s.ready = ready;
                s.message = message;
            });
        }
        let period = seconds(probe.period_seconds);
        sleep(if was_ready { period } else { EAGER.min(period) }).await;
    }
}

async fn until_dead(pod: &Arc<Pod>, container: &Container, probe: &Probe) -> String {
    sleep(seconds(probe.initial_delay_seconds)).await;
    let mut counter = Counter::new(probe);
    loop {
        sleep(seconds(probe.period_seconds)).await;
        let answer = ask(pod, container, probe).await;
        if counter.note(answer.is_ok()) == Some(false) {
            return answer.err().unwrap_or_default();
        }
    }
}

async fn ask(pod: &Arc<Pod>, container: &Container, probe: &Probe) -> Result<(), String> {
    let limit = seconds(probe.timeout_seconds);
    match Check::of(pod, container, probe)? {
        Check::Exec(command) => timeout(limit, exec(pod, container, command))
            .await
            .unwrap_or_else(|_| Err(format!("the program did not end within {} s", limit.as_secs()))),
        check => probe::ask(&check, limit).await,
    }
}

async fn run_hook(pod: &Arc<Pod>, container: &Container, hook: &Handler) -> Result<(), String> {
    if let Some(action) = &hook.exec {
        return exec(pod, container, action.command.clone()).await;
    }
    if let Some(get) = &hook.http_get {
        return probe::ask(&probe::http_check(pod, container, get)?, Duration::from_secs(30)).await;
    }
    if let Some(action) = &hook.sleep {
        sleep(Duration::from_secs(action.seconds)).await;
    }
    Ok(())
}

async fn exec(pod: &Arc<Pod>, container: &Container, command: Vec<String>) -> Result<(), String> {
    let job = exec_job(pod, container, command)?;
    let stdio = [Stdio::null(), Stdio::null(), Stdio::null()];
    let mut child = process::join(&jobs(pod), job, stdio).map_err(|e| e.to_string())?;
    match child.wait().await.map(process::code_of) {
        Ok(0) => Ok(()),
        Ok(code) => Err(format!("the program ended with exit code {code}")),
        Err(error) => Err(error.to_string()),
    }
}

/// A program to run in a container that runs.
///
/// # Errors
/// The container does not run.
pub fn exec_job(pod: &Pod, container: &Container, command: Vec<String>) -> Result<enter::Exec, String> {
    let status = pod.board.of(&container.name);
    if status.inner_pid == 0 {
        return Err(format!("container {} of pod {}/{} does not run", container.name, pod.namespace, pod.name));
    }
    let mut process = process_of(pod, container)?;
    process.command = command;
    Ok(enter::Exec { pid: status.inner_pid, process })
}

fn launch(pod: &Pod, container: &Container, report: PathBuf) -> Result<Child, (&'static str, String)> {
    let wrong = |e: String| ("CreateContainerConfigError", e);
    volumes::write(pod).map_err(|e| wrong(format!("{e:#}")))?;
    let process = process_of(pod, container).map_err(wrong)?;
    if process.command.is_empty() {
        return Err(wrong("it has no command, and images (which have one) are not used here: give `command`".into()));
    }
    let _ = fs::remove_file(&report);
    let job = enter::Container {
        hostname: env::hostname(pod),
        netns: pod.netns_file(),
        workshop: pod.machine.state.run().join("root"),
        image: Some(PathBuf::from(&container.image)).filter(|i| i.is_absolute() && i.is_dir()),
        mounts: volumes::mounts(pod, container).map_err(|e| wrong(format!("{e:#}")))?,
        process,
        report,
    };
    let start = || {
        let log = logs::pipe_to(&pod.machine.state.log_of(&pod.namespace, &pod.name, &container.name))?;
        process::start(&jobs(pod), job, Stdio::from(log.try_clone()?), Stdio::from(log))
    };
    start().map_err(|e: std::io::Error| ("StartError", e.to_string()))
}

fn process_of(pod: &Pod, container: &Container) -> Result<Process, String> {
    let env = env::environment(pod, container)?;
    let command = env::command(container, &env);
    let directory = (!container.working_dir.is_empty()).then(|| PathBuf::from(&container.working_dir));
    Ok(Process { command, env, directory, user: user_of(pod, container) })
}

fn user_of(pod: &Pod, container: &Container) -> User {
    let own = container.security_context.as_ref();
    let all = pod.spec.security_context.as_ref();
    let capabilities = own.and_then(|s| s.capabilities.clone()).unwrap_or_default();
    let uid = own.and_then(|s| s.run_as_user).or_else(|| all.and_then(|s| s.run_as_user));
    let gid = own.and_then(|s| s.run_as_group).or_else(|| all.and_then(|s| s.run_as_group));
    let single = pod.machine.single_uid;
    // One uid for everything where there is no other to give.
    User {
        uid: uid.filter(|u| !single && *u != 0),
        gid: gid.or(uid.filter(|u| *u != 0)).filter(|g| !single && *g != 0),
        add: capabilities.add,
        drop: capabilities.drop,
    }
}

fn jobs(pod: &Pod) -> PathBuf {
    pod.machine.state.run().join("jobs")
}

/// Says that a container waits for its turn.
pub fn waiting(pod: &Pod, container: &Container) {
    pod.board.container(&container.name, |s| {
        s.state = "Waiting".into();
        s.reason = WAITING.into();
    });
}

fn seconds(n: u32) -> Duration {
    Duration::from_secs(n.into())
}

/// Back-off between starts: 1 s, doubling to 30 s, and from the beginning after a run of a minute.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const WELL_AFTER: Duration = Duration::from_secs(60);
/// Time between looks at whether a program runs.
const LOOK: Duration = Duration::from_millis(2);
/// Time between probes until the first success.
const EAGER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a container counts as started whose process 1 does this with its report.
    async fn starts(script: &str) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let report = folder.path().join("report");
        let mut shell = tokio::process::Command::new("sh");
        let mut child = shell.args(["-c", script]).env("REPORT", &report).spawn().expect("sh");
        let stop = Stop { token: CancellationToken::new(), grace: Duration::ZERO };
        let started = has_started(&report, &mut child, &stop).await;
        let _ = child.kill().await;
        started
    }

    #[tokio::test]
    async fn a_container_runs_once_its_program_does() {
        assert!(starts(": >$REPORT; sleep 0.05; echo >$REPORT; sleep 5").await);
        assert!(!starts(": >$REPORT; sleep 0.05; echo exec: no such file >$REPORT; sleep 0.05; exit 127").await);
        assert!(!starts("exit 1").await);
    }
}
