//! Gives memory back after a burst: a mesh that was read, proxies that came all at once.

use std::time::Duration;

use leno_kit::memory::{release_code, release_freed};
use leno_kit::process::resident_bytes;

/// Between looks.
const EVERY: Duration = Duration::from_secs(2);
/// Growth after which it is worth the while, in bytes.
const GROWTH: u64 = 8 << 20;

/// Looks for as long as the process lives.
pub(super) async fn keep() {
    let mut least = 0;
    loop {
        let now = resident_bytes();
        least = least.min(now);
        if now > least + GROWTH {
            // It waits for the allocator's locks, so it must not hold a worker.
            let _ = tokio::task::spawn_blocking(release).await;
            least = resident_bytes();
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What was freed, and the code that only the burst needed.
fn release() {
    release_freed();
    if let Err(error) = release_code() {
        tracing::debug!(%error, "pages of code are kept");
    }
}
