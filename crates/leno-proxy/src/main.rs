//! The sidecar proxy.

fn main() {}
