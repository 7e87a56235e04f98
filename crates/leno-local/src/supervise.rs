//! What runs inside: the first process of the mesh's namespaces, and the supervisor.
//!
//! Process 1 reaps orphans and waits for the supervisor; when that ends, it removes the state directory and ends, and the
//! kernel ends everything else. The supervisor ([`serve`]) has one task that owns all state ([`mesh`]); connections of
//! clients ([`server`]), pods and the mesh's own programs ([`system`]) talk to it by events.

pub mod endpoints;
pub mod mesh;
mod pods;
mod publish;
mod server;
mod status;
mod system;
mod viz;
pub mod workload;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, anyhow};
use nix::mount::{MsFlags, mount};
use nix::sys::wait::waitpid;

use crate::net::{DNS_IP, link};
use crate::state::StateDir;
use mesh::Mesh;

/// Process 1 of the mesh: starts the supervisor, reaps, and cleans up when it has ended.
#[must_use]
pub fn first_process(state: &StateDir) -> ExitCode {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let child = Command::new("/proc/self/exe").args(["local", "supervise", "--serve"]).arg(state.path()).spawn();
    let child = match child {
        Ok(child) => child.id(),
        Err(error) => {
            eprintln!("leno: the supervisor cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid().is_some_and(|p| u32::try_from(p.as_raw()) == Ok(child)) => break,
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => break,
        }
    }
    // Its content is not ours to remove: it goes with the mount, which is the mesh's own.
    let _ = nix::mount::umount2(&state.run(), nix::mount::MntFlags::MNT_DETACH);
    match state.remove() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leno: {} cannot be removed: {error}", state.path().display());
            ExitCode::FAILURE
        }
    }
}

/// The supervisor. Ends when it is told to, or when whoever started it is gone before the mesh was up.
///
/// # Errors
/// When the machine does not let it set up the node.
pub fn serve(state: &StateDir) -> anyhow::Result<()> {
    mount_run(state).context("no tmpfs for keys and volumes")?;
    let single_uid = has_single_uid()?;
    link::set_up_node().context("the node's network cannot be set up")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (mesh, events) = Mesh::new(state.clone(), single_uid)?;
        crate::dns::server::serve(DNS_IP, mesh.names()).await.context("DNS cannot be served")?;
        server::listen(state, events).context("the control socket cannot be made")?;
        mesh.run().await;
        Ok(())
    })
}

fn mount_run(state: &StateDir) -> anyhow::Result<()> {
    let run = state.run();
    let tmpfs = |path: &Path, mode: &str| {
        fs::create_dir_all(path)?;
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(mode))
            .map_err(io::Error::from)
    };
    tmpfs(&run, "mode=0755")?;
    // So that a container whose root takes over the directory above does not take over this one.
    mount(None::<&str>, &run, None::<&str>, MsFlags::MS_UNBINDABLE, None::<&str>)?;
    // Volumes, on the other hand, are bound into containers.
    tmpfs(&run.join("v"), "mode=0755")?;
    for dir in ["netns", "jobs", "root", "ca"] {
        fs::create_dir_all(run.join(dir))?;
    }
    Ok(())
}

/// Whether this user namespace has one uid only.
fn has_single_uid() -> anyhow::Result<bool> {
    let map = fs::read_to_string("/proc/self/uid_map").context("/proc/self/uid_map")?;
    let highest = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (inner, count) = (numbers.next()?.ok()?, numbers.nth(1)?.ok()?);
        Some(inner + count)
    });
    let highest = highest.max().ok_or_else(|| anyhow!("/proc/self/uid_map is empty"))?;
    Ok(highest <= u64::from(leno_core::names::PROXY_UID))
}
