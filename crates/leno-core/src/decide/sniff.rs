//! What a connection speaks, from its first bytes.
//!
//! Every function here takes all bytes read so far and may be asked again with more. None ever waits for a byte that
//! could not change its answer, so a client that waits for its server is judged as soon as it can be.

mod client_hello;
mod http1;

pub use client_hello::{Hello, MAX_HELLO, client_hello};

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sniff {
    /// Nothing yet: more bytes can change the answer.
    NeedMore,
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2Preface,
    /// A TLS `ClientHello`.
    Tls,
    /// Something else.
    Opaque,
}

/// Judges the first bytes of a connection.
///
/// HTTP/1 is believed only after a whole request line up to `HTTP/1.x`, since many text protocols have commands that
/// look like methods (`OPTIONS rtsp://h RTSP/1.0`, `SET key value`). After [`http1::MAX_LINE`] bytes without an end a
/// well-known method is enough, so that an overlong path gets HTTP's answer.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniff {
    if bytes.is_empty() {
        return Sniff::NeedMore;
    }
    if bytes[0] == TLS_HANDSHAKE {
        return client_hello::looks_like(bytes);
    }
    if bytes.starts_with(HTTP2_PREFACE) {
        return Sniff::Http2Preface;
    }
    if HTTP2_PREFACE.starts_with(bytes) {
        return Sniff::NeedMore;
    }
    http1::sniff(bytes)
}

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
pub const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Record type of TLS handshakes.
const TLS_HANDSHAKE: u8 = 22;

#[cfg(test)]
mod tests;
