//! The primer's YAML, as it stands there: the files that the scenes of `leno local` use too.

/// Strict mutual TLS in namespace `myapp`.
pub const STRICT: &str = include_str!("../../samples/primer/strict.yaml");

/// 90 % to v1 and 10 % to v2, Istio's way.
pub const CANARY: &str = include_str!("../../samples/primer/canary.yaml");

/// 90 % to v1 and 10 % to v2, SMI's and Linkerd's way.
pub const SPLIT: &str = include_str!("../../samples/primer/split.yaml");

/// A timeout and retries.
pub const RETRIES: &str = include_str!("../../samples/primer/retries.yaml");
