//! Peer authentication: whether a server takes plaintext, mutual TLS, or both.

use serde::Serialize;

use super::Labels;
use crate::id::Origin;

/// Istio's `PeerAuthentication.mtls.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MtlsMode {
    /// Inherit from the next wider level.
    #[default]
    Unset,
    /// Plaintext only.
    Disable,
    /// Both.
    Permissive,
    /// Mutual TLS only.
    Strict,
}

/// One `PeerAuthentication` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerAuthentication {
    /// The object.
    pub origin: Origin,
    /// Pods it selects; empty = the whole namespace (or mesh, in the root namespace).
    pub selector: Labels,
    /// Mode of all ports without one of their own.
    pub mode: MtlsMode,
    /// `(pod port, mode)`; only where there is a selector (Istio's rule).
    pub ports: Vec<(u16, MtlsMode)>,
    /// Creation time, seconds since the epoch: the oldest wins among equals.
    pub created: i64,
}
