//! Formats of access logs: no panic, and the plain parts are parts of what was written.
#![no_main]

use leno_core::log_format::{Format, Piece};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(format) = Format::parse(text) else { return };
    for piece in &format.pieces {
        if let Piece::Text(plain) = piece {
            assert!(text.replace("%%", "%").contains(plain.as_str()));
        }
    }
    format.headers(&mut Vec::new(), &mut Vec::new());
});
