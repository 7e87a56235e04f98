use bytes::{BufMut, BytesMut};
use http::{HeaderName, HeaderValue};

use super::super::{BadBody, BadHead, Decoder, Framing, limits, write};
use super::decode;
use crate::Fields;

#[test]
fn bodies_come_out_whole_however_they_arrive() {
    let chunked = b"5\r\nhello\r\n6;name=\"v\"\r\n world\r\n0\r\n\r\nGET /next";
    for size in [1, 2, 3, 7, 1000] {
        let (body, trailers, used) = decode(Framing::Chunked, chunked, size).expect("good");
        assert_eq!((body.as_slice(), trailers, used), (&b"hello world"[..], None, chunked.len() - 9), "{size}");
        let (body, _, used) = decode(Framing::Length(5), b"helloGET /next", size).expect("good");
        assert_eq!((body.as_slice(), used), (&b"hello"[..], 5));
        let (body, _, _) = decode(Framing::UntilClose, b"to the end", size).expect("good");
        assert_eq!(body, b"to the end");
    }
    assert_eq!(decode(Framing::Length(0), b"GET /next", 9).expect("good").2, 0);
}

#[test]
fn trailers_are_read_and_may_not_frame() {
    let (_, trailers, used) = decode(Framing::Chunked, b"0\r\nGrpc-Status: 0\r\nX: y\r\n\r\n", 1).expect("good");
    assert_eq!((trailers.expect("there").len(), used), (2, 27));
    for name in ["Content-Length", "transfer-encoding", "Host", "Connection", "Trailer", "Upgrade"] {
        let text = format!("0\r\n{name}: 1\r\n\r\n");
        let why = decode(Framing::Chunked, text.as_bytes(), 99).expect_err(name);
        assert_eq!(why, BadBody::Trailers(BadHead::Trailer), "{name}");
    }
    let long = format!("0\r\nx: {}", "y".repeat(limits::TRAILERS));
    let why = decode(Framing::Chunked, long.as_bytes(), 4096).expect_err("long");
    assert_eq!(why, BadBody::Trailers(BadHead::TooLarge));
    let bare = decode(Framing::Chunked, b"0\r\nx: y\n\r\n", 99).expect_err("bare");
    assert_eq!(bare, BadBody::Trailers(BadHead::BareLineFeed));
}

#[test]
fn chunks_that_could_mean_two_things_are_refused() {
    let cases: [(&[u8], BadBody); 13] = [
        (b"\r\n", BadBody::Size),
        (b"g\r\n", BadBody::Size),
        (b"-1\r\n", BadBody::Size),
        (b"0x5\r\n", BadBody::Size),
        (b" 5\r\n", BadBody::Size),
        (b"5 \r\nhello\r\n", BadBody::Size),
        (b"5\nhello\r\n", BadBody::Size),
        (b"5\r5\n", BadBody::LineEnd),
        (b"5\r\nhello!\r\n", BadBody::LineEnd),
        (b"5\r\nhello\n", BadBody::LineEnd),
        (b"5\r\nhello\r0", BadBody::LineEnd),
        (b"5;a\nb\r\nhello", BadBody::Extension),
        (b"5;a\0b\r\nhello", BadBody::Extension),
    ];
    for (bytes, why) in cases {
        for size in [1, 99] {
            let text = String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(decode(Framing::Chunked, bytes, size).expect_err(&text), why, "{text:?}");
        }
    }
    let huge = "f".repeat(usize::from(limits::CHUNK_DIGITS) + 1);
    assert_eq!(decode(Framing::Chunked, huge.as_bytes(), 99).expect_err("huge"), BadBody::Size);
}

#[test]
fn extensions_are_bounded_over_the_whole_body() {
    let mut bytes = Vec::new();
    for _ in 0..=limits::EXTENSIONS / 100 {
        bytes.extend_from_slice(b"1;");
        bytes.extend_from_slice(&[b'x'; 100]);
        bytes.extend_from_slice(b"\r\ny\r\n");
    }
    assert_eq!(decode(Framing::Chunked, &bytes, 64).expect_err("endless"), BadBody::Extension);
}

#[test]
fn a_connection_that_ends_early_is_no_end_of_a_body() {
    for (framing, bytes) in
        [(Framing::Length(5), &b"hell"[..]), (Framing::Chunked, b"5\r\nhello\r\n"), (Framing::Chunked, b"0\r\n")]
    {
        assert_eq!(decode(framing, bytes, 2).expect_err("cut"), BadBody::Cut, "{framing:?}");
    }
    assert_eq!(Decoder::new(Framing::Length(9)).left(), Some(9));
    assert_eq!(Decoder::new(Framing::Chunked).left(), None);
}

#[test]
fn written_chunks_are_read_back() {
    let mut out = BytesMut::new();
    for data in [vec![b'a'; 1], vec![b'b'; 15], vec![b'c'; 16], vec![b'd'; 70_000]] {
        write::chunk(&mut out, data.len());
        out.put_slice(&data);
        out.put_slice(write::CHUNK_END);
    }
    let trailers: Fields = [("grpc-status", "0"), ("content-length", "9")]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    write::last_chunk(&mut out, Some(&trailers));
    let (body, back, used) = decode(Framing::Chunked, &out, 1000).expect("good");
    assert_eq!((body.len(), used), (70_032, out.len()));
    assert_eq!(back.expect("trailers").len(), 1, "what may be no trailer is not sent");
}
