//! A sorted map of few entries. An index has tens of thousands of them, nearly all with one: a `BTreeMap` takes eleven times
//! the place for it.

/// Values by key, in the order of the keys, without room to spare.
#[derive(Clone, Debug)]
pub(super) struct Few<K, V = ()>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V: Default> Few<K, V> {
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The value of a key, put in where there is none.
    pub(super) fn entry(&mut self, key: K) -> &mut V {
        let at = match self.place(&key) {
            Ok(at) => at,
            Err(at) => {
                if self.0.len() == self.0.capacity() {
                    // A service may stand behind many addresses: a quarter more, so that many do not copy all each time.
                    self.0.reserve_exact(1 + self.0.len() / 4);
                }
                self.0.insert(at, (key, V::default()));
                at
            }
        };
        &mut self.0[at].1
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Ok(at) = self.place(key) {
            self.0.remove(at);
        }
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(held, _)| held.cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_and_go_in_order() {
        let mut few = Few::<u8, usize>::default();
        for key in [3, 1, 2, 3] {
            *few.entry(key) += 1;
        }
        assert_eq!(few.keys().collect::<Vec<_>>(), [&1, &2, &3]);
        assert_eq!(few.get_mut(&3), Some(&mut 2));
        assert_eq!(few.get_mut(&4), None);
        for key in [1, 9, 3] {
            few.remove(&key);
        }
        assert_eq!((few.len(), few.is_empty()), (1, false));
    }
}
