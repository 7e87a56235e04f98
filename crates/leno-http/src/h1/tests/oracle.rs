//! Against httparse: whatever this codec accepts, httparse accepts too and reads in the same way.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::{Framing, Scan, request};
use super::decode;

/// Bytes that look like requests, with what attackers vary.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("GET ".to_owned()),
        Just("POST ".to_owned()),
        Just("/path?q ".to_owned()),
        Just("HTTP/1.1".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just(" ".to_owned()),
        Just("\t".to_owned()),
        Just("Host: a\r\n".to_owned()),
        Just("Content-Length: 3\r\n".to_owned()),
        Just("transfer-encoding:chunked\r\n".to_owned()),
        Just(": ".to_owned()),
        Just("\0".to_owned()),
        "[ -~]{0,8}",
    ];
    prop::collection::vec(piece, 0..14)
        .prop_map(|pieces| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", pieces.concat()).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn accepted_heads_are_read_as_httparse_reads_them(bytes in requests()) {
        let Ok(Some(end)) = Scan::default().end(&bytes) else { return Ok(()) };
        let Ok(asked) = request(&Bytes::copy_from_slice(&bytes[..end])) else { return Ok(()) };
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut oracle = httparse::Request::new(&mut fields);
        let length = match oracle.parse(&bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            other => return Err(TestCaseError::fail(format!("httparse: {other:?}"))),
        };
        prop_assert_eq!(length, end);
        prop_assert_eq!(oracle.method, Some(asked.head.method.as_str()));
        prop_assert_eq!(oracle.headers.len(), asked.head.headers.len());
        for field in oracle.headers.iter() {
            let found = asked.head.headers.get_all(field.name).any(|v| v.as_bytes() == field.value);
            prop_assert!(found, "{} is missing", field.name);
        }
    }

    #[test]
    fn heads_are_found_at_the_same_place_however_they_arrive(bytes in requests(), cut in 1usize..40) {
        let whole = Scan::default().end(&bytes);
        let mut scan = Scan::default();
        let mut found = Ok(None);
        for n in (cut..bytes.len()).step_by(cut).chain([bytes.len()]) {
            found = scan.end(&bytes[..n]);
            if found != Ok(None) { break; }
        }
        prop_assert_eq!(found, whole);
    }

    #[test]
    fn chunks_decode_alike_however_they_arrive(bytes in prop::collection::vec(prop_oneof![
        Just(b"5\r\nhello\r\n".to_vec()), Just(b"0\r\n".to_vec()), Just(b"\r\n".to_vec()), Just(b"a;x\r\n".to_vec()),
        Just(b"x: y\r\n".to_vec()), prop::collection::vec(any::<u8>(), 0..12)], 0..8), cut in 1usize..20)
    {
        let bytes = bytes.concat();
        let (whole, pieces) = (decode(Framing::Chunked, &bytes, bytes.len().max(1)), decode(Framing::Chunked, &bytes, cut));
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn chunk_sizes_are_read_as_httparse_reads_them(bytes in "[0-9a-fA-F]{0,6}(;[a-z]{0,4})?\r\n") {
        let oracle = httparse::parse_chunk_size(bytes.as_bytes());
        let mut decoder = super::Decoder::new(Framing::Chunked);
        let body = [bytes.as_bytes(), &[b'x'; 64]].concat();
        match (oracle, decoder.step(&body)) {
            (Ok(httparse::Status::Complete((at, size))), Ok(step)) if size > 0 => {
                let n = usize::try_from(size).expect("small").min(64);
                prop_assert_eq!(step.event, super::Event::Data(at..at + n));
            }
            (Ok(httparse::Status::Complete(_)), Ok(_)) => {}
            (_, Err(_)) => {}
            (oracle, step) => prop_assert!(false, "{oracle:?} {step:?}"),
        }
    }
}
