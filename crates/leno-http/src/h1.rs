//! HTTP/1.1 and 1.0 (RFC 9112).
//!
//! Reading: [`Scan`] finds a head's end, [`request`] or [`response`] reads it and says how its body is framed, a
//! [`Decoder`] takes the body apart. Writing: [`mod@write`].

mod body;
mod fields;
mod line;
mod scan;
pub mod write;

pub use body::{BadBody, Decoder, Event, Step};
pub use fields::{BadHead, Framing};
pub use line::{Answered, Request, Response, request, response};
pub use scan::{Scan, blank};

/// Limits of what is taken from a peer.
pub mod limits {
    /// Longest head, bytes, its empty line included.
    pub const HEAD: usize = 64 * 1024;
    /// Most header fields in a head or in trailers.
    pub const FIELDS: usize = 100;
    /// Longest method.
    pub const METHOD: usize = 32;
    /// Digits of a chunk's size: 2^52 - 1 bytes at most.
    pub const CHUNK_DIGITS: u8 = 13;
    /// Bytes of chunk extensions in one body, all together: nobody needs them, and they are read and thrown away.
    pub const EXTENSIONS: u32 = 4 * 1024;
    /// Longest trailers, bytes.
    pub const TRAILERS: usize = 16 * 1024;
}

#[cfg(test)]
mod tests;
