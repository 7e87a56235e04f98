//! Names of things in the mesh, parsed once and never passed as bare strings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The DNS suffix of services; Kubernetes' `clusterDomain`.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// A Service by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceId {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Service name.
    pub name: String,
}

impl ServiceId {
    /// Joins a namespace and a name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// `name.namespace.svc.cluster.local`, Istio's canonical host of a service.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}.{}.svc.{CLUSTER_DOMAIN}", self.name, self.namespace)
    }

    /// Resolves a host as Istio does in a rule: short names relative to `namespace`, `name.ns`, `name.ns.svc` and the
    /// whole `name.ns.svc.cluster.local`. `None` for anything else (outside hosts, wildcards).
    ///
    /// A two-label host is ambiguous (`example.com`): callers that know the services decide whether it exists.
    #[must_use]
    pub fn from_host(host: &str, namespace: &str) -> Option<Self> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let labels: Vec<&str> = host.split('.').collect();
        if labels.iter().any(|l| l.is_empty() || l.contains('*')) {
            return None;
        }
        match labels.as_slice() {
            [name] => Some(Self::new(namespace, *name)),
            [name, ns] | [name, ns, "svc"] => Some(Self::new(*ns, *name)),
            [name, ns, "svc", rest @ ..] if rest.join(".") == CLUSTER_DOMAIN => Some(Self::new(*ns, *name)),
            _ => None,
        }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The text was not `namespace/name`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not of the form NAMESPACE/NAME")]
pub struct NotAServiceId(String);

impl FromStr for ServiceId {
    type Err = NotAServiceId;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.split_once('/') {
            Some((ns, name)) if !ns.is_empty() && !name.is_empty() && !name.contains('/') => Ok(Self::new(ns, name)),
            _ => Err(NotAServiceId(s.to_owned())),
        }
    }
}

/// A workload's identity, `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT` (the SPIFFE ID form that Istio uses).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    /// Trust domain, `cluster.local` by default.
    pub trust_domain: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// `ServiceAccount` name.
    pub account: String,
}

impl SpiffeId {
    /// Joins the three parts.
    pub fn new(trust_domain: impl Into<String>, namespace: impl Into<String>, account: impl Into<String>) -> Self {
        Self { trust_domain: trust_domain.into(), namespace: namespace.into(), account: account.into() }
    }

    /// Istio's "principal": the identity without its `spiffe://` scheme.
    #[must_use]
    pub fn principal(&self) -> String {
        format!("{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.account)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.account)
    }
}

/// The text was not a SPIFFE ID of the form Leno issues.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not of the form spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT")]
pub struct NotASpiffeId(String);

impl FromStr for SpiffeId {
    type Err = NotASpiffeId;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || NotASpiffeId(s.to_owned());
        let rest = s.strip_prefix("spiffe://").ok_or_else(bad)?;
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            [td, "ns", ns, "sa", sa] if [td, ns, sa].iter().all(|p| !p.is_empty()) => Ok(Self::new(*td, *ns, *sa)),
            _ => Err(bad()),
        }
    }
}

impl Serialize for SpiffeId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SpiffeId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The object that a rule came from: what `leno why`, logs and diagnostics point at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Kubernetes kind, such as `VirtualService`.
    pub kind: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// `file:line` where it was read from a file, else empty.
    pub source: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        if self.source.is_empty() { Ok(()) } else { write!(f, " ({})", self.source) }
    }
}

/// Which way traffic crosses a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the network to the application.
    Inbound,
    /// From the application to the network.
    Outbound,
}

#[cfg(test)]
mod tests;
