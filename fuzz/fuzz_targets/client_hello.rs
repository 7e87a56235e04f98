//! `ClientHello`s: as they are, and inside a valid envelope, so that the extensions are reached.
#![no_main]

use leno_core::decide::sniff::{Hello, client_hello};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    check(&record(&handshake(bytes)));
    // Version, random, empty session id, one cipher suite, null compression: what follows is the extensions.
    let mut body = vec![3, 3];
    body.extend([0; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    body.extend(bytes);
    let whole = record(&handshake(&body));
    check(&whole);
    if !whole.is_empty() {
        let cut = client_hello(&whole[..whole.len() - 1]);
        assert!(cut != client_hello(&whole) || cut == Hello::NotTls, "the last byte was not needed");
    }
});

fn check(bytes: &[u8]) {
    if let Hello::Hello { sni, alpn } = client_hello(bytes) {
        assert!(sni.is_none_or(|s| !s.is_empty() && s.is_ascii() && s == s.to_ascii_lowercase()));
        assert!(alpn.iter().all(|p| (1..=255).contains(&p.len())));
    }
}

fn handshake(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    [&[1], &length[1..], body].concat()
}

/// In records of at most 100 bytes.
fn record(message: &[u8]) -> Vec<u8> {
    message.chunks(100).flat_map(|c| [&[22, 3, 1, 0, c.len() as u8], c].concat()).collect()
}
