//! HTTP/1: no panic, the same however the bytes arrive, and nothing accepted that httparse refuses or reads differently.
#![no_main]

use bytes::Bytes;
use leno_http::h1::{Answered, Decoder, Event, Framing, Scan, request, response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut pieces = Scan::default();
    let found = (0..=bytes.len()).map(|n| pieces.end(&bytes[..n])).find(|f| *f != Ok(None)).unwrap_or(Ok(None));
    assert_eq!(found, Scan::default().end(bytes));
    if let Ok(Some(end)) = found {
        let head = Bytes::copy_from_slice(&bytes[..end]);
        if let Ok(read) = request(&head) {
            let mut fields = [httparse::EMPTY_HEADER; 128];
            let mut oracle = httparse::Request::new(&mut fields);
            let parsed = oracle.parse(bytes).expect("httparse takes it too");
            assert_eq!(parsed, httparse::Status::Complete(end));
            assert_eq!(oracle.method, Some(read.head.method.as_str()));
            assert_eq!(oracle.headers.len(), read.head.headers.len());
        }
        for answered in [Answered::Head, Answered::Connect, Answered::Other] {
            let _ = response(&head, answered);
        }
    }
    assert_eq!(body(bytes, bytes.len().max(1)), body(bytes, 1));
});

/// What a chunked body comes to when it arrives in pieces; `None` = refused.
fn body(bytes: &[u8], size: usize) -> Option<(Vec<u8>, usize, bool)> {
    let mut decoder = Decoder::new(Framing::Chunked);
    let (mut out, mut used, mut arrived) = (Vec::new(), 0, 0);
    while arrived < bytes.len() && !decoder.is_done() {
        arrived = (arrived + size).min(bytes.len());
        loop {
            let step = decoder.step(&bytes[used..arrived]).ok()?;
            if let Event::Data(range) = &step.event {
                out.extend_from_slice(&bytes[used + range.start..used + range.end]);
            }
            used += step.consumed;
            if matches!(step.event, Event::More | Event::End) || decoder.is_done() {
                break;
            }
        }
    }
    // In the middle of trailers it is open how much of them was taken.
    let done = decoder.is_done();
    Some((out, if done { used } else { 0 }, done))
}
