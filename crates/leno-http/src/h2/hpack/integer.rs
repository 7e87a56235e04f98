//! Integers with a prefix (RFC 7541, section 5.1).

use bytes::{BufMut, BytesMut};

use super::BadBlock;

/// Reads one whose first byte gives `prefix` bits to it.
pub(super) fn read(block: &[u8], at: &mut usize, prefix: u32) -> Result<usize, BadBlock> {
    let mask = (1usize << prefix) - 1;
    let first = usize::from(*block.get(*at).ok_or(BadBlock::Cut)?) & mask;
    *at += 1;
    if first < mask {
        return Ok(first);
    }
    let mut value = first;
    for shift in (0..=MAX_SHIFT).step_by(7) {
        let byte = usize::from(*block.get(*at).ok_or(BadBlock::Cut)?);
        *at += 1;
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(BadBlock::Integer)
}

/// Writes one; `flags` are the bits before the prefix.
pub(super) fn write(out: &mut BytesMut, prefix: u32, flags: u8, value: usize) {
    let mask = (1usize << prefix) - 1;
    let low = |n: usize| u8::try_from(n & 0xff).unwrap_or(0);
    if value < mask {
        out.put_u8(flags | low(value));
        return;
    }
    out.put_u8(flags | low(mask));
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.put_u8(low(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.put_u8(low(rest));
}

/// Four bytes behind the first: 2^28, more than any string or index.
const MAX_SHIFT: usize = 21;
