//! First bytes of a connection: no panic, and no verdict that later bytes would change.
#![no_main]

use leno_core::decide::sniff::{Sniff, sniff};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut settled = Sniff::NeedMore;
    // Beyond 4 KiB a well-known method decides alone, so only what is shorter must be stable.
    for n in 0..=bytes.len().min(4096) {
        let verdict = sniff(&bytes[..n]);
        assert!(settled == Sniff::NeedMore || settled == verdict, "{settled:?} became {verdict:?} at byte {n}");
        settled = verdict;
    }
    let _ = sniff(bytes);
});
