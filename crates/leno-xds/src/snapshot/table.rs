//! A map that is cheap to clone and cheap to change: clones share all shards but those that one of them has written to since.

use std::collections::HashMap;
use std::sync::Arc;

use super::Encoded;

/// A change copies one shard and the list of them. With as many shards as there are entries in one, that is least: here at
/// some 65,000 entries; a mesh of 5,000 services has half of that in addresses of pods.
const SHARDS: usize = 256;

type Shard = HashMap<Arc<str>, Encoded>;

/// Resources of one kind by key.
#[derive(Clone, Debug)]
pub(super) struct Table {
    shards: Arc<[Arc<Shard>]>,
    len: usize,
}

impl Default for Table {
    fn default() -> Self {
        // All are one and the same empty shard.
        Self { shards: vec![Arc::default(); SHARDS].into(), len: 0 }
    }
}

impl Table {
    /// A resource, with the key as it is shared.
    pub(super) fn get(&self, key: &str) -> Option<(&Arc<str>, &Encoded)> {
        self.shards[place(key)].get_key_value(key)
    }

    /// Number of resources.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// All, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Encoded)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// Puts one in.
    pub(super) fn insert(&mut self, key: &Arc<str>, value: Encoded) {
        let shard = self.shard(key);
        // A key that was there stays: whoever holds it shares it.
        match shard.get_mut(key) {
            Some(held) => *held = value,
            None => {
                shard.insert(Arc::clone(key), value);
                self.len += 1;
            }
        }
    }

    /// Takes one out; `false` when there was none.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        let there = self.get(key).is_some() && self.shard(key).remove(key).is_some();
        self.len -= usize::from(there);
        there
    }

    /// Entries of the shards that `self` and `other` do not share.
    #[cfg(test)]
    pub(super) fn entries_apart(&self, other: &Self) -> usize {
        let pairs = self.shards.iter().zip(other.shards.iter());
        pairs.filter(|(a, b)| !Arc::ptr_eq(a, b)).map(|(a, _)| a.len()).sum()
    }

    fn shard(&mut self, key: &str) -> &mut Shard {
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[place(key)])
    }
}

/// FNV-1a, folded to a shard's place.
fn place(key: &str) -> usize {
    let hash =
        key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    usize::from(u8::try_from(hash >> 56).unwrap_or_default()) % SHARDS
}
