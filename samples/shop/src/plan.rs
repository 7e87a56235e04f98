//! How one request is to be answered: read from its path and query, so that a test asks for what it needs.

use std::f64::consts::TAU;
use std::time::Duration;

use crate::mode::Mode;
use crate::units::duration;

/// What to do with one request, in this order: wait, then reset or hang, then answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Wait first.
    pub(crate) delay: Duration,
    /// Never answer.
    pub(crate) hang: bool,
    /// Reset the connection.
    pub(crate) reset: bool,
    /// Status of the answer.
    pub(crate) status: u16,
    /// Extra bytes in the body, sent in place of the JSON.
    pub(crate) bytes: Option<usize>,
    /// Pieces of a streamed body and the pause between them.
    pub(crate) pieces: Option<(u32, Duration)>,
    /// End the body with trailers.
    pub(crate) trailers: bool,
    /// Send the request's body back as it comes.
    pub(crate) mirror: bool,
}

impl Plan {
    /// Reads path and query. `draws` are two random numbers in 0..1.
    pub(crate) fn read(path: &str, query: &str, draws: [f64; 2]) -> Result<Self, String> {
        let mut plan = Self::default();
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let (verb, argument) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let mut shape = Latency::default();
        let mut fail = (0.0, 503);
        match verb {
            "status" => plan.status = status(argument)?,
            "delay" => plan.delay = duration(argument)?,
            "bytes" => plan.bytes = Some(number(argument)?),
            "hang" => plan.hang = true,
            "reset" => plan.reset = true,
            "flaky" => fail.0 = 0.5,
            "stream" => plan.pieces = Some((10, Duration::from_millis(100))),
            "trailers" => plan.trailers = true,
            "echo" => plan.mirror = true,
            _ => {}
        }
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "status" => {
                    fail.1 = status(value)?;
                    if verb != "flaky" {
                        plan.status = fail.1;
                    }
                }
                "delay" => plan.delay = duration(value)?,
                "bytes" => plan.bytes = Some(number(value)?),
                "fail" => fail.0 = number(value)?,
                "min" => shape.min = Some(duration(value)?),
                "median" => shape.median = duration(value)?,
                "sigma" => shape.sigma = number(value)?,
                "max" => shape.max = duration(value)?,
                "n" => plan.pieces = plan.pieces.map(|(_, every)| number(value).map(|n| (n, every))).transpose()?,
                "every" => plan.pieces = plan.pieces.map(|(n, _)| duration(value).map(|d| (n, d))).transpose()?,
                // Other queries belong to the test, not to this server.
                _ => {}
            }
        }
        if verb == "latency" {
            plan.delay = shape.draw(draws);
        }
        if draws[0] < fail.0 {
            plan.status = fail.1;
        }
        Ok(plan)
    }

    /// Adds the misbehaviour in force.
    pub(crate) fn with(mut self, mode: Option<&Mode>) -> Self {
        if let Some(mode) = mode {
            self.delay += mode.delay.unwrap_or_default();
            self.hang |= mode.hang;
            self.reset |= mode.reset;
            self.status = mode.status.unwrap_or(self.status);
        }
        self
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            hang: false,
            reset: false,
            status: 200,
            bytes: None,
            pieces: None,
            trailers: false,
            mirror: false,
        }
    }
}

/// A distribution of latencies: uniform from `min` to `max` where a `min` is given, else log-normal: half below `median`,
/// p99 at about `median * e^(2.33 sigma)`, none above `max`.
struct Latency {
    min: Option<Duration>,
    median: Duration,
    sigma: f64,
    max: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Self { min: None, median: Duration::from_millis(10), sigma: 0.5, max: Duration::from_secs(10) }
    }
}

impl Latency {
    fn draw(&self, [a, b]: [f64; 2]) -> Duration {
        if let Some(min) = self.min {
            return min + self.max.saturating_sub(min).mul_f64(b);
        }
        // Box and Muller's transform of two uniform draws.
        let normal = (-2.0 * a.max(f64::MIN_POSITIVE).ln()).sqrt() * (TAU * b).cos();
        let seconds = self.median.as_secs_f64() * (self.sigma * normal).exp();
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max)
    }
}

fn status(text: &str) -> Result<u16, String> {
    number(text)
        .and_then(|n: u16| if (200..600).contains(&n) { Ok(n) } else { Err(format!("status {n}: not 200..599")) })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}`: not a fitting number"))
}

#[cfg(test)]
mod tests;
