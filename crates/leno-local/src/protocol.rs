//! What is said over the control socket.
//!
//! A frame is its length (4 bytes, big endian) and JSON. A client sends one [`Request`], with file descriptors where the
//! request is about some, and reads [`Reply`]s until one that ends it. It hangs up to cancel.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::{ObjectKey, Submitted};

/// What a client asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Who are you? [`Reply::Hello`].
    Hello,
    /// Take the mesh's settings and first objects, and hold them until [`Request::Wait`] has succeeded once: if this
    /// connection ends before, the whole mesh ends. Replies [`Reply::Applied`].
    Start(Box<Start>),
    /// Creates or changes objects: [`Reply::Applied`].
    Apply(Vec<Submitted>),
    /// Removes objects: [`Reply::Applied`].
    Delete(Vec<ObjectKey>),
    /// Waits until everything is ready: [`Reply::Progress`] whenever something changes, then [`Reply::Done`].
    /// The client decides how long it waits.
    Wait,
    /// [`Reply::Status`].
    Status,
    /// All objects, with status where they have one: [`Reply::Objects`].
    Objects,
    /// Replaces the pods of a workload one after the other: [`Reply::Progress`], then [`Reply::Done`].
    Restart {
        /// `Deployment`, `StatefulSet`, or `System` for one of the mesh's own programs.
        kind: String,
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// Runs a program in a container with the three descriptors sent along: [`Reply::Started`], [`Reply::Exit`].
    /// While it runs the client may send [`Signal`]s; if it hangs up, the program is killed.
    Exec(Exec),
    /// Connects to a pod's port on its loopback: [`Reply::Connected`] with the socket.
    DialPod {
        /// Namespace.
        namespace: String,
        /// Pod.
        pod: String,
        /// Port.
        port: u16,
    },
    /// Connects from the node: [`Reply::Connected`] with the socket.
    DialNode(SocketAddr),
    /// Ends the mesh: [`Reply::Done`], and the connection closes when all is gone.
    Down,
}

/// How a mesh starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// First objects.
    pub objects: Vec<Submitted>,
    /// Life of certificates, such as `24h`.
    pub cert_ttl: String,
    /// Log level of proxies and control plane.
    pub log_level: String,
}

/// A program to run in a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exec {
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Container; `None`: the pod's first.
    pub container: Option<String>,
    /// Program and arguments.
    pub command: Vec<String>,
}

/// A signal for a program that [`Request::Exec`] started.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Signal(pub i32);

/// What the mesh answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Alive.
    Hello {
        /// Version of the program that runs the mesh.
        version: String,
    },
    /// What became of each object.
    Applied(Applied),
    /// What is being waited for.
    Progress(Vec<Unready>),
    /// Done.
    Done,
    /// How everything is.
    Status(Box<Status>),
    /// Objects.
    Objects(Vec<Value>),
    /// The program runs.
    Started,
    /// The program ended with this code (128 + signal where a signal ended it).
    Exit(i32),
    /// A connected socket comes along.
    Connected,
    /// It did not work.
    Failed(String),
}

/// Result of applying or deleting.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Applied {
    /// What happened: (`deployment/web in shop`, `created` | `configured` | `unchanged` | `deleted` | `not found`).
    pub changes: Vec<(ObjectKey, Change)>,
    /// Refused objects and why.
    pub refused: Vec<String>,
    /// Warnings, such as annotations that are not honoured.
    pub warnings: Vec<String>,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Created,
    /// It was changed.
    Configured,
    /// It was so already.
    Unchanged,
    /// It is gone.
    Deleted,
    /// It was not there.
    Missing,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Missing => "not found",
        })
    }
}

/// Something that is not ready, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unready {
    /// `pod shop/web-1`, `deployment shop/web`, `leno-control`.
    pub what: String,
    /// Why.
    pub why: String,
    /// It will not become ready by waiting: a program that is missing, a Job that failed.
    pub hopeless: bool,
}

/// How everything is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// State directory.
    pub state: String,
    /// Version.
    pub version: String,
    /// User namespace without uids to give: all containers run as the caller.
    pub single_uid: bool,
    /// Whether anything is not ready.
    pub ready: bool,
    /// The mesh's own programs.
    pub system: Vec<SystemStatus>,
    /// Workloads.
    pub workloads: Vec<WorkloadStatus>,
    /// Pods.
    pub pods: Vec<PodStatus>,
    /// Services.
    pub services: Vec<ServiceStatus>,
    /// Warnings of all objects, by object.
    pub warnings: Vec<String>,
}

/// One of the mesh's own programs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SystemStatus {
    /// `leno-control`, `leno-viz`.
    pub name: String,
    /// Runs and answers.
    pub ready: bool,
    /// Process id as this machine sees it (filled in by the client); none while it does not run, so
    /// that nobody signals process 0, which is the caller's own group.
    pub pid: Option<u32>,
    /// Process id inside the mesh.
    pub inner_pid: u32,
    /// Times it was started again.
    pub restarts: u32,
    /// What is wrong.
    pub message: String,
}

