//! `leno local logs`.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use leno_local::LocalMesh;

use super::target;
use crate::access::Log;

/// Arguments of `leno local logs`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A pod, `deploy/NAME`, `job/NAME`, or `system/leno-control`.
    target: String,
    /// Container; the pod's first by default.
    #[arg(short, long)]
    container: Option<String>,
    /// Namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Goes on as more is written.
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines.
    #[arg(long)]
    tail: Option<usize>,
}

/// Prints a log.
///
/// # Errors
/// There is no such pod, container or program.
pub(super) fn run(args: &Args, mesh: &LocalMesh) -> anyhow::Result<ExitCode> {
    let file = file_of(args, mesh)?;
    let mut old = file.clone().into_os_string();
    old.push(".1");
    let mut bytes = std::fs::read(PathBuf::from(old)).unwrap_or_default();
    let mut current = File::open(&file).ok();
    if let Some(current) = &mut current {
        current.read_to_end(&mut bytes)?;
    }
    let from = args.tail.map_or(0, |lines| start_of_last(&bytes, lines));
    write(&bytes[from..])?;
    if args.follow {
        follow(&file, current, mesh)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the log of a container for a verb that knows the pod.
///
/// # Errors
/// There is no such pod or container.
pub(crate) fn print(mesh: &LocalMesh, namespace: &str, pod: &str, log: Log<'_>) -> anyhow::Result<()> {
    let args = Args {
        target: pod.to_owned(),
        container: Some(log.container.to_owned()),
        namespace: namespace.to_owned(),
        follow: log.follow,
        tail: log.tail,
    };
    run(&args, mesh).map(|_| ())
}

fn file_of(args: &Args, mesh: &LocalMesh) -> anyhow::Result<PathBuf> {
    if let Some(name) = args.target.strip_prefix("system/") {
        let name = if name == "supervisor" { return Ok(mesh.state().supervisor_log()) } else { name };
        let file = mesh.state().logs().join(format!("{name}.log"));
        return if file.exists() { Ok(file) } else { Err(anyhow!("the mesh has no program {name}")) };
    }
    let status = mesh.status()?;
    let pod = target::pod(&status, &args.namespace, &args.target)?;
    let first = || pod.containers.iter().find(|c| !c.init).map(|c| c.name.clone());
    let name = args.container.clone().or_else(first).unwrap_or_default();
    if !pod.containers.iter().any(|c| c.name == name) {
        let all: Vec<&str> = pod.containers.iter().map(|c| c.name.as_str()).collect();
        bail!("pod {} has no container {name:?}; it has: {}", pod.name, all.join(", "));
    }
    Ok(mesh.state().log_of(&pod.namespace, &pod.name, &name))
}

/// Goes on until the mesh has ended or nobody reads any more.
fn follow(path: &Path, mut current: Option<File>, mesh: &LocalMesh) -> anyhow::Result<()> {
    let mut quiet = 0;
    loop {
        let mut bytes = Vec::new();
        if let Some(file) = &mut current {
            file.read_to_end(&mut bytes).context("the log cannot be read")?;
        }
        write(&bytes)?;
        // The file was put aside and a new one begun.
        let inode = |m: std::io::Result<std::fs::Metadata>| m.ok().map(|m| m.ino());
        let fresh = inode(std::fs::metadata(path));
        if fresh.is_some() && current.as_ref().and_then(|f| inode(f.metadata())) != fresh {
            current = File::open(path).ok();
            if let Some(file) = &mut current {
                file.seek(SeekFrom::Start(0))?;
            }
            continue;
        }
        quiet = if bytes.is_empty() { quiet + 1 } else { 0 };
        if quiet % 20 == 19 && LocalMesh::connect(mesh.state()).is_err() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn start_of_last(bytes: &[u8], lines: usize) -> usize {
    if lines == 0 {
        return bytes.len();
    }
    let end = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    end.iter().enumerate().rev().filter(|(_, b)| **b == b'\n').nth(lines - 1).map_or(0, |(at, _)| at + 1)
}

fn write(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
