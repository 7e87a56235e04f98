//! The one task that owns the state of the mesh.
//!
//! Everything that happens is an [`Event`]. After each batch of them it compares what is wanted with what is
//! ([`reconcile`]), tells the network and the control plane what they must know ([`network`]), and answers who waits.

mod network;
mod objects;
mod reconcile;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use leno_core::names::{PROXY_MARK, port};
use leno_identity::{Authority, TokenSigner};
use leno_install::InjectSettings;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::publish::Publisher;
use super::system::{Order, Program, System};
use super::{pods, status, viz};
use crate::dns::server::Names;
use crate::launch::find_program;
use crate::net::alloc::{Pool, ServiceAddresses};
use crate::object::ObjectKey;
use crate::pod::board::Phase;
use crate::pod::{self, Machine, PROXY_PROGRAM, Pod, SharedObjects};
use crate::protocol::{Reply, Request, Start, Unready};
use crate::state::StateDir;
use network::Translator;

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// A client asks; replies go to the channel, which is dropped after the last one.
    Request(Request, Sender<Reply>),
    /// A client looks for a pod.
    Find(String, String, Sender<Option<Arc<Pod>>>),
    /// A pod's state changed.
    Pod(String, String),
    /// Something else changed.
    Changed,
    /// The end.
    End,
}

/// Sends events.
#[derive(Clone, Debug)]
pub struct Events(UnboundedSender<Event>);

impl Events {
    /// Sends one. Nobody hears it after the end.
    pub fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

/// An object as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// As it was submitted.
    pub(super) submitted: Value,
    /// With unique id, time and address.
    pub(super) json: Arc<Value>,
    /// `file:line`.
    pub(super) source: String,
    /// Changes with every restart that was asked for.
    pub(super) restarted: String,
    /// What its pods ask for and do not get.
    pub(super) warnings: Vec<String>,
}

/// A pod that exists.
#[derive(Debug)]
pub(super) struct PodRecord {
    /// The whole object without status.
    pub(super) object: Value,
    pub(super) pod: Arc<Pod>,
    handle: pod::Handle,
    /// Deployment, `StatefulSet` or Job; itself for pods that were given as such.
    pub(super) owner: ObjectKey,
    /// Of the template.
    pub(super) hash: String,
    pub(super) created: SystemTime,
    pub(super) deleting: Option<SystemTime>,
    pub(super) ready_since: Option<Instant>,
    pub(super) meshed: bool,
    /// Why it has no sidecar.
    pub(super) note: String,
}

struct Waiter {
    /// One workload instead of everything.
    only: Option<ObjectKey>,
    to: Sender<Reply>,
    said: Option<Vec<Unready>>,
}

/// All state.
pub struct Mesh {
    state: StateDir,
    single_uid: bool,
    machine: Arc<Machine>,
    names: Names,
    settings: InjectSettings,
    objects: BTreeMap<ObjectKey, Stored>,
    pods: BTreeMap<(String, String), PodRecord>,
    addresses: ServiceAddresses,
    pod_addresses: Pool,
    next_index: u32,
    publisher: Publisher,
    /// What leno-viz shows: objects with where they were applied from.
    applied: Publisher,
    translator: Translator,
    systems: Vec<System>,
    waiters: Vec<Waiter>,
    /// Pods per second are limited where a Job's keep failing.
    hold_off: BTreeMap<ObjectKey, Instant>,
    events: Events,
    received: UnboundedReceiver<Event>,
    started: bool,
}

