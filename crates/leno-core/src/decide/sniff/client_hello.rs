//! The server name and protocols that a TLS `ClientHello` asks for (RFC 8446, section 4.1.2), read without decrypting.

use super::{Sniff, TLS_HANDSHAKE};

/// What the first bytes of a connection say as TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// More bytes are needed.
    NeedMore,
    /// Not a `ClientHello`, a broken one, or one above [`MAX_HELLO`].
    NotTls,
    /// A whole `ClientHello`.
    Hello {
        /// Server name, lower case, without a final dot; `None` where it has none or an invalid one.
        sni: Option<String>,
        /// Application protocols in the client's order.
        alpn: Vec<Vec<u8>>,
    },
}

/// Longest `ClientHello` that is read, in bytes. Post-quantum ones have about 1.7 KiB.
pub const MAX_HELLO: usize = 64 * 1024;

/// Reads a `ClientHello`, which may be spread over several TLS records, from all bytes received so far.
#[must_use]
pub fn client_hello(bytes: &[u8]) -> Hello {
    match looks_like(bytes) {
        Sniff::NeedMore => return Hello::NeedMore,
        Sniff::Tls => {}
        _ => return Hello::NotTls,
    }
    match handshake_message(bytes) {
        Message::NeedMore => Hello::NeedMore,
        Message::Bad => Hello::NotTls,
        Message::Whole(body) => match parse(&body) {
            Some((sni, alpn)) => Hello::Hello { sni, alpn },
            None => Hello::NotTls,
        },
    }
}

/// Judges by the record header and the message type, six bytes.
pub(super) fn looks_like(bytes: &[u8]) -> Sniff {
    let expected: [fn(u8) -> bool; 6] = [
        |b| b == TLS_HANDSHAKE,
        |b| b == 3,
        |b| b <= 4,
        // A record's fragment has at most 2^14 bytes (2^14 + 256 is only for encrypted ones).
        |b| b <= 0x40,
        |_| true,
        |b| b == CLIENT_HELLO,
    ];
    if bytes.iter().zip(expected).any(|(b, allowed)| !allowed(*b)) {
        return Sniff::Opaque;
    }
    if bytes.len() < expected.len() { Sniff::NeedMore } else { Sniff::Tls }
}

enum Message {
    NeedMore,
    Bad,
    Whole(Vec<u8>),
}

/// Joins the fragments of the first handshake message and gives its body.
fn handshake_message(bytes: &[u8]) -> Message {
    let mut reader = Reader(bytes);
    let mut message = Vec::new();
    let mut read = 0;
    loop {
        if let Some(body_len) = body_length(&message) {
            if HEADER + body_len > MAX_HELLO {
                return Message::Bad;
            }
            if message.len() >= HEADER + body_len {
                message.truncate(HEADER + body_len);
                return Message::Whole(message.split_off(HEADER));
            }
        }
        // Empty records would let a client send headers without end; none is sent in earnest.
        if read > MAX_HELLO {
            return Message::Bad;
        }
        let Some([kind, major, _minor, high, low]) = reader.take(5).and_then(|h| <[u8; 5]>::try_from(h).ok()) else {
            return Message::NeedMore;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if kind != TLS_HANDSHAKE || major != 3 || length == 0 || length > MAX_FRAGMENT {
            return Message::Bad;
        }
        let available = length.min(reader.0.len());
        message.extend_from_slice(reader.take(available).unwrap_or_default());
        read += 5 + length;
        if available < length && body_length(&message).is_none_or(|n| message.len() < HEADER + n) {
            // The length of the whole is checked first, so that a client that promises too much is not waited for.
            return match body_length(&message) {
                Some(n) if HEADER + n > MAX_HELLO => Message::Bad,
                _ => Message::NeedMore,
            };
        }
    }
}

fn body_length(message: &[u8]) -> Option<usize> {
    match message {
        [_, a, b, c, ..] => Some(usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c)),
        _ => None,
    }
}

type Asked = (Option<String>, Vec<Vec<u8>>);

fn parse(body: &[u8]) -> Option<Asked> {
    let mut hello = Reader(body);
    hello.take(2 + 32)?; // version, random
    let session_id = hello.vector8()?;
    let suites = hello.vector16()?;
    let compression = hello.vector8()?;
    if session_id.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compression.is_empty() {
        return None;
    }
    let (mut sni, mut alpn) = (None, Vec::new());
    if hello.0.is_empty() {
        return Some((sni, alpn)); // TLS 1.2 allows no extensions at all
    }
    let mut extensions = Reader(hello.vector16()?);
    if !hello.0.is_empty() {
        return None;
    }
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vector16()?;
        match kind {
            EXT_SERVER_NAME if sni.is_none() => sni = server_name(data)?,
            EXT_ALPN if alpn.is_empty() => alpn = protocols(data)?,
            _ => {}
        }
    }
    Some((sni, alpn))
}

/// `None`: broken; `Some(None)`: no usable name.
fn server_name(data: &[u8]) -> Option<Option<String>> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vector16()?);
    while !list.0.is_empty() {
        let kind = list.u8()?;
        let name = list.vector16()?;
        if kind == 0 {
            return Some(host_name(name));
        }
    }
    Some(None)
}

/// Only what can be a DNS name, so that it can be logged, compared and put in metrics as it is.
fn host_name(name: &[u8]) -> Option<String> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let valid = (1..=253).contains(&name.len())
        && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    valid.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())
}

fn protocols(data: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vector16()?);
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let name = list.vector8()?;
        if name.is_empty() {
            return None;
        }
        protocols.push(name.to_vec());
    }
    Some(protocols)
}

/// Takes bytes off the front; `None` past the end.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn vector8(&mut self) -> Option<&'b [u8]> {
        let n = self.u8()?;
        self.take(usize::from(n))
    }

    fn vector16(&mut self) -> Option<&'b [u8]> {
        let n = self.u16()?;
        self.take(usize::from(n))
    }
}

const CLIENT_HELLO: u8 = 1;
const HEADER: usize = 4;
const MAX_FRAGMENT: usize = 1 << 14;
const EXT_SERVER_NAME: u16 = 0;
const EXT_ALPN: u16 = 16;