/// A Deployment, `StatefulSet` or Job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WorkloadStatus {
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Pods wanted.
    pub desired: u32,
    /// Pods ready (succeeded, for Jobs).
    pub ready: u32,
    /// Pods of the newest template.
    pub updated: u32,
    /// Is as wanted.
    pub done: bool,
    /// What is wrong.
    pub message: String,
}

/// A pod.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PodStatus {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Workload that made it, `Deployment/web`; empty for pods that were given as such.
    pub owner: String,
    /// Address.
    pub ip: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Terminating`, or a reason such as `CrashLoopBackOff`.
    pub status: String,
    /// All containers are ready.
    pub ready: bool,
    /// Has a sidecar.
    pub meshed: bool,
    /// Why it has none, or is not ready.
    pub message: String,
    /// Restarts of all containers.
    pub restarts: u32,
    /// Seconds since it was made.
    pub age: u64,
    /// Containers, init containers first.
    pub containers: Vec<ContainerStatus>,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Name.
    pub name: String,
    /// Runs before the others.
    pub init: bool,
    /// An init container that stays.
    pub sidecar: bool,
    /// `Waiting`, `Running`, `Terminated`.
    pub state: String,
    /// Why it waits or ended.
    pub reason: String,
    /// More about it.
    pub message: String,
    /// Takes traffic.
    pub ready: bool,
    /// Has started (its startup probe held).
    pub started: bool,
    /// Restarts.
    pub restarts: u32,
    /// Exit code of the last end.
    pub exit_code: Option<i32>,
    /// Process id of the app as this machine sees it (filled in by the client); none while it does not run, so
    /// that nobody signals process 0, which is the caller's own group.
    pub pid: Option<u32>,
    /// Process id of the container's first process inside the mesh.
    pub inner_pid: u32,
}

/// A Service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Address, `None` for headless, the outside name for `ExternalName`.
    pub address: String,
    /// `80/TCP`.
    pub ports: Vec<String>,
    /// Ready endpoints.
    pub endpoints: Vec<String>,
}

/// One end of a conversation.
#[derive(Debug)]
pub struct Wire(UnixStream);

impl Wire {
    /// Over this socket.
    #[must_use]
    pub const fn new(socket: UnixStream) -> Self {
        Self(socket)
    }

    /// A second handle on the same socket.
    ///
    /// # Errors
    /// When there are too many open files.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Process id of the other side, as this process sees it.
    ///
    /// # Errors
    /// When the socket is closed.
    pub fn peer_pid(&self) -> io::Result<u32> {
        let credentials = nix::sys::socket::getsockopt(&self.0, nix::sys::socket::sockopt::PeerCredentials)?;
        u32::try_from(credentials.pid()).map_err(io::Error::other)
    }

    /// Limits how long a [`Self::receive`] waits.
    ///
    /// # Errors
    /// When the limit is zero.
    pub fn set_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(limit)
    }

    /// Ends the conversation in both directions, also for other handles.
    pub fn hang_up(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    /// Receives nothing more; what is sent still arrives.
    pub fn hang_up_reading(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Read);
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send<T: Serialize>(&self, message: &T) -> io::Result<()> {
        (&self.0).write_all(&frame(message)?)
    }

    /// Sends one message and descriptors.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send_with<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
        let bytes = frame(message)?;
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let sent = sendmsg::<()>(
            self.0.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            &[ControlMessage::ScmRights(&raw)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        (&self.0).write_all(&bytes[sent..])
    }

    /// Receives one message; `None` when the other side has hung up.
    ///
    /// # Errors
    /// When the other side is gone in the middle, or speaks something else.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let mut head = [0; 4];
        match (&self.0).read_exact(&mut head) {
            Ok(()) => self.body(head).map(Some),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Receives one message and the descriptors that came with it.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn receive_with<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let (mut head, mut have, mut descriptors) = ([0_u8; 4], 0, Vec::new());
        while have < head.len() {
            let (n, mut came) = self.read_with(&mut head[have..])?;
            descriptors.append(&mut came);
            if n == 0 {
                return Ok(None);
            }
            have += n;
        }
        Ok(Some((self.body(head)?, descriptors)))
    }

    fn read_with(&self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut slices = [IoSliceMut::new(buffer)];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = rustix::net::RecvAncillaryBuffer::new(&mut space);
        let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
        let message = rustix::net::recvmsg(&self.0, &mut slices, &mut ancillary, flags)?;
        let mut descriptors = Vec::new();
        for item in ancillary.drain() {
            if let rustix::net::RecvAncillaryMessage::ScmRights(came) = item {
                descriptors.extend(came);
            }
        }
        Ok((message.bytes, descriptors))
    }

    fn body<T: DeserializeOwned>(&self, head: [u8; 4]) -> io::Result<T> {
        let length = u32::from_be_bytes(head);
        if length > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the other side does not speak this protocol"));
        }
        let mut bytes = vec![0; length as usize];
        (&self.0).read_exact(&mut bytes)?;
        serde_json::from_slice(&bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}

fn frame<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).map_err(|_| io::Error::other("the message is too long"))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

/// No message is longer, in bytes: 2,000 services are a few megabytes.
const LONGEST: u32 = 256 << 20;
