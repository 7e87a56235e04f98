//! SETTINGS (RFC 9113, section 6.5).

use bytes::{BufMut, BytesMut};

use super::code::Code;
use super::frame::{self, Kind};
use super::limits;
use super::window;

/// What the peer has said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) table: usize,
    pub(super) streams: usize,
    pub(super) window: u32,
    pub(super) frame: usize,
}

impl Default for Peer {
    fn default() -> Self {
        Self { table: 4096, streams: STREAMS_BEFORE_SETTINGS, window: window::INITIAL, frame: limits::FRAME }
    }
}

impl Peer {
    /// Takes a frame's payload. A server may not speak of its own pushes (RFC 9113, section 6.5.2).
    pub(super) fn read(&mut self, payload: &[u8], by_server: bool) -> Result<(), (Code, &'static str)> {
        if !payload.len().is_multiple_of(ENTRY) {
            return Err((Code::FRAME_SIZE_ERROR, "SETTINGS of a wrong size"));
        }
        for entry in payload.chunks_exact(ENTRY) {
            let (id, value) = (u16::from_be_bytes([entry[0], entry[1]]), frame::number(&entry[2..]));
            let size = usize::try_from(value).unwrap_or(usize::MAX);
            match id {
                HEADER_TABLE_SIZE => self.table = size,
                ENABLE_PUSH if value > 1 => return Err((Code::PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")),
                ENABLE_PUSH if by_server && value == 1 => {
                    return Err((Code::PROTOCOL_ERROR, "a server sets ENABLE_PUSH"));
                }
                MAX_CONCURRENT_STREAMS => self.streams = size,
                INITIAL_WINDOW_SIZE if value > i32::MAX as u32 => {
                    return Err((Code::FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is too large"));
                }
                INITIAL_WINDOW_SIZE => self.window = value,
                MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => {
                    return Err((Code::PROTOCOL_ERROR, "MAX_FRAME_SIZE out of its range"));
                }
                // More than this end uses brings nothing.
                MAX_FRAME_SIZE => self.frame = size.min(limits::FRAME),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes this end's settings.
pub(super) fn write(out: &mut BytesMut, client: bool, stream_window: u32) {
    let mut entries = [(0, 0); 3];
    entries[0] = if client { (ENABLE_PUSH, 0) } else { (MAX_CONCURRENT_STREAMS, limits::STREAMS) };
    entries[1] = (INITIAL_WINDOW_SIZE, stream_window);
    entries[2] = (MAX_HEADER_LIST_SIZE, u32::try_from(limits::HEADER_LIST).unwrap_or(u32::MAX));
    frame::head(out, entries.len() * ENTRY, Kind::SETTINGS, 0, 0);
    for (id, value) in entries {
        out.put_u16(id);
        out.put_u32(value);
    }
}

const ENTRY: usize = 6;
const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
/// Streams opened before the peer has said how many it takes; section 6.5.2 wants nobody to allow fewer.
const STREAMS_BEFORE_SETTINGS: usize = 100;
