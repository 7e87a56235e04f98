//! Who this pod is: its certificate, kept fresh, and the TLS configurations made of it.
//!
//! [`renew`] asks the control plane for certificates. Everything here is replaced whole at each renewal; connections that
//! are open keep what they were made with.

pub mod renew;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use leno_core::names::alpn;
use leno_identity::tls::{self, ClientCert};
use leno_identity::{Expected, Roots, Svid};
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;

/// The pod's identity. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    current: ArcSwapOption<Current>,
    generation: watch::Sender<u64>,
    /// Why there is no certificate, or no newer one.
    problem: Mutex<Option<String>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("generation", &*self.generation.borrow()).finish_non_exhaustive()
    }
}

struct Current {
    svid: Arc<Svid>,
    roots: Roots,
    server: Arc<ServerConfig>,
    clients: Mutex<Clients>,
}

/// Client configurations by whom they accept and which protocols they offer.
type Clients = HashMap<Expected, Vec<(Alpn, Arc<ClientConfig>)>>;

/// Protocols offered by a client, most wanted first.
pub type Alpn = &'static [&'static [u8]];

impl Identity {
    /// One that has no certificate yet; [`renew::run`] fills it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that holds this certificate for good, for tests. Replace it by [`Identity::replace`].
    ///
    /// # Errors
    /// When rustls refuses the certificate.
    pub fn fixed(svid: Svid, roots: Roots) -> Result<Self, rustls::Error> {
        let identity = Self::new();
        identity.replace(svid, roots)?;
        Ok(identity)
    }

    /// Takes over a new certificate and new roots. New connections use them, open ones stay as they are.
    ///
    /// # Errors
    /// When rustls refuses the certificate; the previous one stays in force.
    pub fn replace(&self, svid: Svid, roots: Roots) -> Result<(), rustls::Error> {
        let server = Arc::new(tls::server_config(&svid, &roots, ClientCert::Required, alpn::MESH)?);
        let current = Current { svid: Arc::new(svid), roots, server, clients: Mutex::default() };
        self.shared.current.store(Some(Arc::new(current)));
        self.set_problem(None);
        self.shared.generation.send_modify(|n| *n += 1);
        Ok(())
    }

    /// The certificate; `None` until the first has come.
    #[must_use]
    pub fn svid(&self) -> Option<Arc<Svid>> {
        self.shared.current.load().as_ref().map(|c| Arc::clone(&c.svid))
    }

    /// What is trusted.
    #[must_use]
    pub fn roots(&self) -> Option<Roots> {
        self.shared.current.load().as_ref().map(|c| c.roots.clone())
    }

    /// Whether there is a certificate.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.current.load().is_some()
    }

    /// Resolves once there is one.
    pub async fn ready(&self) {
        let mut generation = self.watch();
        while !self.is_ready() && generation.changed().await.is_ok() {}
    }

    /// The server's side of the mesh's mutual TLS: speaks the protocols of [`alpn::MESH`] only, and requires a
    /// certificate of the mesh from its client. `None` until the first certificate has come.
    #[must_use]
    pub fn server_tls(&self) -> Option<Arc<ServerConfig>> {
        self.shared.current.load().as_ref().map(|c| Arc::clone(&c.server))
    }

    /// The client's side, which accepts what is `expected` and offers `alpn`. Cached until the next renewal: equal
    /// questions share a configuration, and with it TLS sessions. `None` until the first certificate has come.
    #[must_use]
    pub fn client_tls(&self, expected: &Expected, alpn: Alpn) -> Option<Arc<ClientConfig>> {
        let current = self.shared.current.load();
        let current = current.as_ref()?;
        let mut clients = current.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clients.get(expected).and_then(|c| c.iter().find(|(a, _)| *a == alpn));
        if let Some((_, config)) = known {
            return Some(Arc::clone(config));
        }
        if clients.len() >= MAX_CLIENTS {
            clients.retain(|_, configs| configs.iter().any(|(_, c)| Arc::strong_count(c) > 1));
        }
        let config = Arc::new(tls::client_config(&current.svid, &current.roots, expected.clone(), alpn).ok()?);
        clients.entry(expected.clone()).or_default().push((alpn, Arc::clone(&config)));
        Some(config)
    }

    /// Counts renewals.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.generation.subscribe()
    }

    /// Why the last attempt to get a certificate failed, if it did.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_problem(&self, problem: Option<String>) {
        *self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

/// A pod that calls more services than this rebuilds the configurations of those it is not connected to.
const MAX_CLIENTS: usize = 256;

#[cfg(test)]
mod tests;
