//! What a change may have touched.

use std::collections::BTreeSet;

use leno_xds::wire::ResourceName;

/// Names of wire resources that have to be built again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Every one.
    All,
    /// These.
    Names(BTreeSet<ResourceName>),
}

impl Default for Touched {
    fn default() -> Self {
        Self::Names(BTreeSet::new())
    }
}

impl Touched {
    /// Whether there is nothing to build.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Names(names) if names.is_empty())
    }

    pub(super) fn add(&mut self, name: ResourceName) {
        if let Self::Names(names) = self {
            names.insert(name);
        }
    }

    pub(super) fn extend(&mut self, names: impl IntoIterator<Item = ResourceName>) {
        for name in names {
            self.add(name);
        }
    }
}
