//! What heads, header blocks, whole requests and chunks cost: `make bench-micro`.

mod h1;
mod h2;
mod hpack;
mod message;

use divan::{AllocProfiler, Divan};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    // What it would choose by itself is one run a sample, where the first one is slow as it finds nothing in the caches.
    Divan::default().sample_count(200).sample_size(100).config_with_args().main();
}
