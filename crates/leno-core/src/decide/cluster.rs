//! What a destination comes down to: its port, its subset's pods, the policy that holds, and how each pod is to prove
//! who it is.

use std::net::SocketAddr;

use crate::id::SpiffeId;
use crate::merge;
use crate::model::traffic::{ClientTls, ClientTlsMode, DestinationRule, Subset};
use crate::model::{Endpoint, Endpoints, Protocol, Service, TrafficPolicy, Workload, selects};

/// A service's port and subset, as one caller sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<'v> {
    /// Whether the service has such a port and subset at all; else [`crate::Reason::ClusterNotFound`].
    pub exists: bool,
    /// What the port is declared to speak.
    pub protocol: Protocol,
    /// The subset, where one was named and exists.
    pub subset: Option<&'v Subset>,
    /// What the destination rule says for it.
    pub policy: TrafficPolicy,
}

/// Works out a service's port and the subset named by a route.
#[must_use]
pub fn plan<'v>(service: &Service, rule: Option<&'v DestinationRule>, subset: Option<&str>, port: u16) -> Plan<'v> {
    let declared = service.port(port);
    let named = subset.map(|name| rule.and_then(|r| r.subsets.iter().find(|s| s.name == name)));
    let exists = declared.is_some() && !matches!(named, Some(None));
    let subset = named.flatten();
    let protocol = declared.map_or(Protocol::Auto, |p| p.protocol);
    Plan { exists, protocol, subset, policy: merge::traffic_policy(rule, subset, port) }
}

/// The pods behind a service's port, ready or not, and where each is dialled; of a subset only its own.
pub fn members<'e>(
    endpoints: &'e Endpoints,
    subset: Option<&Subset>,
    port: u16,
) -> impl Iterator<Item = (SocketAddr, &'e Endpoint)> {
    endpoints.endpoints.iter().filter_map(move |endpoint| {
        let target = endpoint.target_port(port)?;
        let inside = subset.is_none_or(|s| selects(&s.labels, &endpoint.workload.labels));
        inside.then(|| (SocketAddr::new(endpoint.ip, target), endpoint))
    })
}

/// The port of a destination that names none: the one that was dialled, or the service's only one.
#[must_use]
pub fn port_of(service: &Service, named: Option<u16>, dialled: u16) -> u16 {
    if let Some(port) = named {
        return port;
    }
    match service.ports.as_slice() {
        [only] if service.port(dialled).is_none() => only.port,
        _ => dialled,
    }
}

/// How a caller is to be sure of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof<'w> {
    /// Plaintext: it proves nothing.
    Plain,
    /// Mutual TLS; it proves this identity.
    Identity(&'w SpiffeId),
    /// Mutual TLS; it proves one of these names, which a destination rule gives.
    Names(&'w [String]),
    /// Mutual TLS, which a rule asks for, towards a pod without an identity: nobody can be right.
    Nobody,
}

impl Proof<'_> {
    /// Whether the connection is mutual TLS.
    #[must_use]
    pub const fn is_mutual(self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// The mesh's mutual TLS wherever the pod is meshed, unless a rule says otherwise.
#[must_use]
pub fn proof<'w>(workload: &'w Workload, port: u16, tls: Option<&'w ClientTls>) -> Proof<'w> {
    let wanted = tls.map_or_else(|| workload.accepts_mtls(port), |t| t.mode == ClientTlsMode::IstioMutual);
    if !wanted {
        return Proof::Plain;
    }
    let names = tls.map(|t| t.subject_alt_names.as_slice()).unwrap_or_default();
    match (&workload.identity, names) {
        (Some(id), []) => Proof::Identity(id),
        (None, []) => Proof::Nobody,
        (_, names) => Proof::Names(names),
    }
}

#[cfg(test)]
mod tests;
