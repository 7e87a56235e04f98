//! The client's side of the control socket.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

use crate::object::{ObjectKey, Submitted};
use crate::protocol::{Applied, Exec, PodStatus, Reply, Request, Signal, Start, Status, Unready, Wire};
use crate::state::StateDir;

/// A running local mesh.
#[derive(Clone, Debug)]
pub struct LocalMesh {
    state: StateDir,
}

impl LocalMesh {
    /// Finds the mesh of a state directory and asks whether it is alive.
    ///
    /// # Errors
    /// When no mesh runs there.
    pub fn connect(state: &StateDir) -> anyhow::Result<Self> {
        let mesh = Self { state: state.clone() };
        match mesh.ask(&Request::Hello) {
            Ok(Reply::Hello { .. }) => Ok(mesh),
            Ok(other) => bail!("the mesh answered {other:?}"),
            Err(_) => bail!(
                "no local mesh runs with its state in {} (start one by `leno local up`, or say which by --state DIR)",
                state.path().display()
            ),
        }
    }

    /// Its state directory.
    #[must_use]
    pub const fn state(&self) -> &StateDir {
        &self.state
    }

    /// How everything is, process ids as this machine sees them.
    ///
    /// # Errors
    /// When the mesh is gone.
    pub fn status(&self) -> anyhow::Result<Status> {
        let wire = self.open()?;
        wire.send(&Request::Status)?;
        let Reply::Status(mut status) = reply(&wire)? else { bail!("the mesh answered something else") };
        if let Ok(supervisor) = self.open()?.peer_pid() {
            translate(&mut status, &Processes::below(supervisor));
        }
        Ok(*status)
    }

    /// All pods.
    ///
    /// # Errors
    /// When the mesh is gone.
    pub fn pods(&self) -> anyhow::Result<Vec<PodStatus>> {
        Ok(self.status()?.pods)
    }

    /// All objects with their status.
    ///
    /// # Errors
    /// When the mesh is gone.
    pub fn objects(&self) -> anyhow::Result<Vec<Value>> {
        match self.ask(&Request::Objects)? {
            Reply::Objects(objects) => Ok(objects),
            other => bail!("the mesh answered {other:?}"),
        }
    }

    /// Creates or changes objects.
    ///
    /// # Errors
    /// When the mesh is gone; what is refused is in the result.
    pub fn apply(&self, objects: Vec<Submitted>) -> anyhow::Result<Applied> {
        self.applied(&Request::Apply(objects))
    }

    /// Removes objects.
    ///
    /// # Errors
    /// When the mesh is gone.
    pub fn delete(&self, keys: Vec<ObjectKey>) -> anyhow::Result<Applied> {
        self.applied(&Request::Delete(keys))
    }

    fn applied(&self, request: &Request) -> anyhow::Result<Applied> {
        match self.ask(request)? {
            Reply::Applied(applied) => Ok(applied),
            other => bail!("the mesh answered {other:?}"),
        }
    }

    /// A TCP connection to a port of a pod, made on the pod's loopback. The socket works in this process as any other.
    ///
    /// # Errors
    /// When there is no such pod, or nothing listens.
    pub fn dial_pod(&self, namespace: &str, pod: &str, port: u16) -> anyhow::Result<TcpStream> {
        self.dial(&Request::DialPod { namespace: namespace.into(), pod: pod.into(), port })
    }

