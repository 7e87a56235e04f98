//! Gives memory back when a burst is over: what was freed, and code that rest does not need.

use std::time::Duration;

use leno_http::spare;
use leno_kit::kernel::{release_code, release_freed};
use leno_kit::process::{cpu_seconds, resident_bytes};
use tracing::debug;

use crate::http::place;

/// Once now, then after every burst, for as long as the process lives.
pub(super) async fn keep() {
    let mut least = tidy();
    let mut used = cpu_seconds();
    loop {
        tokio::time::sleep(EVERY).await;
        let (before, now) = (std::mem::replace(&mut used, cpu_seconds()), resident_bytes());
        least = least.min(now);
        if is_worth_while(used - before, now, least) {
            least = tidy();
        }
    }
}

/// Pages come back as they are needed, and the allocator is held up for some milliseconds: so only at rest, and only for something.
fn is_worth_while(cpu_seconds: f64, resident: u64, least: u64) -> bool {
    cpu_seconds <= EVERY.as_secs_f64() * REST && resident > least + GROWTH
}

/// Returns what is resident afterwards, in bytes.
fn tidy() -> u64 {
    spare::release();
    place::release();
    release_freed();
    if let Err(error) = release_code() {
        debug!(%error, "pages of code are kept");
    }
    resident_bytes()
}

/// Between looks.
const EVERY: Duration = Duration::from_secs(5);
/// The share of a core below which the proxy is at rest: some tens of requests a second.
const REST: f64 = 0.01;
/// What must have come since, in bytes.
const GROWTH: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::{GROWTH, is_worth_while};

    #[test]
    fn memory_is_given_back_at_rest_and_only_where_there_is_some() {
        let least = 6 << 20;
        assert!(is_worth_while(0.0, least + GROWTH + 1, least));
        assert!(!is_worth_while(0.0, least + GROWTH, least), "not worth the while");
        assert!(!is_worth_while(0.2, least * 4, least), "requests come");
    }
}
