//! HTTP/2 (RFC 9113): so far the coding of its headers. Frames and streams are hyper's and h2's still.

pub mod hpack;
