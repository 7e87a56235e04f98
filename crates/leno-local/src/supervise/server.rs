//! Connections of clients: a thread each, because descriptors travel and namespaces are entered by blocking calls.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal as UnixSignal, kill};
use nix::unistd::Pid;
use tokio::runtime::Handle;

use super::mesh::{Event, Events};
use crate::net::ns::NetNs;
use crate::pod::container::exec_job;
use crate::pod::{Pod, process};
use crate::protocol::{Exec, Reply, Request, Signal, Wire};
use crate::state::StateDir;

/// Makes the control socket and serves it until the process ends.
pub(super) fn listen(state: &StateDir, events: Events) -> io::Result<()> {
    let _ = std::fs::remove_file(state.socket());
    // By way of a descriptor: a socket's path is limited to 108 bytes.
    let dir = File::open(state.path())?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/socket", dir.as_fd().as_raw_fd()))?;
    let runtime = Handle::current();
    std::thread::Builder::new().name("control".into()).spawn(move || {
        for socket in listener.incoming() {
            let Ok(socket) = socket else {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            let client = Client { wire: Wire::new(socket), events: events.clone(), runtime: runtime.clone() };
            let serve = move || {
                let _ = client.serve();
            };
            let _ = std::thread::Builder::new().name("client".into()).spawn(serve);
        }
    })?;
    Ok(())
}

struct Client {
    wire: Wire,
    events: Events,
    runtime: Handle,
}

impl Client {
    fn serve(&self) -> io::Result<()> {
        while let Some((request, descriptors)) = self.wire.receive_with::<Request>()? {
            match request {
                Request::Exec(exec) => {
                    let reply = self.exec(exec, descriptors).unwrap_or_else(Reply::Failed);
                    return self.wire.send(&reply);
                }
                Request::DialPod { namespace, pod, port } => self.connected(self.dial_pod(&namespace, &pod, port))?,
                Request::DialNode(address) => self.connected(dial(address))?,
                Request::Start(start) => return self.start(Request::Start(start)),
                Request::Down => {
                    self.relay(&self.ask(Request::Down))?;
                    self.events.send(Event::End);
                    // The client reads until this process is gone.
                    std::thread::park();
                }
                request => self.relay(&self.ask(request))?,
            }
        }
        Ok(())
    }

    fn ask(&self, request: Request) -> Receiver<Reply> {
        let (to, from) = channel();
        self.events.send(Event::Request(request, to));
        from
    }

    /// Passes replies on until the mesh has no more.
    fn relay(&self, replies: &Receiver<Reply>) -> io::Result<()> {
        for reply in replies {
            self.wire.send(&reply)?;
        }
        Ok(())
    }

    /// The first client holds the mesh until everything was ready once.
    fn start(&self, request: Request) -> io::Result<()> {
        self.relay(&self.ask(request))?;
        let held = Arc::new(AtomicBool::new(true));
        let result = self.hold(&held);
        if held.load(Ordering::SeqCst) {
            self.events.send(Event::End);
        }
        result
    }

    fn hold(&self, held: &Arc<AtomicBool>) -> io::Result<()> {
        let Some(request) = self.wire.receive::<Request>()? else { return Ok(()) };
        let (wire, events, watch) = (self.wire.try_clone()?, self.events.clone(), Arc::clone(held));
        std::thread::spawn(move || {
            // Says nothing more: this ends when the client is gone.
            let _ = wire.receive::<Request>();
            if watch.load(Ordering::SeqCst) {
                events.send(Event::End);
            }
        });
        for reply in self.ask(request) {
            if matches!(reply, Reply::Done) {
                held.store(false, Ordering::SeqCst);
            }
            self.wire.send(&reply)?;
        }
        Ok(())
    }

    fn find(&self, namespace: &str, pod: &str) -> Result<Arc<Pod>, String> {
        let (to, from) = channel();
        self.events.send(Event::Find(namespace.to_owned(), pod.to_owned(), to));
        from.recv().ok().flatten().ok_or_else(|| format!("there is no pod {pod} in namespace {namespace}"))
    }

    fn dial_pod(&self, namespace: &str, name: &str, port: u16) -> Result<TcpStream, String> {
        let pod = self.find(namespace, name)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let ns = NetNs::at(pod.netns_file());
        ns.run(move || TcpStream::connect_timeout(&address, Duration::from_secs(5)))
            .map_err(|e| format!("pod {namespace}/{name}, port {port}: {e}"))
    }

    fn connected(&self, result: Result<TcpStream, String>) -> io::Result<()> {
        match result {
            Ok(socket) => self.wire.send_with(&Reply::Connected, &[socket.as_fd()]),
            Err(why) => self.wire.send(&Reply::Failed(why)),
        }
    }

    fn exec(&self, exec: Exec, descriptors: Vec<OwnedFd>) -> Result<Reply, String> {
        let stdio: [OwnedFd; 3] = descriptors.try_into().map_err(|_| "three descriptors are needed")?;
        let pod = self.find(&exec.namespace, &exec.pod)?;
        let first = || pod.spec.containers.first().map(|c| c.name.clone());
        let name = exec.container.or_else(first).unwrap_or_default();
        let Some(container) = pod.spec.all_containers().find(|c| c.name == name) else {
            let all: Vec<&str> = pod.spec.all_containers().map(|c| c.name.as_str()).collect();
            return Err(format!("pod {} has no container {name:?}; it has: {}", exec.pod, all.join(", ")));
        };
        let job = exec_job(&pod, container, exec.command)?;
        let jobs = pod.machine.state.run().join("jobs");
        let _guard = self.runtime.enter();
        let mut child = process::join(&jobs, job, stdio.map(Stdio::from)).map_err(|e| e.to_string())?;
        let _ = self.wire.send(&Reply::Started);
        let mut signals = self.signals()?;
        let code = self.runtime.block_on(async {
            loop {
                tokio::select! {
                    status = child.wait() => return status.map_or(1, process::code_of),
                    signal = signals.recv() => match signal {
                        Some(Signal(number)) => pass_on(child.id(), number),
                        None => {
                            let _ = child.kill().await;
                        }
                    },
                }
            }
        });
        self.wire.hang_up_reading();
        Ok(Reply::Exit(code))
    }

    fn signals(&self) -> Result<tokio::sync::mpsc::UnboundedReceiver<Signal>, String> {
        let (to, from) = tokio::sync::mpsc::unbounded_channel();
        let wire = self.wire.try_clone().map_err(|e| e.to_string())?;
        std::thread::spawn(move || {
            while let Ok(Some(signal)) = wire.receive::<Signal>() {
                if to.send(signal).is_err() {
                    break;
                }
            }
        });
        Ok(from)
    }
}

fn pass_on(pid: Option<u32>, number: i32) {
    if let (Some(pid), Ok(signal)) = (pid.and_then(|p| i32::try_from(p).ok()), UnixSignal::try_from(number)) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn dial(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(|e| format!("{address}: {e}"))
}
