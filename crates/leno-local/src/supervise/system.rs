//! The mesh's own programs: children of the supervisor in the node's namespace, started again whenever they end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::pod::probe::{Check, ask};
use crate::pod::{logs, process};
use crate::protocol::SystemStatus;

/// A program to keep running.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// Name, also of its log.
    pub(super) name: &'static str,
    /// File.
    pub(super) file: PathBuf,
    /// Arguments.
    pub(super) args: Vec<String>,
    /// Variables beyond those of the supervisor.
    pub(super) env: Vec<(String, String)>,
    /// Says 200 when it is ready.
    pub(super) ready: (SocketAddr, &'static str),
    /// Its output.
    pub(super) log: PathBuf,
}

/// What it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// End and start again.
    Restart,
    /// End and stay so.
    Stop,
    /// Start, if stopped.
    Start,
}

/// A program that is kept running.
#[derive(Debug)]
pub(super) struct System {
    status: Arc<Mutex<SystemStatus>>,
    orders: mpsc::UnboundedSender<Order>,
    pub(super) name: &'static str,
}

impl System {
    /// Starts it. `notify` is called when its status changes.
    pub(super) fn start(program: Program, notify: impl Fn() + Send + Sync + 'static) -> Self {
        let status = Arc::new(Mutex::new(SystemStatus { name: program.name.into(), ..SystemStatus::default() }));
        let (orders, received) = mpsc::unbounded_channel();
        let name = program.name;
        let keeper = Keeper { program, status: Arc::clone(&status), notify: Box::new(notify), orders: received };
        tokio::spawn(keeper.run());
        Self { status, orders, name }
    }

    pub(super) fn status(&self) -> SystemStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

struct Keeper {
    program: Program,
    status: Arc<Mutex<SystemStatus>>,
    notify: Box<dyn Fn() + Send + Sync>,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Keeper {
    async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        loop {
            let begun = Instant::now();
            let stopped = match self.spawn() {
                Ok(child) => self.attend(child).await,
                Err(error) => {
                    self.set(|s| s.message = format!("it cannot be started: {error}"));
                    false
                }
            };
            if stopped {
                while !matches!(self.orders.recv().await, Some(Order::Start | Order::Restart) | None) {}
                wait = FIRST_WAIT;
            } else {
                wait =
                    if begun.elapsed() > Duration::from_secs(10) { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
                sleep(wait).await;
            }
            self.set(|s| s.restarts += 1);
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let log = logs::pipe_to(&self.program.log)?;
        Command::new(&self.program.file)
            .args(&self.program.args)
            .envs(self.program.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
    }

    /// Watches it until it has ended. True if it was told to stay so.
    async fn attend(&mut self, mut child: Child) -> bool {
        let pid = child.id().unwrap_or(0);
        self.set(|s| {
            s.inner_pid = pid;
            s.message = "it is starting".into();
        });
        let mut pause = Duration::from_millis(30);
        loop {
            tokio::select! {
                status = child.wait() => {
                    let code = status.map_or(1, process::code_of);
                    self.ended(format!("it ended with exit code {code}"));
                    return false;
                }
                order = self.orders.recv() => match order {
                    Some(Order::Start) => {}
                    Some(order) => {
                        end(&mut child).await;
                        self.ended(if order == Order::Stop { "it was told to stop".into() } else { String::new() });
                        return order == Order::Stop;
                    }
                    None => return true,
                },
                () = sleep(pause) => {
                    let answer = self.ask().await;
                    pause = if answer.is_ok() { Duration::from_secs(1) } else { Duration::from_millis(50) };
                    self.set(|s| {
                        s.ready = answer.is_ok();
                        s.message = answer.err().unwrap_or_default();
                    });
                }
            }
        }
    }

    async fn ask(&self) -> Result<(), String> {
        let (address, path) = self.program.ready;
        let check = Check::Http { address, path: path.into(), headers: vec![("Host".into(), address.to_string())] };
        ask(&check, Duration::from_secs(1)).await
    }

    fn ended(&self, message: String) {
        self.set(|s| {
            s.inner_pid = 0;
            s.ready = false;
            s.message = message;
        });
    }

    fn set(&self, f: impl FnOnce(&mut SystemStatus)) {
        let changed = {
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            let before = (status.ready, status.inner_pid, status.message.clone());
            f(&mut status);
            before != (status.ready, status.inner_pid, status.message.clone())
        };
        if changed {
            (self.notify)();
        }
    }
}

async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if timeout(Duration::from_secs(5), child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
