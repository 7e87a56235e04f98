//! Gives memory back after a burst: a mesh that was read, proxies that came all at once.

use std::time::Duration;

use leno_kit::kernel::{release_code, release_freed};
use leno_kit::process::anonymous_bytes;

/// Between looks.
const EVERY: Duration = Duration::from_secs(2);
/// Growth of the heap after which it is worth the while, in bytes; or by a quarter, where that is more.
const GROWTH: u64 = 8 << 20;

/// Looks for as long as the process lives.
pub(super) async fn keep() {
    // Code comes back as it is used: to let go of it again and again would cost more than it brings.
    if let Err(error) = release_code() {
        tracing::debug!(%error, "pages of code are kept");
    }
    let mut least = 0;
    loop {
        let now = anonymous_bytes();
        least = least.min(now);
        if now > least + GROWTH.max(least / 4) {
            // It waits for the allocator's locks, so it must not hold a worker.
            let _ = tokio::task::spawn_blocking(release_freed).await;
            least = anonymous_bytes();
        }
        tokio::time::sleep(EVERY).await;
    }
}