    /// A TCP connection made from the mesh's node: to a program on the node by 127.0.0.1, to a pod by its address, to a
    /// service by its cluster IP.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn dial_node(&self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        self.dial(&Request::DialNode(address))
    }

    fn dial(&self, request: &Request) -> anyhow::Result<TcpStream> {
        let wire = self.open()?;
        wire.send(request)?;
        match wire.receive_with::<Reply>()? {
            Some((Reply::Connected, mut descriptors)) => {
                let socket = descriptors.pop().ok_or_else(|| anyhow!("the mesh sent no socket"))?;
                Ok(TcpStream::from(socket))
            }
            Some((Reply::Failed(why), _)) => Err(anyhow!(why)),
            _ => bail!("the mesh hung up"),
        }
    }

    /// Runs a program in a container with these three descriptors as its standard ones; its exit code. `signals` gives
    /// signals to pass on.
    ///
    /// # Errors
    /// When there is no such container, or the program cannot be started.
    pub fn exec(
        &self,
        exec: Exec,
        stdio: [BorrowedFd<'_>; 3],
        signals: impl Iterator<Item = i32> + Send + 'static,
    ) -> anyhow::Result<i32> {
        let wire = self.open()?;
        wire.send_with(&Request::Exec(exec), &stdio)?;
        let other = wire.try_clone()?;
        std::thread::spawn(move || {
            for signal in signals {
                if other.send(&Signal(signal)).is_err() {
                    break;
                }
            }
        });
        loop {
            match reply(&wire)? {
                Reply::Started => {}
                Reply::Exit(code) => return Ok(code),
                other => bail!("the mesh answered {other:?}"),
            }
        }
    }

    /// Replaces the pods of a workload one after the other and waits until all are new and ready. `progress` is called
    /// with what is waited for.
    ///
    /// # Errors
    /// When there is no such workload, or new pods fail.
    pub fn restart(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        progress: impl FnMut(&[Unready]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let wire = self.open()?;
        wire.send(&Request::Restart { kind: kind.into(), namespace: namespace.into(), name: name.into() })?;
        wait_on(&wire, None, progress)
    }

    /// Waits until everything is ready.
    ///
    /// # Errors
    /// When the mesh is gone or `progress` gives up.
    pub fn wait(&self, progress: impl FnMut(&[Unready]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let wire = self.open()?;
        wire.send(&Request::Wait)?;
        wait_on(&wire, None, progress)
    }

    /// Ends the mesh and waits until it is gone.
    ///
    /// # Errors
    /// When it does not go within ten seconds.
    pub fn down(&self) -> anyhow::Result<()> {
        let wire = self.open()?;
        wire.set_timeout(Some(Duration::from_secs(10)))?;
        wire.send(&Request::Down)?;
        // Ends when the process at the other end is gone.
        while let Ok(Some(_)) = wire.receive::<Reply>() {}
        Ok(())
    }

    /// Process id of the supervisor, as this process sees it.
    ///
    /// # Errors
    /// When the mesh is gone.
    pub fn supervisor_pid(&self) -> io::Result<u32> {
        self.open()?.peer_pid()
    }

    pub(crate) fn start(state: &StateDir, start: Start) -> anyhow::Result<(Wire, Applied)> {
        let wire = open(state)?;
        wire.send(&Request::Start(Box::new(start)))?;
        match reply(&wire)? {
            Reply::Applied(applied) => Ok((wire, applied)),
            other => bail!("the mesh answered {other:?}"),
        }
    }

    fn open(&self) -> io::Result<Wire> {
        open(&self.state)
    }

    fn ask(&self, request: &Request) -> anyhow::Result<Reply> {
        let wire = self.open()?;
        wire.send(request)?;
        reply(&wire)
    }
}

/// Reads progress until it is done. `quiet` is how often `progress` is called where nothing is said.
pub(crate) fn wait_on(
    wire: &Wire,
    quiet: Option<Duration>,
    mut progress: impl FnMut(&[Unready]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    wire.set_timeout(quiet)?;
    let mut last = Vec::new();
    loop {
        match wire.receive::<Reply>() {
            Ok(Some(Reply::Done)) => return Ok(()),
            Ok(Some(Reply::Progress(unready))) => {
                progress(&unready)?;
                last = unready;
            }
            Ok(Some(Reply::Failed(why))) => return Err(anyhow!(why)),
            Ok(Some(other)) => bail!("the mesh answered {other:?}"),
            Ok(None) => bail!("the mesh has ended"),
            // Between frames only: a frame is written at once.
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => progress(&last)?,
            Err(e) => return Err(e).context("the mesh has ended"),
        }
    }
}

fn reply(wire: &Wire) -> anyhow::Result<Reply> {
    match wire.receive()? {
        Some(Reply::Failed(why)) => Err(anyhow!(why)),
        Some(reply) => Ok(reply),
        None => bail!("the mesh hung up"),
    }
}

fn open(state: &StateDir) -> io::Result<Wire> {
    // A socket's path is limited to 108 bytes; that of a descriptor is short wherever the directory is.
    let dir = fs::File::open(state.path())?;
    let path = format!("/proc/self/fd/{}/socket", dir.as_fd().as_raw_fd());
    UnixStream::connect(path).map(Wire::new)
}

/// The mesh's processes, by both of their ids.
struct Processes {
    /// Inside the mesh's process namespace -> as this process sees them.
    outer: HashMap<u32, u32>,
    /// Child -> parent, as this process sees them.
    parents: HashMap<u32, u32>,
}

impl Processes {
    fn below(supervisor: u32) -> Self {
        let (mut inner, mut parents) = (HashMap::new(), HashMap::new());
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
            let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
            let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
            let ids: Vec<u32> = field("NSpid:").split_whitespace().filter_map(|n| n.parse().ok()).collect();
            if let Some(inside) = ids.get(1) {
                inner.insert(pid, *inside);
            }
            parents.insert(pid, field("PPid:").trim().parse::<u32>().unwrap_or(0));
        }
        let ours = |mut pid: u32| {
            // A handful of steps from any process of the mesh to its supervisor.
            for _ in 0..64 {
                if pid == supervisor {
                    return true;
                }
                match parents.get(&pid) {
                    Some(parent) if *parent > 1 => pid = *parent,
                    _ => return false,
                }
            }
            false
        };
        let outer = inner.iter().filter(|(pid, _)| ours(**pid)).map(|(outer, inside)| (*inside, *outer)).collect();
        Self { outer, parents }
    }

    fn find(&self, inner: u32) -> Option<u32> {
        self.outer.get(&inner).copied()
    }

    /// The app of a container, which is the first child of its first process.
    fn app_of(&self, inner: u32) -> Option<u32> {
        let init = self.find(inner)?;
        self.parents.iter().filter(|(_, parent)| **parent == init).map(|(pid, _)| *pid).min()
    }
}

fn translate(status: &mut Status, processes: &Processes) {
    for system in &mut status.system {
        system.pid = processes.find(system.inner_pid);
    }
    for container in status.pods.iter_mut().flat_map(|p| &mut p.containers) {
        container.pid = processes.app_of(container.inner_pid);
    }
}
