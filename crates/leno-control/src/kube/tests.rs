//! Tests against a made-up cluster.
