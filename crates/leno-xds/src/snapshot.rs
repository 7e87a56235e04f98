//! All encoded resources of a mesh at one moment.
//!
//! A snapshot is a value: a session that holds one sees a whole version of the mesh. Cloning shares the maps, and a
//! change copies a small part of one, however large the mesh is; keys and bytes are shared too.

mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::wire::{DecodeError, Interner, Resource, ResourceKind, ResourceName};
use table::Table;

/// Every resource that exists, encoded once for all who subscribe.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    kinds: [Table; ResourceKind::ALL.len()],
}

impl Snapshot {
    /// The resource of that name; `None` means that it does not exist.
    #[must_use]
    pub fn get(&self, name: &ResourceName) -> Option<&Encoded> {
        self.get_key(name.kind, &name.key)
    }

    /// As [`Self::get`], by kind and key.
    #[must_use]
    pub fn get_key(&self, kind: ResourceKind, key: &str) -> Option<&Encoded> {
        self.kinds[kind.index()].get(key).map(|(_, encoded)| encoded)
    }

    /// The key of a resource that exists, shared with the snapshot; else a new one.
    #[must_use]
    pub fn share_key(&self, kind: ResourceKind, key: &str) -> Arc<str> {
        self.kinds[kind.index()].get(key).map_or_else(|| key.into(), |(shared, _)| Arc::clone(shared))
    }

    /// Puts a resource in; `false` when it was there with the same version.
    pub fn set(&mut self, name: &ResourceName, bytes: Bytes) -> bool {
        let version = Version::of(&bytes);
        if self.get(name).is_some_and(|e| e.version == version) {
            return false;
        }
        self.kinds[name.kind.index()].insert(&name.key, Encoded { version, bytes });
        true
    }

    /// Takes a resource out; `false` when there was none.
    pub fn remove(&mut self, name: &ResourceName) -> bool {
        self.kinds[name.kind.index()].remove(&name.key)
    }

    /// Number of resources of one kind.
    #[must_use]
    pub fn len(&self, kind: ResourceKind) -> usize {
        self.kinds[kind.index()].len()
    }

    /// Whether there is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.iter().all(|k| k.len() == 0)
    }

    /// Keys and resources of one kind, in no order.
    pub fn iter(&self, kind: ResourceKind) -> impl Iterator<Item = (&Arc<str>, &Encoded)> {
        self.kinds[kind.index()].iter()
    }

    /// Proves that proxies will accept every resource: each one decodes and bears its own name.
    ///
    /// # Errors
    /// The first resource that would be refused, and why.
    pub fn check(&self) -> Result<(), (ResourceName, DecodeError)> {
        let mut interner = Interner::default();
        for kind in ResourceKind::ALL {
            for (key, encoded) in self.iter(kind) {
                let name = ResourceName::new(kind, key.clone());
                decode_named(&name, &encoded.bytes, &mut interner).map_err(|e| (name, e))?;
            }
        }
        Ok(())
    }
}

/// One resource as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Changes whenever the bytes do.
    pub version: Version,
    /// The message; cheap to clone.
    pub bytes: Bytes,
}

/// A resource's version: 64 bits of FNV-1a (128 bits wide, folded) over its bytes. The same bytes have the same version
/// in every process and release, so that a restarted control plane resends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let hash = bytes.iter().fold(OFFSET, |h, b| (h ^ u128::from(*b)).wrapping_mul(PRIME));
        let [high, low] = [hash >> 64, hash & u128::from(u64::MAX)];
        Self(u64::try_from(high ^ low).unwrap_or_default())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is no version of this program's making.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(s: &str) -> Result<Self, NotAVersion> {
        if s.len() == 16 { u64::from_str_radix(s, 16).map(Self).map_err(|_| NotAVersion) } else { Err(NotAVersion) }
    }
}

/// Decodes `bytes` as the resource `name`, and refuses them where they bear another name.
///
/// # Errors
/// Names the field that is wrong.
pub fn decode_named(name: &ResourceName, bytes: &[u8], interner: &mut Interner) -> Result<Resource, DecodeError> {
    let resource = Resource::decode_shared(name.kind, bytes, interner)?;
    let own = resource.name();
    if own == *name {
        Ok(resource)
    } else {
        Err(DecodeError { field: String::new(), message: format!("is {own}, sent as {name}") })
    }
}
