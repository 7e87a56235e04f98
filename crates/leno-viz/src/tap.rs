//! Which requests a person wants to see, and how many a second. Pure: the command line and the API both ask this.

use std::str::FromStr;
use std::time::{Duration, Instant};

use leno_core::tap::{Peer, Tapped};

use crate::model::{Kind, Resource};

pub mod follow;
pub mod pick;
mod sidecar;

/// What a request must be like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Comes from here.
    pub from: Option<Resource>,
    /// Goes to here.
    pub to: Option<Resource>,
    /// Namespace of `from` and `to` where they name none; `None` = any.
    pub namespace: Option<String>,
    /// Of this method, in upper or lower case.
    pub method: Option<String>,
    /// Its path begins so.
    pub path: Option<String>,
    /// Of this host, with or without port.
    pub authority: Option<String>,
    /// Ended with this status.
    pub status: Option<Status>,
    /// Took at least so long.
    pub min_latency: Option<Duration>,
}

impl Filter {
    /// Whether a request is like that.
    #[must_use]
    pub fn takes(&self, t: &Tapped) -> bool {
        let host = |h: &str| t.authority == h || t.authority.rsplit_once(':').is_some_and(|(name, _)| name == h);
        self.from.as_ref().is_none_or(|r| self.is(r, &t.source, ""))
            && self.to.as_ref().is_none_or(|r| self.is(r, &t.destination, &t.service))
            && self.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(&t.method))
            && self.path.as_ref().is_none_or(|p| t.path.starts_with(p.as_str()))
            && self.authority.as_ref().is_none_or(|a| host(a))
            && self.status.is_none_or(|s| s.takes(t.status))
            && self.min_latency.is_none_or(|least| t.latency_ms >= least.as_secs_f64() * 1000.0)
    }

    fn is(&self, resource: &Resource, peer: &Peer, service: &str) -> bool {
        let namespace = resource.namespace.as_ref().or(self.namespace.as_ref());
        let within = |ns: &str| namespace.is_none_or(|n| n == ns);
        let name = &resource.name;
        match resource.kind {
            Kind::Namespace => peer.namespace == *name,
            Kind::Service => service.split_once('.').is_some_and(|(n, ns)| n == name && within(ns)),
            Kind::Pod => peer.pod == *name && within(&peer.namespace),
            kind => {
                let of_kind = peer.kind.is_empty() || peer.kind == kind.as_str();
                of_kind && peer.workload == *name && within(&peer.namespace)
            }
        }
    }
}

/// One status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    lowest: u16,
    highest: u16,
}

impl Status {
    /// Whether it is that one, or of that class.
    #[must_use]
    pub fn takes(self, status: u16) -> bool {
        (self.lowest..=self.highest).contains(&status)
    }
}

impl FromStr for Status {
    type Err = String;

    /// `503`, `5xx`, and `0` for a client that got none.
    fn from_str(text: &str) -> Result<Self, String> {
        let class = text.strip_suffix("xx").and_then(|c| c.parse::<u16>().ok()).filter(|c| (1..=5).contains(c));
        let one = text.parse::<u16>().ok().filter(|s| *s == 0 || (100..600).contains(s));
        match (class, one) {
            (Some(class), _) => Ok(Self { lowest: class * 100, highest: class * 100 + 99 }),
            (None, Some(one)) => Ok(Self { lowest: one, highest: one }),
            (None, None) => Err(format!("`{text}` is no status such as 503 or 5xx; 0 is for a client that got none")),
        }
    }
}

/// So many a second, and how many were held back.
#[derive(Debug)]
pub struct Pace {
    limit: u32,
    second: Instant,
    used: u32,
    /// Those beyond the limit so far.
    pub held: u64,
}

impl Pace {
    /// At most `limit` a second.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit, second: Instant::now(), used: 0, held: 0 }
    }

    /// Whether one more may be shown at `now`; counts it, or that it was not.
    pub fn may(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.used) = (now, 0);
        }
        let may = self.used < self.limit;
        self.used += u32::from(may);
        self.held += u64::from(!may);
        may
    }
}

/// Requests a second where nothing else is asked.
pub const DEFAULT_PACE: u32 = 100;
/// Sidecars that are watched at a time.
pub const MOST_SIDECARS: usize = 50;

#[cfg(test)]
mod tests;
