//! Frames as they lie on the wire (RFC 9113, sections 4 and 6).

use bytes::{BufMut, BytesMut};

/// A frame's kind. Unknown ones are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(pub(super) u8);

impl Kind {
    pub(super) const DATA: Self = Self(0);
    pub(super) const HEADERS: Self = Self(1);
    pub(super) const PRIORITY: Self = Self(2);
    pub(super) const RST_STREAM: Self = Self(3);
    pub(super) const SETTINGS: Self = Self(4);
    pub(super) const PUSH_PROMISE: Self = Self(5);
    pub(super) const PING: Self = Self(6);
    pub(super) const GOAWAY: Self = Self(7);
    pub(super) const WINDOW_UPDATE: Self = Self(8);
    pub(super) const CONTINUATION: Self = Self(9);
}

/// Flags; which of them mean something depends on the kind.
pub(super) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// The nine bytes before a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// `None` where they are not all here.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = bytes.first_chunk::<HEAD>()?;
        Some(Self {
            length: usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c),
            kind: Kind(*kind),
            flags: *flags,
            stream: u32::from_be_bytes(*stream) & STREAM,
        })
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Writes a frame's head.
pub(super) fn head(out: &mut BytesMut, length: usize, kind: Kind, flags: u8, stream: u32) {
    let [_, a, b, c] = u32::try_from(length).unwrap_or(0).to_be_bytes();
    let [s, t, u, v] = stream.to_be_bytes();
    out.put_slice(&[a, b, c, kind.0, flags, s, t, u, v]);
}

/// The head of a frame whose payload was written behind a place of [`HEAD`] bytes.
pub(super) fn patch(place: &mut [u8], length: usize, kind: Kind, flags: u8, stream: u32) {
    let [_, a, b, c] = u32::try_from(length).unwrap_or(0).to_be_bytes();
    let [s, t, u, v] = stream.to_be_bytes();
    place.copy_from_slice(&[a, b, c, kind.0, flags, s, t, u, v]);
}

pub(super) fn settings_ack(out: &mut BytesMut) {
    head(out, 0, Kind::SETTINGS, flag::ACK, 0);
}

pub(super) fn ping(out: &mut BytesMut, payload: [u8; 8], ack: bool) {
    head(out, 8, Kind::PING, if ack { flag::ACK } else { 0 }, 0);
    out.put_slice(&payload);
}

pub(super) fn reset(out: &mut BytesMut, stream: u32, code: u32) {
    head(out, 4, Kind::RST_STREAM, 0, stream);
    out.put_u32(code);
}

pub(super) fn window_update(out: &mut BytesMut, stream: u32, increment: u32) {
    head(out, 4, Kind::WINDOW_UPDATE, 0, stream);
    out.put_u32(increment);
}

pub(super) fn go_away(out: &mut BytesMut, last: u32, code: u32) {
    head(out, 8, Kind::GOAWAY, 0, 0);
    out.put_u32(last);
    out.put_u32(code);
}

/// The first four bytes as a number; 0 where they are not there.
pub(super) fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |b| u32::from_be_bytes(*b))
}

/// Where the content of a payload lies, without padding; `None` where the padding is longer than the rest.
pub(super) fn unpadded(payload: &[u8], padded: bool) -> Option<std::ops::Range<usize>> {
    if !padded {
        return Some(0..payload.len());
    }
    let end = payload.len().checked_sub(usize::from(*payload.first()?))?;
    (end >= 1).then_some(1..end)
}

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 9;
/// The bits of a stream's number.
pub(super) const STREAM: u32 = 0x7fff_ffff;
/// What a client says first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
