//! How micro-benchmarks run, of whatever crate: `make bench-micro`.

use divan::{AllocProfiler, Divan};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Runs all of the program's. What divan would choose by itself is one run a sample, where the first one is slow as it finds nothing
/// in the caches.
pub(crate) fn run() {
    Divan::default().sample_count(200).sample_size(100).config_with_args().main();
}
