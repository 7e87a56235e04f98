//! Starting a mesh from outside: what it needs of the machine, and the process that holds it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use crate::client::{LocalMesh, wait_on};
use crate::protocol::{Applied, Start, Unready, Wire};
use crate::state::StateDir;

/// A program of this project or of the machine: beside this one, or in PATH.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let runs = |f: &PathBuf| f.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let in_path = std::env::split_paths(&path).chain(system).map(|dir| dir.join(name));
    beside.into_iter().chain(in_path).find(runs)
}

/// What is missing on this machine, one sentence each.
#[must_use]
pub fn missing() -> Vec<String> {
    let mut missing: Vec<String> = TOOLS
        .iter()
        .filter(|(program, _)| find_program(program).is_none())
        .map(|(program, package)| {
            format!("the program `{program}` is missing: install the package {package} (Debian, Ubuntu)")
        })
        .collect();
    for program in ["leno-control", "leno-proxy"] {
        if find_program(program).is_none() {
            missing.push(format!(
                "the program `{program}` is neither beside `leno` nor in PATH: build it by `make build`"
            ));
        }
    }
    if !nix::unistd::geteuid().is_root()
        && let Some(why) = user_namespaces_forbidden()
    {
        missing.push(why);
    }
    missing
}

/// Why an ordinary user may not have a user namespace here, as far as the kernel's switches say.
fn user_namespaces_forbidden() -> Option<String> {
    let read = |file: &str| fs::read_to_string(file).ok().map(|t| t.trim().to_owned());
    let switch = |name: &str, to: &str| {
        format!("this kernel forbids user namespaces to ordinary users: run as root, or `sudo sysctl -w {name}={to}`")
    };
    if read("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return Some(switch("user.max_user_namespaces", "10000"));
    }
    if read("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return Some(switch("kernel.unprivileged_userns_clone", "1"));
    }
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return Some(switch("kernel.apparmor_restrict_unprivileged_userns", "0"));
    }
    None
}

/// A mesh that was started and is not yet known to be well. Dropping it ends the mesh.
#[derive(Debug)]
pub struct Starting {
    state: StateDir,
    holder: Child,
    wire: Option<Wire>,
    /// It shall stay.
    kept: bool,
}

