//! Huffman's code (RFC 7541, appendix B). It is canonical: the lengths say all.

use bytes::{Bytes, BytesMut};

use super::BadBlock;

/// Decodes a whole string.
pub(super) fn decode(coded: &[u8]) -> Result<Bytes, BadBlock> {
    // The shortest code has five bits.
    let mut out = BytesMut::with_capacity(coded.len() * 8 / 5);
    let (mut bits, mut held, mut next) = (0u64, 0u32, coded.iter());
    loop {
        while held <= 32 {
            let Some(byte) = next.next() else { break };
            bits |= u64::from(*byte) << (56 - held);
            held += 8;
        }
        if held < SHORTEST {
            break;
        }
        let window = u32::try_from(bits >> 32).unwrap_or(0);
        let Some(length) = (SHORTEST..=LONGEST).find(|n| window < CODE.limit[*n as usize]) else {
            // Only ones: the end-of-string code, which may appear as padding alone.
            break;
        };
        if length > held {
            break;
        }
        let n = length as usize;
        let place = CODE.offset[n] + ((window - CODE.first[n]) >> (32 - length)) as usize;
        let symbol = CODE.symbols.get(place).ok_or(BadBlock::Huffman)?;
        out.extend_from_slice(&[*symbol]);
        bits <<= length;
        held -= length;
    }
    // Padding: fewer than eight bits, all ones.
    let padding = held < 8 && next.next().is_none() && (held == 0 || bits >> (64 - held) == (1 << held) - 1);
    if padding { Ok(out.freeze()) } else { Err(BadBlock::Huffman) }
}

struct Code {
    /// For each length: codes of that length are below this, left-aligned.
    limit: [u32; 31],
    /// The first code of that length, left-aligned.
    first: [u32; 31],
    /// Where its symbols begin.
    offset: [usize; 31],
    symbols: [u8; 256],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut code = Code { limit: [0; 31], first: [0; 31], offset: [0; 31], symbols: [0; 256] };
    let (mut length, mut next, mut place) = (1, 0u64, 0);
    while length <= 30 {
        next <<= 1;
        code.offset[length] = place;
        code.first[length] = align(next, length);
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                code.symbols[place] = symbol as u8;
                place += 1;
                next += 1;
            }
            symbol += 1;
        }
        code.limit[length] = align(next, length);
        length += 1;
    }
    code
}

const fn align(code: u64, length: usize) -> u32 {
    (code << (32 - length)) as u32
}

const SHORTEST: u32 = 5;
const LONGEST: u32 = 30;

/// Bits of each byte's code.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