impl Mesh {
    /// An empty mesh, with keys of its own.
    ///
    /// # Errors
    /// When keys cannot be made, or a program is missing.
    pub fn new(state: StateDir, single_uid: bool) -> anyhow::Result<(Self, Events)> {
        let authority = Authority::generate("cluster.local").context("no certificate authority")?;
        authority.write(&state.run().join("ca")).context("the authority's keys cannot be written")?;
        let tokens = TokenSigner::generate().context("no key for tokens")?;
        std::fs::write(token_key(&state), tokens.public_pem())?;
        let store = SharedObjects::default();
        let variable = |name: &str, or: &str| std::env::var(name).unwrap_or_else(|_| or.to_owned());
        let machine = Machine {
            state: state.clone(),
            path: with_own_folder(&variable("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
            home: variable("HOME", "/"),
            proxy: find_program("leno-proxy").unwrap_or_else(|| PathBuf::from("/nonexistent/leno-proxy")),
            single_uid,
            tokens,
            root_pem: authority.roots_pem(),
            store,
        };
        let settings = InjectSettings {
            program: PROXY_PROGRAM.into(),
            socket_mark: single_uid.then_some(PROXY_MARK),
            // The machine may have nothing but old iptables.
            init_capabilities: vec!["NET_ADMIN".into(), "NET_RAW".into()],
            ..InjectSettings::default()
        };
        let (events, received) = unbounded_channel();
        let events = Events(events);
        let mesh = Self {
            publisher: Publisher::new(&state, state.config()),
            applied: Publisher::new(&state, state.applied()),
            translator: Translator::start(events.clone()),
            // The first addresses are the mesh's own.
            addresses: ServiceAddresses::new(Pool::new(Ipv4Addr::new(10, 96, 0, 32), Ipv4Addr::new(10, 96, 255, 254))),
            pod_addresses: Pool::new(Ipv4Addr::new(10, 244, 0, 2), Ipv4Addr::new(10, 244, 255, 254)),
            state,
            single_uid,
            machine: Arc::new(machine),
            names: Names::default(),
            settings,
            objects: BTreeMap::new(),
            pods: BTreeMap::new(),
            next_index: 1,
            systems: Vec::new(),
            waiters: Vec::new(),
            hold_off: BTreeMap::new(),
            events: events.clone(),
            received,
            started: false,
        };
        Ok((mesh, events))
    }

    /// The names that DNS serves.
    #[must_use]
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// Until the end.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                event = self.received.recv() => {
                    let Some(event) = event else { return };
                    if self.handle(event) {
                        return;
                    }
                    // What came meanwhile belongs to the same batch.
                    while let Ok(event) = self.received.try_recv() {
                        if self.handle(event) {
                            return;
                        }
                    }
                }
                _ = tick.tick() => {}
            }
            self.reconcile();
            self.tell_network();
            self.answer_waiters();
        }
    }

    /// True at the end.
    fn handle(&mut self, event: Event) -> bool {
        match event {
            Event::Request(request, to) => self.request(request, to),
            Event::Find(namespace, name, to) => {
                let _ = to.send(self.pods.get(&(namespace, name)).map(|r| Arc::clone(&r.pod)));
            }
            Event::Pod(namespace, name) => self.pod_changed(&(namespace, name)),
            Event::Changed => {}
            Event::End => return true,
        }
        false
    }

    fn request(&mut self, request: Request, to: Sender<Reply>) {
        let reply = match request {
            Request::Hello => Reply::Hello { version: env!("CARGO_PKG_VERSION").into() },
            Request::Start(start) => self.start(*start),
            Request::Apply(objects) => Reply::Applied(self.apply(objects)),
            Request::Delete(keys) => Reply::Applied(self.delete(&keys)),
            Request::Wait => {
                self.waiters.push(Waiter { only: None, to, said: None });
                return;
            }
            Request::Status => Reply::Status(Box::new(self.status())),
            Request::Objects => Reply::Objects(self.all_objects()),
            Request::Restart { kind, namespace, name } => match self.restart(&kind, &namespace, &name) {
                Ok(Some(key)) => {
                    self.waiters.push(Waiter { only: Some(key), to, said: None });
                    return;
                }
                Ok(None) => Reply::Done,
                Err(why) => Reply::Failed(why),
            },
            Request::Down => Reply::Done,
            Request::Exec(_) | Request::DialPod { .. } | Request::DialNode(_) => {
                Reply::Failed("not a question for the mesh's state".into())
            }
        };
        let _ = to.send(reply);
    }

    fn start(&mut self, start: Start) -> Reply {
        if self.started {
            return Reply::Failed("it runs already: use `leno local apply`".into());
        }
        self.started = true;
        self.settings.cert_ttl = start.cert_ttl;
        self.settings.log_level.clone_from(&start.log_level);
        let applied = self.apply(start.objects);
        self.start_systems(&start.log_level);
        Reply::Applied(applied)
    }

    fn start_systems(&mut self, log_level: &str) {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let env = vec![("LENO_LOG".to_owned(), log_level.to_owned())];
        let ready = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let log = |name: &str| self.state.logs().join(format!("{name}.log"));
        let mut programs = Vec::new();
        if let Some(file) = find_program("leno-control") {
            let args = [
                "--config".to_owned(),
                text(self.state.config()),
                "--ca-dir".into(),
                text(self.state.run().join("ca")),
                "--token-key".into(),
                text(token_key(&self.state)),
            ];
            let (name, ready) = ("leno-control", (ready(port::CONTROL_MONITORING), "/healthz/ready"));
            programs.push(Program { name, file, args: args.to_vec(), env: env.clone(), ready, log: log(name) });
        }
        if let Some(file) = find_program("leno-viz") {
            let control = format!("http://127.0.0.1:{}", port::CONTROL_MONITORING);
            let mut args = vec!["--step".to_owned(), "1s".into(), "--control".into(), control];
            args.extend(viz::start(&self.machine));
            // Of an object that is in both, the first says more.
            args.extend(
                [self.state.applied(), self.state.config()].map(|folder| format!("--objects={}", text(folder))),
            );
            let (name, ready) = ("leno-viz", (ready(VIZ_PORT), "/api/v1/healthz"));
            programs.push(Program { name, file, args: args.to_vec(), env, ready, log: log(name) });
        }
        for program in programs {
            let events = self.events.clone();
            self.systems.push(System::start(program, move || events.send(Event::Changed)));
        }
    }

    /// Starts a rolling replacement. `None`: nothing to wait for.
    fn restart(&mut self, kind: &str, namespace: &str, name: &str) -> Result<Option<ObjectKey>, String> {
        if let Some(order) = match kind {
            "System" => Some(Order::Restart),
            "SystemStop" => Some(Order::Stop),
            "SystemStart" => Some(Order::Start),
            _ => None,
        } {
            let Some(system) = self.systems.iter().find(|s| s.name == name) else {
                let all: Vec<&str> = self.systems.iter().map(|s| s.name).collect();
                return Err(format!("the mesh has no program {name}; it has: {}", all.join(", ")));
            };
            system.order(order);
            return Ok(None);
        }
        let group = "apps";
        let key = ObjectKey { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() };
        match self.objects.get_mut(&key) {
            Some(stored) => {
                stored.restarted = pods::uid();
                Ok(Some(key))
            }
            None => Err(format!("there is no {} {name} in namespace {namespace}", kind.to_lowercase())),
        }
    }

    fn pod_changed(&mut self, key: &(String, String)) {
        let Some(record) = self.pods.get_mut(key) else { return };
        let snapshot = record.pod.board.snapshot();
        match (snapshot.is_ready(), record.ready_since) {
            (true, None) => record.ready_since = Some(Instant::now()),
            (false, Some(_)) => record.ready_since = None,
            _ => {}
        }
        if snapshot.phase == Phase::Gone {
            let ip = record.pod.ip;
            self.pods.remove(key);
            self.pod_addresses.free(ip);
        }
    }

    fn answer_waiters(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let all = status::unready(self);
        let mut waiters = std::mem::take(&mut self.waiters);
        waiters.retain_mut(|waiter| {
            let unready = match &waiter.only {
                None => all.clone(),
                Some(key) => status::unready_of(self, key),
            };
            if unready.is_empty() {
                let _ = waiter.to.send(Reply::Done);
                return false;
            }
            if waiter.said.as_ref() != Some(&unready) {
                let sent = waiter.to.send(Reply::Progress(unready.clone()));
                waiter.said = Some(unready);
                return sent.is_ok();
            }
            true
        });
        self.waiters.append(&mut waiters);
    }

    fn status(&self) -> crate::protocol::Status {
        status::of(self)
    }
}

/// What other files of the supervisor read.
impl Mesh {
    pub(super) const fn state_dir(&self) -> &StateDir {
        &self.state
    }

    pub(super) const fn is_single_uid(&self) -> bool {
        self.single_uid
    }

    pub(super) const fn objects_by_key(&self) -> &BTreeMap<ObjectKey, Stored> {
        &self.objects
    }

    pub(super) const fn pod_records(&self) -> &BTreeMap<(String, String), PodRecord> {
        &self.pods
    }

    pub(super) fn system_list(&self) -> &[System] {
        &self.systems
    }

    /// The node translates service addresses by what is known now.
    pub(super) fn is_translated(&self) -> bool {
        self.translator.is_settled()
    }
}

fn token_key(state: &StateDir) -> PathBuf {
    state.run().join("ca").join("token-key.pem")
}

/// Where leno-viz listens on the node.
pub const VIZ_PORT: u16 = 8084;

/// `path` behind the folder of this program, so that pods find the project's programs wherever it was called from.
fn with_own_folder(path: &str) -> String {
    let own = std::env::current_exe().ok().and_then(|exe| exe.parent().map(|p| p.display().to_string()));
    own.map_or_else(|| path.to_owned(), |own| format!("{own}:{path}"))
}
