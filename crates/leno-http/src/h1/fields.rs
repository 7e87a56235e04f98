//! Header fields, and what they say of a message's body and connection.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderName, HeaderValue};
use memchr::memchr;

use super::limits;
use crate::{Fields, spare};

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    /// Longer than [`limits::HEAD`].
    #[error("the head is too large")]
    TooLarge,
    /// More than [`limits::FIELDS`].
    #[error("the head has too many fields")]
    TooManyFields,
    /// A line that ends with LF alone.
    #[error("a line ends without a carriage return")]
    BareLineFeed,
    /// Not `METHOD TARGET HTTP/1.x`.
    #[error("the request line is malformed")]
    RequestLine,
    /// Not `HTTP/1.x STATUS REASON`.
    #[error("the status line is malformed")]
    StatusLine,
    /// A version of HTTP that this is not.
    #[error("the HTTP version is not supported")]
    Version,
    /// A method that is no token, or too long.
    #[error("the method is malformed")]
    Method,
    /// A target that does not fit its method, or is no URI.
    #[error("the request target is malformed")]
    Target,
    /// A name that is no token, or is followed by a space.
    #[error("a header's name is malformed")]
    Name,
    /// A value with control characters.
    #[error("a header's value is malformed")]
    Value,
    /// A value that goes on in the next line.
    #[error("a header is folded over several lines")]
    Folded,
    /// None where one is due, several, or one that names no host.
    #[error("there must be one Host header, and it must name a host")]
    Host,
    /// Not one number of digits alone, or several fields.
    #[error("the Content-Length is malformed or repeated")]
    Length,
    /// Anything but `chunked` once, or in HTTP/1.0.
    #[error("the Transfer-Encoding is not supported")]
    Encoding,
    /// Two statements about one body.
    #[error("there are both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// A trailer that would change what its head said.
    #[error("a trailer names a field that may not come there")]
    Trailer,
}

impl BadHead {
    /// The status that a client is answered with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyFields => 431,
            Self::Version => 505,
            Self::Encoding => 501,
            _ => 400,
        }
    }
}

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes; 0 where there is no body.
    Length(u64),
    /// Chunks.
    Chunked,
    /// It ends with its connection.
    UntilClose,
}

/// The fields of a head, and what some of them mean.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) fields: Fields,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) hosts: usize,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) expect_continue: bool,
}

/// Reads the fields of `head` from `at` to its empty line.
pub(super) fn read(head: &Bytes, mut at: usize) -> Result<Read, BadHead> {
    let mut read = Read {
        fields: spare::fields(),
        length: None,
        chunked: false,
        hosts: 0,
        close: false,
        keep_alive: false,
        expect_continue: false,
    };
    let mut encodings = 0;
    let mut count = 0;
    loop {
        let feed = at + memchr(b'\n', &head[at..]).ok_or(BadHead::Name)?;
        let line = head[at..feed].strip_suffix(b"\r").ok_or(BadHead::BareLineFeed)?;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > limits::FIELDS {
            return Err(BadHead::TooManyFields);
        }
        let (name, value) = field(head, at, line)?;
        read.note(&name, &value, &mut encodings)?;
        read.fields.append(name, value);
        at = feed + 1;
    }
    if read.chunked && read.length.is_some() {
        return Err(BadHead::LengthAndEncoding);
    }
    Ok(read)
}

/// Trailers: fields that may neither frame the message nor name where it goes (RFC 9110, section 6.5.1).
pub(super) fn trailers(block: &Bytes) -> Result<Fields, BadHead> {
    let mut fields = Fields::new();
    let mut at = 0;
    loop {
        let feed = at + memchr(b'\n', &block[at..]).ok_or(BadHead::Name)?;
        let line = block[at..feed].strip_suffix(b"\r").ok_or(BadHead::BareLineFeed)?;
        if line.is_empty() {
            return Ok(fields);
        }
        if fields.len() >= limits::FIELDS {
            return Err(BadHead::TooManyFields);
        }
        let (name, value) = field(block, at, line)?;
        if is_forbidden_trailer(&name) {
            return Err(BadHead::Trailer);
        }
        fields.append(name, value);
        at = feed + 1;
    }
}

/// Whether a field changes what its message is: never a trailer.
pub(super) fn is_forbidden_trailer(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, TRANSFER_ENCODING, HOST, CONNECTION, http::header::TRAILER, http::header::UPGRADE].contains(name)
}

fn field(head: &Bytes, at: usize, line: &[u8]) -> Result<(HeaderName, HeaderValue), BadHead> {
    if matches!(line[0], b' ' | b'\t') {
        return Err(BadHead::Folded);
    }
    let colon = memchr(b':', line).ok_or(BadHead::Name)?;
    let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| BadHead::Name)?;
    let (mut start, mut end) = (colon + 1, line.len());
    while start < end && matches!(line[start], b' ' | b'\t') {
        start += 1;
    }
    while end > start && matches!(line[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    let value = HeaderValue::from_maybe_shared(head.slice(at + start..at + end)).map_err(|_| BadHead::Value)?;
    Ok((name, value))
}

impl Read {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue, encodings: &mut u32) -> Result<(), BadHead> {
        if *name == HOST {
            self.hosts += 1;
            if !value.as_bytes().iter().all(|b| is_of_host(*b)) {
                return Err(BadHead::Host);
            }
        } else if *name == CONTENT_LENGTH {
            if self.length.is_some() {
                return Err(BadHead::Length);
            }
            self.length = Some(length(value.as_bytes())?);
        } else if *name == TRANSFER_ENCODING {
            *encodings += 1;
            if *encodings > 1 || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(BadHead::Encoding);
            }
            self.chunked = true;
        } else if *name == CONNECTION {
            for token in value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                self.close |= token.eq_ignore_ascii_case(b"close");
                self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if *name == EXPECT {
            self.expect_continue = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        }
        Ok(())
    }

    /// A target with an authority overrules `Host` (RFC 9112, section 3.2.2): whoever judges the one and whoever reads the
    /// other must see the same. Nothing is added where the client named no host.
    pub(super) fn call(&mut self, authority: Option<&Authority>) -> Result<(), BadHead> {
        if self.hosts > 0
            && let Some(authority) = authority
        {
            let host = HeaderValue::from_str(authority.as_str()).map_err(|_| BadHead::Target)?;
            self.fields.insert(HOST, host);
        }
        Ok(())
    }

    /// Whether the connection carries another message after this one.
    pub(super) const fn stays(&self, http_1_0: bool) -> bool {
        !self.close && (!http_1_0 || self.keep_alive)
    }
}

/// Whether a byte may stand in a host with its port (RFC 3986, section 3.2.2). A user, a path or a space in front of it would be
/// taken for part of the host by one reader and not by the next.
const fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'%')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// Digits alone: no sign, no list, no space.
fn length(value: &[u8]) -> Result<u64, BadHead> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(BadHead::Length);
    }
    Ok(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}
