//! The six resources: names, bytes, and the way from model to bytes and back.
//!
//! Every part of a message is encoded and decoded side by side, one file per resource. Decoding is strict: what is
//! missing, out of range or unknown is an error that names the field, so that a proxy refuses the resource and keeps
//! the last good one. Policies are the exception where refusing could leave a door open: what their reader does not
//! understand denies (see `proto/leno/v1/resources.proto`).

mod address;
mod common;
mod endpoints;
mod mesh;
mod policy;
mod route;
mod route_parts;
mod service;
mod telemetry;
#[cfg(test)]
mod tests;
mod traffic;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use leno_core::id::ServiceId;
use leno_core::model::{Address, Endpoints, MeshConfig, Policies, Routes, Service};
use prost::Message;

pub use common::DecodeError;
use common::Wire;
pub use endpoints::Interner;

use crate::proto::leno as pb;

/// A decoded resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// What an IP address stands for.
    Address(Arc<Address>),
    /// A service.
    Service(Arc<Service>),
    /// A service's endpoints.
    Endpoints(Arc<Endpoints>),
    /// A service's routes.
    Routes(Arc<Routes>),
    /// A namespace's policies.
    Policies(Arc<Policies>),
    /// Settings of the mesh.
    Mesh(Arc<MeshConfig>),
}

impl Resource {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ResourceKind {
        match self {
            Self::Address(_) => ResourceKind::Address,
            Self::Service(_) => ResourceKind::Service,
            Self::Endpoints(_) => ResourceKind::Endpoints,
            Self::Routes(_) => ResourceKind::Routes,
            Self::Policies(_) => ResourceKind::Policies,
            Self::Mesh(_) => ResourceKind::Mesh,
        }
    }

    /// The name it goes by.
    #[must_use]
    pub fn name(&self) -> ResourceName {
        match self {
            Self::Address(a) => ResourceName::address(a.ip),
            Self::Service(s) => ResourceName::service(&s.id),
            Self::Endpoints(e) => ResourceName::endpoints(&e.service),
            Self::Routes(r) => ResourceName::routes(&r.service),
            Self::Policies(p) => ResourceName::policies(&p.namespace),
            Self::Mesh(_) => ResourceName::mesh(),
        }
    }

    /// Its bytes; equal models have equal bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Address(x) => x.to_wire().encode_to_vec(),
            Self::Service(x) => x.to_wire().encode_to_vec(),
            Self::Endpoints(x) => x.to_wire().encode_to_vec(),
            Self::Routes(x) => x.to_wire().encode_to_vec(),
            Self::Policies(x) => x.to_wire().encode_to_vec(),
            Self::Mesh(x) => x.to_wire().encode_to_vec(),
        }
        .into()
    }

    /// Reads `bytes` as a resource of `kind`.
    ///
    /// # Errors
    /// Names the first field that is malformed, missing or unknown.
    pub fn decode(kind: ResourceKind, bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_shared(kind, bytes, &mut Interner::default())
    }

    /// As [`Self::decode`], sharing equal workloads with everything that `interner` has seen and that is still alive: a
    /// pod behind three services is held once.
    ///
    /// # Errors
    /// Names the first field that is malformed, missing or unknown.
    pub fn decode_shared(kind: ResourceKind, bytes: &[u8], interner: &mut Interner) -> Result<Self, DecodeError> {
        fn message<P: Message + Default>(bytes: &[u8]) -> Result<P, DecodeError> {
            P::decode(bytes).map_err(|e| DecodeError::new(e.to_string()))
        }
        Ok(match kind {
            ResourceKind::Address => Self::Address(Arc::new(address::decode(message(bytes)?, interner)?)),
            ResourceKind::Service => Self::Service(Arc::new(Service::from_wire(message(bytes)?)?)),
            ResourceKind::Endpoints => Self::Endpoints(Arc::new(endpoints::decode(message(bytes)?, interner)?)),
            ResourceKind::Routes => Self::Routes(Arc::new(Routes::from_wire(message(bytes)?)?)),
            ResourceKind::Policies => Self::Policies(Arc::new(Policies::from_wire(message(bytes)?)?)),
            ResourceKind::Mesh => Self::Mesh(Arc::new(MeshConfig::from_wire(message::<pb::Mesh>(bytes)?)?)),
        })
    }
}

/// The kinds of resource, in the order in which changes of several kinds are pushed: what others refer to goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// Settings of the mesh.
    Mesh,
    /// What an IP address stands for.
    Address,
    /// A service.
    Service,
    /// A service's endpoints.
    Endpoints,
    /// A service's routes.
    Routes,
    /// A namespace's policies.
    Policies,
}

impl ResourceKind {
    /// All, in push order.
    pub const ALL: [Self; 6] =
        [Self::Mesh, Self::Address, Self::Service, Self::Endpoints, Self::Routes, Self::Policies];

    /// Position in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name without namespace: the label of metrics and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mesh => "Mesh",
            Self::Address => "Address",
            Self::Service => "Service",
            Self::Endpoints => "Endpoints",
            Self::Routes => "Routes",
            Self::Policies => "Policies",
        }
    }

    /// The type URL of xDS.
    #[must_use]
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Mesh => "type.leno.dev/leno.v1.Mesh",
            Self::Address => "type.leno.dev/leno.v1.Address",
            Self::Service => "type.leno.dev/leno.v1.Service",
            Self::Endpoints => "type.leno.dev/leno.v1.Endpoints",
            Self::Routes => "type.leno.dev/leno.v1.Routes",
            Self::Policies => "type.leno.dev/leno.v1.Policies",
        }
    }

    /// The kind behind a type URL.
    #[must_use]
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.type_url() == url)
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A resource by kind and key. Keys: `10.96.0.7` (Address), `NAMESPACE/NAME` (Service, Endpoints, Routes),
/// `NAMESPACE` (Policies), `default` (Mesh). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceName {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its key within the kind.
    pub key: Arc<str>,
}

impl ResourceName {
    /// Joins a kind and a key.
    pub fn new(kind: ResourceKind, key: impl Into<Arc<str>>) -> Self {
        Self { kind, key: key.into() }
    }

    /// What `ip` stands for. An IPv4-mapped IPv6 address is the IPv4 address.
    #[must_use]
    pub fn address(ip: IpAddr) -> Self {
        Self::new(ResourceKind::Address, ip.to_canonical().to_string())
    }

    /// A service.
    #[must_use]
    pub fn service(id: &ServiceId) -> Self {
        Self::new(ResourceKind::Service, id.to_string())
    }

    /// A service's endpoints.
    #[must_use]
    pub fn endpoints(id: &ServiceId) -> Self {
        Self::new(ResourceKind::Endpoints, id.to_string())
    }

    /// A service's routes.
    #[must_use]
    pub fn routes(id: &ServiceId) -> Self {
        Self::new(ResourceKind::Routes, id.to_string())
    }

    /// A namespace's policies.
    #[must_use]
    pub fn policies(namespace: &str) -> Self {
        Self::new(ResourceKind::Policies, namespace)
    }

    /// Settings of the mesh.
    #[must_use]
    pub fn mesh() -> Self {
        Self::new(ResourceKind::Mesh, "default")
    }

    /// The service that the key names; `None` for other kinds.
    #[must_use]
    pub fn service_id(&self) -> Option<ServiceId> {
        match self.kind {
            ResourceKind::Service | ResourceKind::Endpoints | ResourceKind::Routes => self.key.parse().ok(),
            ResourceKind::Mesh | ResourceKind::Address | ResourceKind::Policies => None,
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}
