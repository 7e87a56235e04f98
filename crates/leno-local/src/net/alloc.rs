//! Addresses of pods and services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Hands out addresses of a network. A freed one is the last to be used again, so that what still knows it by its old
/// owner reaches nobody rather than a stranger.
#[derive(Debug)]
pub struct Pool {
    first: u32,
    last: u32,
    next: u32,
    taken: BTreeSet<u32>,
}

impl Pool {
    /// The addresses from `first` to `last`, both included.
    #[must_use]
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Self {
        Self { first: first.into(), last: last.into(), next: first.into(), taken: BTreeSet::new() }
    }

    /// The next free address. `None`: all are taken.
    pub fn take(&mut self) -> Option<Ipv4Addr> {
        let size = self.last - self.first + 1;
        for step in 0..size {
            let at = self.first + (self.next - self.first + step) % size;
            if self.taken.insert(at) {
                self.next = if at == self.last { self.first } else { at + 1 };
                return Some(at.into());
            }
        }
        None
    }

    /// Takes this one address. False if it is taken; addresses outside of the pool are always free.
    pub fn claim(&mut self, address: Ipv4Addr) -> bool {
        let at = u32::from(address);
        if at < self.first || at > self.last {
            return true;
        }
        self.taken.insert(at)
    }

    /// Gives an address back.
    pub fn free(&mut self, address: Ipv4Addr) {
        self.taken.remove(&u32::from(address));
    }
}

/// Addresses of services by `namespace/name`. A service keeps its address while it exists.
#[derive(Debug)]
pub struct ServiceAddresses {
    pool: Pool,
    by_service: BTreeMap<(String, String), Ipv4Addr>,
}

impl ServiceAddresses {
    /// From this pool.
    #[must_use]
    pub const fn new(pool: Pool) -> Self {
        Self { pool, by_service: BTreeMap::new() }
    }

    /// The service's address: the one asked for, the one it has, or a new one.
    ///
    /// # Errors
    /// When the one asked for belongs to another service (which is named), or none is left.
    pub fn assign(&mut self, namespace: &str, name: &str, asked: Option<Ipv4Addr>) -> Result<Ipv4Addr, String> {
        let key = (namespace.to_owned(), name.to_owned());
        let has = self.by_service.get(&key).copied();
        match (asked, has) {
            (None, Some(has)) => return Ok(has),
            (Some(asked), Some(has)) if asked == has => return Ok(has),
            _ => {}
        }
        let address = match asked {
            Some(asked) => {
                if let Some((other, _)) = self.by_service.iter().find(|(_, a)| **a == asked) {
                    return Err(format!("address {asked} belongs to service {}/{} already", other.0, other.1));
                }
                if !self.pool.claim(asked) {
                    return Err(format!("address {asked} is one of the mesh's own"));
                }
                asked
            }
            None => self.pool.take().ok_or("all service addresses are taken")?,
        };
        if let Some(old) = has {
            self.pool.free(old);
        }
        self.by_service.insert(key, address);
        Ok(address)
    }

    /// The service is gone.
    pub fn release(&mut self, namespace: &str, name: &str) {
        if let Some(address) = self.by_service.remove(&(namespace.to_owned(), name.to_owned())) {
            self.pool.free(address);
        }
    }
}

#[cfg(test)]
mod tests;
