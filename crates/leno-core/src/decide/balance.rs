//! Which endpoint takes a request: loads, choices and rings, with neither clock nor randomness of their own.

mod hash;

use std::net::IpAddr;
use std::time::Duration;

use super::route::query_parameter;
use crate::model::traffic::HashKey;

pub use hash::{HashRing, hash_key};

/// A latency estimate that believes bad news at once and good news slowly: a peak is taken over as it is, and then
/// decays.
#[derive(Clone, Copy, Debug)]
pub struct PeakEwma {
    /// Seconds.
    estimate: f64,
    updated: Duration,
}

impl PeakEwma {
    /// Estimate before the first measurement.
    pub const DEFAULT_RTT: Duration = Duration::from_millis(30);
    /// Time after which a peak has lost 63 % of its weight.
    pub const DECAY: Duration = Duration::from_secs(10);

    /// An endpoint not measured yet.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self { estimate: Self::DEFAULT_RTT.as_secs_f64(), updated: now }
    }

    /// Notes the time one response took.
    pub fn record(&mut self, rtt: Duration, now: Duration) {
        let rtt = rtt.as_secs_f64();
        if rtt >= self.estimate {
            self.estimate = rtt;
        } else {
            let kept = self.kept(now);
            self.estimate = self.estimate * kept + rtt * (1.0 - kept);
        }
        self.updated = self.updated.max(now);
    }

    /// The estimate as of `now`: without news it sinks, so that a slow endpoint is tried again some time.
    #[must_use]
    pub fn estimate(&self, now: Duration) -> Duration {
        Duration::from_secs_f64(self.estimate * self.kept(now))
    }

    /// How loaded the endpoint is: the estimate for each request in flight and the one to come. Comparable only with
    /// loads at the same `now`.
    #[must_use]
    pub fn load(&self, now: Duration, outstanding: usize) -> f64 {
        #[expect(clippy::cast_precision_loss)]
        let waiting = (outstanding + 1) as f64;
        // Never quite zero, so that requests in flight count even after a long silence.
        (self.estimate * self.kept(now)).max(1e-6) * waiting
    }

    fn kept(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.updated);
        (-passed.as_secs_f64() / Self::DECAY.as_secs_f64()).exp()
    }
}

/// The better of two different usable ones out of `0..n`, drawn by the random numbers `r1` and `r2` (whole range). With
/// one usable it is that; `None` where none is.
#[must_use]
pub fn p2c(
    loads: impl Fn(usize) -> f64,
    n: usize,
    r1: u64,
    r2: u64,
    is_usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    let (first, second) = two(n, r1, r2, is_usable)?;
    match second {
        Some(second) if loads(second) < loads(first) => Some(second),
        _ => Some(first),
    }
}

/// One usable of `0..n`, all alike, drawn by the random number `r` (whole range).
#[must_use]
pub fn random(n: usize, r: u64, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
    // A direct hit is as likely for each usable one, so it is a fair draw; only a miss needs the count.
    if let Some(hit) = scaled(r, n).filter(|i| is_usable(*i)) {
        return Some(hit);
    }
    let usable = (0..n).filter(|i| is_usable(*i)).count();
    nth_usable(n, scaled(remix(r), usable)?, is_usable)
}

fn two(n: usize, r1: u64, r2: u64, is_usable: impl Fn(usize) -> bool) -> Option<(usize, Option<usize>)> {
    if let Some((first, second)) = distinct(n, r1, r2).filter(|(a, b)| is_usable(*a) && is_usable(*b)) {
        return Some((first, Some(second)));
    }
    // The draw is spent by having been looked at: fresh numbers keep the second one fair.
    let (r1, r2) = (remix(r1), remix(r2));
    let usable = (0..n).filter(|i| is_usable(*i)).count();
    match distinct(usable, r1, r2) {
        Some((a, b)) => Some((nth_usable(n, a, &is_usable)?, nth_usable(n, b, &is_usable))),
        None => Some((nth_usable(n, 0, &is_usable)?, None)),
    }
}

fn distinct(n: usize, r1: u64, r2: u64) -> Option<(usize, usize)> {
    let first = scaled(r1, n)?;
    let second = scaled(r2, n.checked_sub(1)?)?;
    Some((first, if second >= first { second + 1 } else { second }))
}

fn nth_usable(n: usize, nth: usize, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
    (0..n).filter(|i| is_usable(*i)).nth(nth)
}

/// `r` of the whole range of `u64` scaled to `0..n`.
fn scaled(r: u64, n: usize) -> Option<usize> {
    let product = u128::from(r) * n as u128;
    if n == 0 { None } else { usize::try_from(product >> 64).ok() }
}

/// SplitMix64's finaliser: another number, as random as the first.
fn remix(r: u64) -> u64 {
    let mut z = r.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hash of what a consistent balancer goes by, where the request has it. `header` finds a header's first value,
/// `cookies` are the values of all `cookie` headers.
#[must_use]
pub fn request_hash<'r>(
    key: &HashKey,
    client: IpAddr,
    query: &str,
    header: impl Fn(&str) -> Option<&'r [u8]>,
    cookies: impl IntoIterator<Item = &'r str>,
) -> Option<u64> {
    let of = |text: &str| Some(text).filter(|t| !t.is_empty()).map(|t| hash_key(t.as_bytes()));
    match key {
        HashKey::Header(name) => header(name).map(hash_key),
        HashKey::Query(name) => query_parameter(query, name).and_then(|v| of(&v)),
        HashKey::SourceIp => of(&client.to_string()),
        HashKey::Cookie { name, .. } => {
            let pairs = cookies.into_iter().flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
            pairs.into_iter().find(|(n, _)| n == name).and_then(|(_, value)| of(value))
        }
    }
}

/// One after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    next: usize,
}

impl RoundRobin {
    /// Starts at a random place, so that many callers do not all begin with the same endpoint.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Self { next: usize::try_from(random >> 33).unwrap_or(0) }
    }

    /// The next usable of `0..n`.
    pub fn pick(&mut self, n: usize, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.next.checked_rem(n)?;
        let found = (0..n).map(|step| (start + step) % n).find(|i| is_usable(*i))?;
        self.next = found + 1;
        Some(found)
    }
}

#[cfg(test)]
mod tests;