impl Starting {
    /// Starts the process that holds a mesh, and gives it its first objects.
    ///
    /// # Errors
    /// When a mesh runs there already, when the machine lacks something, or when the mesh refuses the objects.
    pub fn begin(state: &StateDir, start: Start) -> anyhow::Result<(Self, Applied)> {
        let missing = missing();
        if !missing.is_empty() {
            bail!("this machine cannot run a local mesh yet:\n  {}", missing.join("\n  "));
        }
        if LocalMesh::connect(state).is_ok() {
            bail!(
                "a local mesh runs already with its state in {}: change it by `leno local apply`, end it by \
                 `leno local down`, or start another one with --state DIR",
                state.path().display()
            );
        }
        // What a run that was killed has left: files only, the kernel has removed the rest.
        state.remove().with_context(|| format!("{} cannot be cleaned", state.path().display()))?;
        state.create()?;
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o700))?;
        let log = File::create(state.supervisor_log())?;
        let holder = holder(state, &log).inspect_err(|_| drop(state.remove()))?;
        let mut starting = Self { state: state.clone(), holder, wire: None, kept: false };
        starting.await_socket()?;
        let (wire, applied) = LocalMesh::start(state, start)?;
        starting.wire = Some(wire);
        if !applied.refused.is_empty() {
            bail!("{}", applied.refused.join("\n"));
        }
        Ok((starting, applied))
    }

    fn await_socket(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        while LocalMesh::connect(&self.state).is_err() {
            if let Some(status) = self.holder.try_wait()? {
                let said = fs::read_to_string(self.state.supervisor_log()).unwrap_or_default();
                bail!("the mesh did not start ({status}): {}", said.trim());
            }
            if Instant::now() > end {
                let said = fs::read_to_string(self.state.supervisor_log()).unwrap_or_default();
                bail!("the mesh did not start within 10 s: {}", said.trim());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits until everything is ready; from then on the mesh stays when this process ends. `progress` is called when
    /// something changes and every 200 ms; its error ends the wait, and the mesh.
    ///
    /// # Errors
    /// What `progress` says, or when the mesh has ended.
    pub fn wait(mut self, progress: impl FnMut(&[Unready]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let wire = self.wire.as_ref().ok_or_else(|| anyhow!("it was not started"))?;
        wire.send(&crate::protocol::Request::Wait)?;
        wait_on(wire, Some(Duration::from_millis(200)), progress)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Some(wire) = self.wire.take() {
            wire.hang_up();
        } else {
            let _ = LocalMesh::connect(&self.state).and_then(|mesh| mesh.down());
        }
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && matches!(self.holder.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Its child, the mesh's first process, dies with it, and with that everything.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let _ = self.state.remove();
    }
}

/// `unshare`, whose child is the mesh's first process and dies with it.
fn holder(state: &StateDir, log: &File) -> anyhow::Result<Child> {
    let mut command = Command::new("setsid");
    command.arg("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
        if has_sub_uids() {
            command.arg("--map-auto");
        }
    }
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--mount"]);
    command.arg(std::env::current_exe()?).args(["local", "supervise"]).arg(state.path());
    // Not in a directory that somebody may want to remove.
    command.current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log.try_clone()?));
    command.spawn().context("setsid (package util-linux) cannot be run")
}

/// Whether this user has uids to give to containers, and a program that maps them.
fn has_sub_uids() -> bool {
    if find_program("newuidmap").is_none() || find_program("newgidmap").is_none() {
        return false;
    }
    let Ok(Some(user)) = nix::unistd::User::from_uid(nix::unistd::getuid()) else { return false };
    [Path::new("/etc/subuid"), Path::new("/etc/subgid")].iter().all(|file| enough(file, &user))
}

fn enough(file: &Path, user: &nix::unistd::User) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let uid = user.uid.to_string();
    text.lines().any(|line| {
        let mut parts = line.split(':');
        let owner = parts.next().unwrap_or_default();
        let count = parts.nth(1).and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0);
        (owner == user.name || owner == uid) && count >= 65_536
    })
}

/// Ends the mesh of a state directory, or cleans what a killed one has left. False if there was nothing.
///
/// # Errors
/// When it does not go, or its files cannot be removed.
pub fn down(state: &StateDir) -> anyhow::Result<bool> {
    let clean = |what| state.remove().with_context(|| format!("{} cannot be {what}", state.path().display()));
    match LocalMesh::connect(state) {
        Ok(mesh) => {
            let holders = holders(&mesh);
            mesh.down()?;
            await_end(&holders)?;
            clean("removed")?;
            Ok(true)
        }
        Err(_) if state.path().exists() => clean("cleaned").map(|()| true),
        Err(_) => Ok(false),
    }
}

/// The processes above the supervisor: the mesh's first one, and `unshare`.
fn holders(mesh: &LocalMesh) -> Vec<u32> {
    let Ok(supervisor) = mesh.supervisor_pid() else { return Vec::new() };
    let parent = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|l| l.strip_prefix("PPid:"))?.trim().parse::<u32>().ok()
    };
    let first = parent(supervisor);
    let unshare = first.and_then(parent);
    [Some(supervisor), first, unshare].into_iter().flatten().filter(|pid| *pid > 1).collect()
}

fn await_end(pids: &[u32]) -> anyhow::Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    // A zombie is gone as far as the mesh is concerned: it holds nothing.
    let alive = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|s| !s.rsplit(')').next().unwrap_or("").starts_with(" Z"))
    };
    while pids.iter().any(alive) {
        if Instant::now() > end {
            bail!("the mesh's processes did not end within 10 s: {pids:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Programs of the machine and the packages they are in.
const TOOLS: &[(&str, &str)] =
    &[("setsid", "util-linux"), ("unshare", "util-linux"), ("ip", "iproute2"), ("nft", "nftables")];
