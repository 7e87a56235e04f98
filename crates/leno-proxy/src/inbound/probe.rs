//! Kubelet's probes: plaintext from the node, admitted under STRICT for exactly what the pod declares.

use std::net::IpAddr;

use http::Method;
use serde::Deserialize;

use crate::http::phase::facts::Downstream;

/// The probes that a pod declares, and who sends them.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    node: Vec<IpAddr>,
    declared: Vec<Declared>,
}

/// One probe, as the injector writes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Declared {
    /// The pod's port.
    pub port: u16,
    /// Path of an HTTP probe; a TCP probe has none.
    #[serde(default)]
    pub path: Option<String>,
}

/// What the node may do on one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    paths: Vec<String>,
    /// Open a connection, and nothing more.
    pub tcp: bool,
}

impl Probes {
    /// `node` sends these probes.
    #[must_use]
    pub const fn new(node: Vec<IpAddr>, declared: Vec<Declared>) -> Self {
        Self { node, declared }
    }

    /// From `LENO_PROBES` (a JSON list of `{"port":8080,"path":"/healthz"}`) and `LENO_NODE_IP` or `HOST_IP`. What cannot
    /// be read admits nothing, and is logged.
    #[must_use]
    pub fn from_env() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let node = text("LENO_NODE_IP").or_else(|| text("HOST_IP")).unwrap_or_default();
        let node: Vec<IpAddr> = node.split(',').filter_map(|ip| ip.trim().parse().ok()).collect();
        let declared = match text("LENO_PROBES").map(|t| serde_json::from_str(&t)) {
            None => Vec::new(),
            Some(Ok(declared)) => declared,
            Some(Err(error)) => {
                tracing::warn!(%error, "LENO_PROBES cannot be read: probes in plaintext are not admitted");
                Vec::new()
            }
        };
        Self { node, declared }
    }

    /// What a connection may do as a probe; `None`: it is none.
    #[must_use]
    pub fn of(&self, downstream: &Downstream) -> Option<Probe> {
        if !self.node.contains(&downstream.client.ip()) {
            return None;
        }
        let here = || self.declared.iter().filter(|d| d.port == downstream.dialled.port());
        here().next()?;
        let paths = here().filter_map(|d| d.path.clone()).collect();
        Some(Probe { paths, tcp: here().any(|d| d.path.is_none()) })
    }
}

impl Probe {
    /// Whether it may send requests at all.
    #[must_use]
    pub fn is_http(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether this request is a declared probe.
    #[must_use]
    pub fn admits(&self, method: &Method, path: &str) -> bool {
        let bare = |declared: &str| declared.split('?').next().is_some_and(|p| p == path);
        (*method == Method::GET || *method == Method::HEAD) && self.paths.iter().any(|p| bare(p))
    }
}
