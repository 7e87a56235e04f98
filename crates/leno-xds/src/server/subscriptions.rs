//! What one proxy wants of one kind, in as little memory as can be: there is one such list for every proxy and kind.

use std::collections::HashSet;
use std::sync::Arc;

use super::Subscription;

/// More than so many names are sorted in or sifted out at once; fewer find their places one by one.
const FEW: usize = 16;

/// Subscriptions by key. In the order of their keys and nearly without room to spare: a hash table of as many would be
/// twice as large.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(Vec<(Arc<str>, Subscription)>);

impl Subscriptions {
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(super) fn get(&self, key: &str) -> Option<(&Arc<str>, &Subscription)> {
        let (key, subscription) = self.0.get(self.place(key).ok()?)?;
        Some((key, subscription))
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Subscription> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, subscription)| subscription)
    }

    /// Puts all in; what was there under one of the keys is replaced. Of a key that is given twice the last counts.
    pub(super) fn put(&mut self, all: impl IntoIterator<Item = (Arc<str>, Subscription)>) {
        let mut new = Vec::new();
        for (key, subscription) in all {
            match self.get_mut(&key) {
                Some(held) => *held = subscription,
                None => new.push((key, subscription)),
            }
        }
        self.make_room(new.len());
        if new.len() > FEW {
            // The last of equals comes first, and stays.
            new.reverse();
            self.0.extend(new);
            self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
            self.0.dedup_by(|(a, _), (b, _)| a == b);
            return;
        }
        for (key, subscription) in new {
            match self.place(&key) {
                Ok(at) => self.0[at].1 = subscription,
                Err(at) => self.0.insert(at, (key, subscription)),
            }
        }
    }

    pub(super) fn remove(&mut self, keys: &[String]) {
        if keys.len() > FEW {
            let gone: HashSet<&str> = keys.iter().map(String::as_str).collect();
            self.0.retain(|(key, _)| !gone.contains(&**key));
        } else {
            for key in keys {
                if let Ok(at) = self.place(key) {
                    self.0.remove(at);
                }
            }
        }
        if self.0.len() < self.0.capacity() / 2 {
            self.0.shrink_to(self.0.len() + self.0.len() / 4);
        }
    }

    /// Names that come one by one must not copy the whole list each time: a sixteenth more than is needed.
    fn make_room(&mut self, more: usize) {
        if self.0.capacity() - self.0.len() < more {
            self.0.reserve_exact(more + self.0.len() / 16);
        }
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(held, _)| (**held).cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Version;

    fn one(key: usize, version: u64) -> (Arc<str>, Subscription) {
        (format!("shop/{key:04}").into(), Subscription::new(Some(Version(version))))
    }

    fn held(all: &Subscriptions) -> Vec<(String, u64)> {
        all.0.iter().map(|(key, subscription)| (key.to_string(), subscription.version.0)).collect()
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        let wanted = || (0..500).map(|n| one(n * 7 % 300, n as u64));
        let (mut at_once, mut one_by_one) = (Subscriptions::default(), Subscriptions::default());
        at_once.put(wanted());
        wanted().for_each(|one| one_by_one.put([one]));
        assert_eq!(held(&at_once), held(&one_by_one));
        assert_eq!(at_once.len(), 300);
        assert_eq!(at_once.get("shop/0007").map(|(_, s)| s.version), Some(Version(301)));
        assert!(at_once.get("shop/0300").is_none() && at_once.get_mut("").is_none());
        assert!(one_by_one.0.capacity() <= 300 + 300 / 16, "{}", one_by_one.0.capacity());
    }

    #[test]
    fn what_is_removed_gives_its_room_back() {
        let names = |from: usize, to: usize| (from..to).map(|n| one(n, 0).0.to_string()).collect::<Vec<_>>();
        let mut all = Subscriptions::default();
        all.put((0..1000).map(|n| one(n, 0)));
        all.remove(&names(0, 990));
        all.remove(&names(985, 995));
        all.remove(&names(2000, 3000));
        assert!(all.keys().map(|key| key.to_string()).eq(names(995, 1000)));
        assert!(all.0.capacity() <= 12, "{}", all.0.capacity());
    }
}
