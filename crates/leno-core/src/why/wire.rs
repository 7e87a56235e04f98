//! How a question is put to a sidecar: as JSON, in hexadecimal digits, in the query of a GET.
//!
//! A GET, since it changes nothing, and digits, since a query holds no others safely.

use std::fmt::Write as _;

/// Longest question, in bytes of JSON: the admin server reads no longer heads than twice that and some.
pub const MAX_QUESTION: usize = 7 * 1024;

/// Bytes as hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The bytes that hexadecimal digits stand for; `None`: they are not such, or more than [`MAX_QUESTION`].
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() > MAX_QUESTION * 2 || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?)).collect()
}
