//! What an application's connection is for: the meaning of the address that it dialled.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::Reason;
use crate::id::ServiceId;
use crate::model::{Address, AddressTarget, Workload, WorkloadPort};

/// What a dialled address stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning<'a> {
    /// The caller's own pod.
    Itself,
    /// A service, by its virtual IP.
    Service(&'a ServiceId),
    /// A pod, by its own IP.
    Pod {
        /// The pod.
        workload: &'a Arc<Workload>,
        /// How services name the port, if one does.
        port: Option<&'a WorkloadPort>,
    },
    /// Nobody of the mesh: passed through.
    Outside,
}

/// Judges an address; `own` says whether it is the caller's own, `address` is what the mesh knows of it (`None`: nothing),
/// `allow_any` whether unknown destinations are passed through.
///
/// # Errors
/// [`Reason::UnknownDestination`]: nobody knows it, and the mesh refuses what nobody knows.
pub fn meaning<'a>(
    dialled: SocketAddr,
    own: bool,
    address: Option<&'a Address>,
    allow_any: bool,
) -> Result<Meaning<'a>, Reason> {
    if own || dialled.ip().is_loopback() {
        return Ok(Meaning::Itself);
    }
    match address.map(|a| &a.target) {
        None if allow_any => Ok(Meaning::Outside),
        None => Err(Reason::UnknownDestination),
        Some(AddressTarget::Service(id)) => Ok(Meaning::Service(id)),
        Some(AddressTarget::Workload { workload, ports, .. }) => {
            Ok(Meaning::Pod { workload, port: ports.iter().find(|p| p.port == dialled.port()) })
        }
    }
}

/// Whether a request to a pod's own address names `service`, whose rules then hold for it: by the service's name as seen
/// from `namespace`, or by `pod.service`, the stable name of a `StatefulSet`'s pod.
#[must_use]
pub fn names_service(authority: &str, namespace: &str, service: &ServiceId) -> bool {
    let bare = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let is = |host: &str| ServiceId::from_host(host, namespace).is_some_and(|id| id == *service);
    is(bare) || bare.split_once('.').is_some_and(|(_, rest)| is(rest))
}

#[cfg(test)]
mod tests;
