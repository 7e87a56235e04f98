//! A request as it goes from one sidecar to the next.

/// Its fields, with `host`, which HTTP/2 has as `:authority`. Rules look at some of them.
pub(crate) const REQUEST: [(&str, &str); 12] = [
    ("host", AUTHORITY),
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

/// Which host it asks.
pub(crate) const AUTHORITY: &str = "reviews.shop:9080";
