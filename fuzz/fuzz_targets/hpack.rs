//! HPACK: no panic on any block, and no more fields than bytes.
#![no_main]

use bytes::Bytes;
use leno_http::h2::hpack::Decoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|blocks: Vec<Vec<u8>>| {
    let mut decoder = Decoder::new(4096);
    for block in blocks {
        let (length, mut fields) = (block.len(), 0);
        if decoder.decode(&Bytes::from(block), |_| fields += 1).is_err() {
            return;
        }
        assert!(fields <= length);
    }
});
