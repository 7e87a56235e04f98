//! What this proxy knows of the mesh: what its pod dials, asked for on first use, and what its pod is.
//!
//! The data path asks [`Discovery`] and never sees the control plane. The first question about an address or a service
//! subscribes to it and waits for the answer; afterwards the answer lies here and is kept up to date until nobody has
//! asked for five minutes. While the control plane is away the last known state serves on.
//!
//! [`store`] holds the state and decides, without a clock or a socket; [`mod@run`] carries between it and the control plane.

pub mod fixed;
mod own;
mod run;
mod service;
mod store;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use leno_core::id::ServiceId;
use leno_core::merge::Viewer;
use leno_core::model::{Address, MeshConfig};
use tokio::sync::{mpsc, watch};

pub use fixed::Objects;
pub use own::Own;
pub use run::{Connection, run};
pub use service::{ServiceHandle, ServiceView};
pub use store::{Command, Summary};

use store::Store;

/// The answer to a question about the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It exists.
    Found(T),
    /// The control plane says that it does not exist.
    Absent,
    /// The control plane has not answered in time, and nothing older is known.
    Unavailable,
}

impl<T> Lookup<T> {
    /// What was found, if anything.
    #[must_use]
    pub fn found(self) -> Option<T> {
        match self {
            Self::Found(t) => Some(t),
            Self::Absent | Self::Unavailable => None,
        }
    }
}

/// The data path's window on the mesh. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Discovery {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    own: ArcSwap<Own>,
    /// Counts changes of anything that somebody may be waiting for.
    changes: watch::Sender<u64>,
    /// Counts streams opened to the control plane.
    connections: watch::Sender<u64>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Discovery {
    /// An empty one, which knows who its pod is and nothing else, and the commands that it has for the control plane.
    /// `own_ips` are the pod's addresses, the one it is known by first.
    #[must_use]
    pub fn new(own: Own, own_ips: Vec<IpAddr>) -> (Self, mpsc::UnboundedReceiver<Command>) {
        // Unbounded, as the data path must not wait for the control plane; bounded in effect by the store's size.
        let (commands, receiver) = mpsc::unbounded_channel();
        let own = Arc::new(own);
        let mut store = Store::new(Arc::clone(&own), own_ips);
        for command in store.begin() {
            let _ = commands.send(command);
        }
        let shared = Shared {
            store: Mutex::new(store),
            own: ArcSwap::new(own),
            changes: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            commands,
        };
        (Self { shared: Arc::new(shared) }, receiver)
    }

    /// What `ip` stands for. The first question waits for the control plane, at most [`PATIENCE`].
    pub async fn address(&self, ip: IpAddr) -> Lookup<Arc<Address>> {
        self.wait_for(|store| store.address(ip)).await
    }

    /// What `ip` stands for, if that is known already; `None` = ask [`Discovery::address`]. Counts as use.
    #[must_use]
    pub fn try_address(&self, ip: IpAddr) -> Option<Lookup<Arc<Address>>> {
        self.store().known_address(ip)
    }

    /// A service with its endpoints, routes and rules. The first question waits for the control plane, at most
    /// [`PATIENCE`].
    pub async fn service(&self, id: &ServiceId) -> Lookup<Arc<ServiceHandle>> {
        self.wait_for(|store| store.service(id)).await
    }

    /// A service, if it is known already; `None` = ask [`Discovery::service`]. Counts as use.
    #[must_use]
    pub fn try_service(&self, id: &ServiceId) -> Option<Lookup<Arc<ServiceHandle>>> {
        self.store().known_service(id)
    }

    /// This pod and what holds for it. Does not lock.
    #[must_use]
    pub fn own(&self) -> Arc<Own> {
        self.shared.own.load_full()
    }

    /// The same for a moment, without counting references: not to be held across an await.
    #[must_use]
    pub fn own_now(&self) -> Guard<Arc<Own>> {
        self.shared.own.load()
    }

    /// Settings of the mesh; defaults until the control plane has told.
    #[must_use]
    pub fn mesh(&self) -> Arc<MeshConfig> {
        Arc::clone(&self.shared.own.load().mesh)
    }

    /// For whom rules are selected: this pod.
    #[must_use]
    pub fn viewer(&self) -> Arc<Viewer> {
        Arc::clone(&self.shared.own.load().viewer)
    }

    /// Whether everything is known without which no connection can be judged: the mesh's settings, the policies of the
    /// pod's and of the root namespace, and the pod itself, whose labels select among them.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.own.load().complete
    }

    /// Resolves once [`Discovery::is_ready`].
    pub async fn ready(&self) {
        let mut changes = self.shared.changes.subscribe();
        while !self.is_ready() && changes.changed().await.is_ok() {}
    }

    /// Notified at every change of what is known; for parts that follow [`Discovery::own`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Counts the streams opened to the control plane: notified whenever it has been reached.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<u64> {
        self.shared.connections.subscribe()
    }

    /// What is missing for [`Discovery::is_ready`], in words.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.store().missing()
    }

    /// Everything known now, for the admin server.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.store().summary()
    }

    async fn wait_for<T>(&self, mut ask: impl FnMut(&mut Store) -> (Option<Lookup<T>>, Vec<Command>)) -> Lookup<T> {
        let mut changes = self.shared.changes.subscribe();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (answer, commands) = ask(&mut self.store());
            self.send(commands);
            if let Some(answer) = answer {
                return answer;
            }
            match tokio::time::timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Lookup::Unavailable,
            }
        }
    }

    fn send(&self, commands: Vec<Command>) {
        for command in commands {
            // Nobody listens in `Discovery::fixed`, where nothing is left to ask for.
            let _ = self.shared.commands.send(command);
        }
    }

    /// Runs one change of the store and lets everybody see its effects.
    fn change(&self, change: impl FnOnce(&mut Store) -> Vec<Command>) {
        let commands = {
            let mut store = self.store();
            let commands = change(&mut store);
            let own = store.own();
            if !Arc::ptr_eq(&own, &self.shared.own.load()) {
                self.shared.own.store(own);
            }
            commands
        };
        self.send(commands);
        self.shared.changes.send_modify(|n| *n += 1);
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // The store is consistent between any two of its statements that can panic: there are none.
        self.shared.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a first question waits for the control plane's answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
