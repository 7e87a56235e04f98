//! Keeps the snapshot of all encoded resources in step with the world, building only what was touched.

use std::collections::{BTreeMap, BTreeSet};

use leno_xds::snapshot::{Snapshot, decode_named};
use leno_xds::wire::{Interner, ResourceKind, ResourceName};

use super::build;
use crate::world::{Touched, World};

/// The snapshot and how it came about.
#[derive(Debug, Default)]
pub struct Refresher {
    snapshot: Snapshot,
    /// Resources that proxies would refuse, and why; their last good bytes stay.
    faults: BTreeMap<ResourceName, String>,
}

/// What a refresh changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Resources with new bytes, or gone.
    pub names: Vec<ResourceName>,
    /// Resources that were built, changed or not.
    pub built: usize,
}

impl Refresher {
    /// Builds what was touched.
    pub fn refresh(&mut self, world: &World, touched: Touched) -> Changes {
        let names = match touched {
            Touched::Names(names) => names,
            Touched::All => self.all_names(world),
        };
        let mut interner = Interner::default();
        let mut changes = Changes { built: names.len(), names: Vec::new() };
        for name in names {
            if self.update(world, &name, &mut interner) {
                changes.names.push(name);
            }
        }
        changes
    }

    /// The present snapshot; cloning it is cheap.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Resources that could not be brought up to date, and why.
    #[must_use]
    pub const fn faults(&self) -> &BTreeMap<ResourceName, String> {
        &self.faults
    }

    /// Everything that exists or did.
    fn all_names(&self, world: &World) -> BTreeSet<ResourceName> {
        let mut names: BTreeSet<ResourceName> = world.names().into_iter().collect();
        for kind in ResourceKind::ALL {
            names.extend(self.snapshot.iter(kind).map(|(key, _)| ResourceName::new(kind, key.clone())));
        }
        names
    }

    fn update(&mut self, world: &World, name: &ResourceName, interner: &mut Interner) -> bool {
        let Some(resource) = build(world, name) else {
            self.faults.remove(name);
            return self.snapshot.remove(name);
        };
        let bytes = resource.encode();
        // What the first proxy would refuse is not sent to any. Addresses and endpoints hold nothing that a person wrote
        // but numbers and names, and they are many.
        let proven = matches!(name.kind, ResourceKind::Address | ResourceKind::Endpoints);
        if !proven && let Err(e) = decode_named(name, &bytes, interner) {
            let held = self.snapshot.get(name).is_some();
            tracing::error!(resource = %name, error = %e, last_good = held, "a resource cannot be sent");
            self.faults.insert(name.clone(), e.to_string());
            return false;
        }
        self.faults.remove(name);
        self.snapshot.set(name, bytes)
    }
}
