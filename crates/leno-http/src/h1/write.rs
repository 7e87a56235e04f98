//! Heads and chunks as bytes.
//!
//! What frames a body is written from its [`Framing`] alone: fields of the map that say the same are left out, so that they
//! can never disagree.

use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode, Uri, Version};

use super::fields::{Framing, is_forbidden_trailer};
use crate::Fields;

/// Writes a request's head in HTTP/1.1. `framing` `None`: no body, and nothing is said of one. The target is the path and query,
/// or the authority for CONNECT.
pub fn request(out: &mut BytesMut, method: &Method, uri: &Uri, headers: &Fields, framing: Option<Framing>) {
    out.reserve(estimate(headers) + uri.path().len() + 64);
    out.put_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    let target = if *method == Method::CONNECT {
        uri.authority().map_or("", |a| a.as_str())
    } else {
        uri.path_and_query().map_or("/", |p| p.as_str())
    };
    if target.starts_with('?') {
        // `http://web?a`: the path is empty, and is written all the same (RFC 9112, section 3.2.1).
        out.put_u8(b'/');
    }
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    fields(out, headers, false);
    if let Some(framing) = framing {
        frame(out, framing);
    }
    out.put_slice(b"\r\n");
}

/// What a response's head says of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// What the body is.
    Body(Framing),
    /// There is no body, and what the fields say of one stays (HEAD, 304).
    AsItIs,
    /// There is no body, and nothing is said of one (1xx, 204, a tunnel).
    Nothing,
}

/// Writes a response's head. `connection`: a `Connection` field that this end adds.
pub fn response(
    out: &mut BytesMut,
    version: Version,
    status: StatusCode,
    headers: &Fields,
    says: Says,
    connection: Option<&str>,
) {
    out.reserve(estimate(headers) + 96);
    out.put_slice(if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    out.put_slice(b"\r\n");
    fields(out, headers, says == Says::AsItIs);
    if let Says::Body(framing) = says {
        frame(out, framing);
    }
    if let Some(connection) = connection {
        out.put_slice(b"connection: ");
        out.put_slice(connection.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
}

/// Writes what goes before a chunk's data; [`CHUNK_END`] goes behind it. An empty chunk would end the body.
pub fn chunk(out: &mut BytesMut, length: usize) {
    let mut digits = [0u8; 18];
    let mut at = digits.len() - 2;
    digits[at..].copy_from_slice(b"\r\n");
    let mut rest = length;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 0xf];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

/// Behind a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Ends a body of chunks. Fields that may not be trailers are left out.
pub fn last_chunk(out: &mut BytesMut, trailers: Option<&Fields>) {
    out.put_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        for (name, value) in trailers.iter().filter(|(name, _)| !is_forbidden_trailer(name)) {
            out.put_slice(name.as_str().as_bytes());
            out.put_slice(b": ");
            out.put_slice(value.as_bytes());
            out.put_slice(b"\r\n");
        }
    }
    out.put_slice(b"\r\n");
}

fn fields(out: &mut BytesMut, headers: &Fields, with_length: bool) {
    for (name, value) in headers {
        if *name == TRANSFER_ENCODING || (*name == CONTENT_LENGTH && !with_length) {
            continue;
        }
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
}

fn frame(out: &mut BytesMut, framing: Framing) {
    match framing {
        Framing::Length(length) => {
            out.put_slice(b"content-length: ");
            decimal(out, length);
            out.put_slice(b"\r\n");
        }
        Framing::Chunked => out.put_slice(b"transfer-encoding: chunked\r\n"),
        Framing::UntilClose => {}
    }
}

fn decimal(out: &mut BytesMut, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(n % 10).unwrap_or(0);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

fn estimate(headers: &Fields) -> usize {
    headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum()
}
