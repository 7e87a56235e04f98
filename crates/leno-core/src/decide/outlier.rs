//! Ejection of failing endpoints (Envoy's outlier detection by consecutive failures, with Istio's settings).

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::model::traffic::OutlierDetection;

/// How a request to an endpoint ended, as far as the endpoint's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It answered with less than 500, or an opaque connection was made.
    Success,
    /// It answered with this 5xx; 502, 503 and 504 count as gateway errors too.
    ServerError(u16),
    /// It sent no valid answer, or none in time, after the connection was made.
    GatewayError,
    /// No connection could be made: a failure of this side or the network between.
    LocalOrigin,
}

/// An endpoint was ejected just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejected {
    /// When it comes back.
    pub until: Duration,
    /// How many times in a row it was ejected; each makes it longer.
    pub times: u32,
}

/// State of all endpoints of one service and subset.
#[derive(Clone, Debug)]
pub struct OutlierDetector<K> {
    config: OutlierDetection,
    endpoints: HashMap<K, Health>,
    swept: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Health {
    consecutive_5xx: u32,
    consecutive_gateway: u32,
    consecutive_local: u32,
    /// Multiplier of the next ejection's length, less one: grows with each, sinks with each sweep in health.
    times: u32,
    until: Option<Duration>,
}

impl<K: Eq + Hash + Clone> OutlierDetector<K> {
    /// A detector that knows no endpoint yet.
    #[must_use]
    pub fn new(config: OutlierDetection, now: Duration) -> Self {
        Self { config, endpoints: HashMap::new(), swept: now }
    }

    /// Changes the settings; counts and ejections stay.
    pub fn configure(&mut self, config: OutlierDetection) {
        self.config = config;
    }

    /// Replaces the set of endpoints; those that stay keep their state.
    pub fn set_endpoints(&mut self, keys: impl IntoIterator<Item = K>) {
        let mut before = std::mem::take(&mut self.endpoints);
        self.endpoints = keys
            .into_iter()
            .map(|key| {
                let health = before.remove(&key).unwrap_or_default();
                (key, health)
            })
            .collect();
    }

    /// Notes how a request ended; says so where that ejects the endpoint. Unknown endpoints are ignored, and ejected
    /// ones are not judged until they are back.
    pub fn record(&mut self, key: &K, outcome: Outcome, now: Duration) -> Option<Ejected> {
        let config = &self.config;
        let health = self.endpoints.get_mut(key)?;
        health.come_back(now);
        if health.until.is_some() || !health.count(outcome, config) {
            return None;
        }
        self.eject(key, now)
    }

    /// Brings endpoints back and lets the length of the next ejection sink by one for those in health. Call it every
    /// [`OutlierDetection::interval`]; more often does no harm. Returns those that came back.
    pub fn sweep(&mut self, now: Duration) -> Vec<K> {
        let due = now.saturating_sub(self.swept) >= self.config.interval;
        if due {
            self.swept = now;
        }
        let mut back = Vec::new();
        for (key, health) in &mut self.endpoints {
            if health.come_back(now) {
                back.push(key.clone());
            } else if due && health.until.is_none() {
                health.times = health.times.saturating_sub(1);
            }
        }
        back
    }

    /// Whether the endpoint is ejected.
    #[must_use]
    pub fn is_ejected(&self, key: &K, now: Duration) -> bool {
        self.endpoints.get(key).is_some_and(|h| h.is_out(now))
    }

    /// How many are ejected.
    #[must_use]
    pub fn ejected(&self, now: Duration) -> usize {
        self.endpoints.values().filter(|h| h.is_out(now)).count()
    }

    /// Whether so few endpoints are in health that all are to be used (`minHealthPercent`).
    #[must_use]
    pub fn in_panic(&self, now: Duration) -> bool {
        let total = self.endpoints.len();
        let healthy = total - self.ejected(now);
        healthy * 100 < self.config.min_health_percent as usize * total
    }

    /// Ejects it unless that would be more than the allowed share. One may always be, unless the share is 0.
    fn eject(&mut self, key: &K, now: Duration) -> Option<Ejected> {
        let out = self.ejected(now);
        let percent = self.config.max_ejection_percent.min(100) as usize;
        let allowed = (out + 1) * 100 <= percent * self.endpoints.len() || (out == 0 && percent > 0);
        if !allowed {
            return None;
        }
        let base = self.config.base_ejection;
        let longest = base.max(MAX_EJECTION);
        let health = self.endpoints.get_mut(key)?;
        if base.saturating_mul(health.times) < longest.saturating_add(base) {
            health.times += 1;
        }
        let until = now.saturating_add(base.saturating_mul(health.times).min(longest));
        health.until = Some(until);
        Some(Ejected { until, times: health.times })
    }
}

impl Health {
    fn is_out(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Ends an ejection whose time is over, with fresh counts; whether it did.
    fn come_back(&mut self, now: Duration) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            *self = Self { times: self.times, ..Self::default() };
        }
        over
    }

    /// Whether this failure is one too many. The count that is full starts again, ejected or not.
    fn count(&mut self, outcome: Outcome, config: &OutlierDetection) -> bool {
        match outcome {
            Outcome::Success => {
                *self = Self { times: self.times, until: self.until, ..Self::default() };
                false
            }
            Outcome::LocalOrigin if config.split_local_origin => {
                full(&mut self.consecutive_local, config.consecutive_local_origin)
            }
            Outcome::LocalOrigin => self.count_answer(true, config),
            Outcome::GatewayError => {
                self.consecutive_local = 0;
                self.count_answer(true, config)
            }
            Outcome::ServerError(status) => {
                self.consecutive_local = 0;
                self.count_answer((502..=504).contains(&status), config)
            }
        }
    }

    fn count_answer(&mut self, gateway: bool, config: &OutlierDetection) -> bool {
        let by_gateway = if gateway {
            full(&mut self.consecutive_gateway, config.consecutive_gateway)
        } else {
            self.consecutive_gateway = 0;
            false
        };
        full(&mut self.consecutive_5xx, config.consecutive_5xx) || by_gateway
    }
}

/// Counts one more; at the threshold the count starts again. A threshold of 0 is never reached.
fn full(count: &mut u32, threshold: u32) -> bool {
    *count = count.saturating_add(1);
    let reached = threshold > 0 && *count >= threshold;
    if reached {
        *count = 0;
    }
    reached
}

/// Longest ejection, unless the base is longer (Envoy's default).
const MAX_EJECTION: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
