//! The program that becomes a container.
//!
//! The supervisor starts this program again, as `leno local enter FILE`, in a new process namespace, because what has to
//! happen between fork and exec (namespaces, mounts, a new root) is not allowed between fork and exec of a program with
//! threads. [`init`] is process 1 of a container: it builds the root, starts the app, passes signals on and reaps;
//! when the app ends it ends, and the kernel ends whatever else is left. [`Job::Exec`] joins a container that runs.

mod init;
mod root;
pub mod user;

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use nix::sched::{CloneFlags, setns};
use serde::{Deserialize, Serialize};

use user::User;

/// What to become; the content of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Job {
    /// A new container.
    Init(Container),
    /// One more program in a container.
    Exec(Exec),
}

/// A container to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Container {
    /// Host name.
    pub hostname: String,
    /// Handle of the pod's network namespace.
    pub netns: PathBuf,
    /// Empty directory where the root is built.
    pub workshop: PathBuf,
    /// The root folder. `None`: this machine's.
    pub image: Option<PathBuf>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// What runs.
    pub process: Process,
    /// Where errors from before the start are written, or that there were none.
    pub report: PathBuf,
}

/// A file or directory of the supervisor's, put at a place in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What.
    pub source: PathBuf,
    /// Where, absolute.
    pub target: PathBuf,
    /// Not writable.
    pub read_only: bool,
}

/// A program to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub directory: Option<PathBuf>,
    /// Who it is.
    pub user: User,
}

/// One more program in a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exec {
    /// Process id of the container's first process.
    pub pid: u32,
    /// What runs.
    pub process: Process,
}

/// What the report of a container says whose app runs; any other text is why it does not.
pub const STARTED: &str = "\n";
/// Exit code where the program cannot be run, as shells have it.
pub const NOT_RUN: u8 = 127;

/// Does the job in `file`, and removes the file.
#[must_use]
pub fn run(file: &Path) -> ExitCode {
    let job = std::fs::read(file)
        .context("the job cannot be read")
        .and_then(|bytes| serde_json::from_slice(&bytes).context("the job cannot be understood"));
    let _ = std::fs::remove_file(file);
    match job {
        Ok(Job::Init(container)) => init::run(container),
        Ok(Job::Exec(exec)) => {
            let error = join(&exec);
            eprintln!("{error:#}");
            ExitCode::from(NOT_RUN)
        }
        Err(error) => {
            eprintln!("leno: {error:#}");
            ExitCode::from(NOT_RUN)
        }
    }
}

/// Joins the container and becomes the program; returns only if it cannot.
fn join(exec: &Exec) -> anyhow::Error {
    match enter(exec.pid).and_then(|()| command(&exec.process)) {
        Ok(mut command) => anyhow::Error::from(command.exec()).context(format!("exec: {:?}", exec.process.command[0])),
        Err(error) => error,
    }
}

fn enter(pid: u32) -> anyhow::Result<()> {
    // All of them are opened before the first is entered: /proc is another one afterwards.
    let spaces = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let open = |(name, flag)| Ok((File::open(format!("/proc/{pid}/ns/{name}"))?, flag));
    let files: Vec<(File, CloneFlags)> =
        spaces.into_iter().map(open).collect::<std::io::Result<_>>().context("the container has ended")?;
    for (file, flag) in files {
        setns(file, flag).context("the container cannot be entered")?;
    }
    Ok(())
}

/// The command for a process, in this root. Drops capabilities from what it can ever have.
fn command(process: &Process) -> anyhow::Result<Command> {
    let Some(first) = process.command.first() else { anyhow::bail!("no command") };
    let path = process.env.iter().find(|(k, _)| k == "PATH").map_or("", |(_, v)| v);
    let directory = process.directory.as_deref().unwrap_or(Path::new("/"));
    let program = find(first, path, directory).map_err(|why| anyhow::anyhow!("exec: {first:?}: {why}"))?;
    if !directory.is_dir() {
        anyhow::bail!("working directory {} does not exist", directory.display());
    }
    user::limit(&process.user)?;
    let mut command = Command::new(program);
    command.arg0(first).args(&process.command[1..]).env_clear().current_dir(directory);
    command.envs(process.env.iter().map(|(k, v)| (k, v)));
    if let Some(gid) = process.user.gid {
        command.gid(gid);
    }
    if let Some(uid) = process.user.uid {
        command.uid(uid);
    }
    Ok(command)
}

/// Finds a program as `execvp` does, and says why it is not found.
fn find(name: &str, path: &str, directory: &Path) -> Result<PathBuf, &'static str> {
    let executable = |file: &Path| match file.metadata() {
        Ok(meta) if meta.is_dir() => Err("is a directory"),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => Err("is not executable"),
        Ok(_) => Ok(()),
        Err(_) => Err("no such file"),
    };
    if name.contains('/') {
        let file = directory.join(name);
        return executable(&file).map(|()| file);
    }
    path.split(':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| directory.join(dir).join(name))
        .find(|file| executable(file).is_ok())
        .ok_or("not found in PATH")
}

/// Tells the supervisor that the app runs.
fn report_start(mut to: &File) {
    let _ = to.write_all(STARTED.as_bytes());
}

/// Writes why the app did not start to where the supervisor looks for it.
fn report(mut to: &File, error: &anyhow::Error) {
    let _ = write!(to, "{error:#}");
}
