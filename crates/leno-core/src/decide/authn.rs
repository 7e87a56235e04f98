//! Whether a server's port takes plaintext, mutual TLS, or both.

use crate::Reason;
use crate::id::Origin;
use crate::model::{Labels, MtlsMode, PeerAuthentication, Policies, selects};

/// The mode of `port` on a pod with `labels` in `namespace`, never [`MtlsMode::Unset`], and the object that says so
/// (`None`: the default, PERMISSIVE).
///
/// Istio's precedence: the port, then the pod, then its namespace, then the mesh (the root namespace); what a level
/// leaves unset comes from the next wider one. On each level only the oldest object counts, by name among equals.
#[must_use]
pub fn effective_mtls<'p>(
    policies: &[&'p Policies],
    namespace: &str,
    labels: &Labels,
    port: u16,
    root_namespace: &str,
) -> (MtlsMode, Option<&'p Origin>) {
    let oldest = |ns: &str, takes: &dyn Fn(&PeerAuthentication) -> bool| {
        policies
            .iter()
            .filter(|p| p.namespace == ns)
            .flat_map(|p| &p.peer_authentications)
            .filter(|a| takes(a))
            .min_by(|a, b| (a.created, &a.origin.name).cmp(&(b.created, &b.origin.name)))
    };
    let workload = oldest(namespace, &|a| !a.selector.is_empty() && selects(&a.selector, labels));
    let wide = |ns: &str| oldest(ns, &|a| a.selector.is_empty());
    let of_port =
        |a: &'p PeerAuthentication| a.ports.iter().find(|(p, _)| *p == port).map(|(_, mode)| (*mode, &a.origin));
    let of_object = |a: &'p PeerAuthentication| (a.mode, &a.origin);
    [
        workload.and_then(of_port),
        workload.map(of_object),
        wide(namespace).map(of_object),
        wide(root_namespace).map(of_object),
    ]
    .into_iter()
    .flatten()
    .find(|(mode, _)| *mode != MtlsMode::Unset)
    .map_or((MtlsMode::Permissive, None), |(mode, origin)| (mode, Some(origin)))
}

/// How a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arrival {
    /// Plaintext, or the application's own TLS, which proves nothing to the mesh.
    Plain,
    /// The mesh's mutual TLS, with a verified client certificate.
    MeshTls,
}

/// Whether a port in `mode` takes a connection that came in so.
///
/// DISABLE takes mesh TLS too: clients learn of a new mode some time after the server does, and until then refusing
/// what is safer than asked would only break them. [`MtlsMode::Unset`] is the default, PERMISSIVE.
///
/// # Errors
/// [`Reason::PlaintextRefused`]: STRICT, and the connection is plaintext.
pub const fn admit(mode: MtlsMode, arrival: Arrival) -> Result<(), Reason> {
    match (mode, arrival) {
        (MtlsMode::Strict, Arrival::Plain) => Err(Reason::PlaintextRefused),
        (MtlsMode::Strict, Arrival::MeshTls)
        | (MtlsMode::Unset | MtlsMode::Disable | MtlsMode::Permissive, Arrival::Plain | Arrival::MeshTls) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
