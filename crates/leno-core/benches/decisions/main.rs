//! What a request's decisions and its reports cost: `make bench-micro`.

mod authz;
mod reports;
mod route;

use divan::{AllocProfiler, Divan};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    // What it would choose by itself is one run a sample, where the first one is slow as it finds nothing in the caches.
    Divan::default().sample_count(200).sample_size(100).config_with_args().main();
}

/// Headers that rules look at, among those that they do not.
const HEADERS: [(&str, &str); 12] = [
    ("host", "reviews.shop:9080"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-GB,en;q=0.7"),
    ("cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark"),
    ("x-request-id", "f21ebd42-6770-4aa5-88d4-e56118165a7d"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("x-forwarded-for", "10.244.0.5"),
    ("x-forwarded-proto", "http"),
    ("x-envoy-attempt-count", "1"),
    ("end-user", "ann"),
];
