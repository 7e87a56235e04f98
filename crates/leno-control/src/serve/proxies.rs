//! The proxies that are connected.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use leno_xds::client::Node;
use leno_xds::server::DeltaSession;

/// One connected proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Who it is.
    pub node: Node,
    /// Since when.
    pub since: SystemTime,
    session: Mutex<DeltaSession>,
}

impl Proxy {
    /// A proxy that just came.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self { node, since: SystemTime::now(), session: Mutex::default() }
    }

    /// Its session; never held across an await.
    pub fn session(&self) -> MutexGuard<'_, DeltaSession> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them, in the order in which they came.
#[derive(Debug, Default)]
pub struct Proxies {
    connected: Mutex<BTreeMap<u64, Arc<Proxy>>>,
    next: AtomicU64,
}

impl Proxies {
    /// Lists a proxy until the guard is dropped.
    pub fn enter(self: &Arc<Self>, proxy: Arc<Proxy>) -> Listed {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, proxy);
        Listed { proxies: Arc::clone(self), id }
    }

    /// Those that are connected now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Proxy>> {
        self.lock().values().cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Proxy>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a proxy off the list when dropped.
#[derive(Debug)]
pub struct Listed {
    proxies: Arc<Proxies>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.proxies.lock().remove(&self.id);
    }
}
