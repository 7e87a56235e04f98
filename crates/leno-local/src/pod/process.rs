//! Starting programs in containers.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sched::{CloneFlags, setns, unshare};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use crate::enter::{Container, Exec, Job};
use crate::net::ns::in_thread;

/// Starts a container's process 1, with both outputs to `output`.
///
/// # Errors
/// When the kernel refuses.
pub fn start(jobs: &Path, container: Container, output: Stdio, errors: Stdio) -> io::Result<Child> {
    let file = job_file(jobs, &Job::Init(container))?;
    let runtime = Handle::current();
    in_thread(move || {
        let _guard = runtime.enter();
        // Takes effect for children of this thread only, which ends right after.
        unshare(CloneFlags::CLONE_NEWPID)?;
        this_program(&file).stdin(Stdio::null()).stdout(output).stderr(errors).spawn()
    })
}

/// Starts one more program in a container.
///
/// # Errors
/// When the container has ended, or the kernel refuses.
pub fn join(jobs: &Path, exec: Exec, stdio: [Stdio; 3]) -> io::Result<Child> {
    let space = File::open(format!("/proc/{}/ns/pid_for_children", exec.pid))
        .map_err(|_| io::Error::other("the container has ended"))?;
    let file = job_file(jobs, &Job::Exec(exec))?;
    let runtime = Handle::current();
    in_thread(move || {
        let _guard = runtime.enter();
        setns(space, CloneFlags::CLONE_NEWPID)?;
        let [input, output, errors] = stdio;
        this_program(&file).stdin(input).stdout(output).stderr(errors).spawn()
    })
}

/// Exit code as shells have it: 128 + signal where a signal ended it.
#[must_use]
pub fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn this_program(job: &Path) -> Command {
    // Not by its path: the program on disk may have been built anew meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.args(["local", "enter"]).arg(job).kill_on_drop(true);
    command
}

fn job_file(jobs: &Path, job: &Job) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let file = jobs.join(format!("{}.json", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::write(&file, serde_json::to_vec(job)?)?;
    Ok(file)
}
