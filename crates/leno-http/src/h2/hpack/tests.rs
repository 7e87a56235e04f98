use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{BadBlock, Decoder, Encoder, Field, Name, huffman, integer};

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).expect("hex"), 16).expect("hex")).collect()
}

fn read(decoder: &mut Decoder, hex: &str) -> Result<Vec<String>, BadBlock> {
    let mut fields = Vec::new();
    decoder.decode(&bytes(hex), |f| {
        fields.push(f.map_or("malformed".into(), |f| {
            format!("{}={}", f.name.as_str(), String::from_utf8_lossy(f.value.as_bytes()))
        }));
    })?;
    Ok(fields)
}

/// RFC 7541, C.4: three requests with Huffman's code on one connection.
#[test]
fn the_requests_of_the_rfc_are_read() {
    let mut decoder = Decoder::new(4096);
    let first = read(&mut decoder, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff").expect("good");
    assert_eq!(first, [":method=GET", ":scheme=http", ":path=/", ":authority=www.example.com"]);
    let second = read(&mut decoder, "8286 84be 5886 a8eb 1064 9cbf").expect("good");
    assert_eq!(second[3..], [":authority=www.example.com", "cache-control=no-cache"]);
    let third = read(&mut decoder, "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf").expect("good");
    assert_eq!(
        third,
        [":method=GET", ":scheme=https", ":path=/index.html", ":authority=www.example.com", "custom-key=custom-value"]
    );
}

/// RFC 7541, C.6: responses with a table of 256 bytes, from which entries are pushed out.
#[test]
fn the_responses_of_the_rfc_are_read_with_a_small_table() {
    let mut decoder = Decoder::new(256);
    let first = "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3";
    let first = read(&mut decoder, first).expect("good");
    assert_eq!(first[0], ":status=302");
    assert_eq!(first[3], "location=https://www.example.com");
    assert_eq!(read(&mut decoder, "4883 640e ffc1 c0bf").expect("good")[0], ":status=307");
    assert_eq!(read(&mut decoder, "be").expect("good"), [":status=307"]);
}

#[test]
fn blocks_that_break_the_rules_are_refused() {
    let cases = [
        ("80", BadBlock::Index),
        ("be", BadBlock::Index),
        ("ff80 8080 8080 01", BadBlock::Integer),
        ("40", BadBlock::Cut),
        ("4003 6162", BadBlock::Cut),
        ("82 3f", BadBlock::Cut),
        ("82 20", BadBlock::TableSize),
        ("3fe2 1f", BadBlock::TableSize),
        ("0481 ff", BadBlock::Huffman),
        ("0484 ffff ffff", BadBlock::Huffman),
        ("0481 00", BadBlock::Huffman),
        ("0482 1fff", BadBlock::Huffman),
    ];
    for (hex, why) in cases {
        assert_eq!(read(&mut Decoder::new(4096), hex).expect_err(hex), why, "{hex}");
    }
    assert_eq!(
        read(&mut Decoder::new(4096), "0001 4101 62").expect("can be read on"),
        ["malformed"],
        "a capital letter"
    );
    assert_eq!(read(&mut Decoder::new(4096), "0001 6101 0a 82").expect("can be read on"), ["malformed", ":method=GET"]);
}

#[test]
fn what_repeats_takes_one_byte_and_what_is_secret_is_never_kept() {
    let (mut encoder, mut out) = (Encoder::default(), BytesMut::new());
    let agent = HeaderName::from_static("user-agent");
    let value = HeaderValue::from_static("curl/8");
    encoder.field(&mut out, &agent, &value);
    out.clear();
    encoder.field(&mut out, &agent, &value);
    assert_eq!(out.len(), 1);
    let mut secret = HeaderValue::from_static("Bearer x");
    secret.set_sensitive(true);
    for _ in 0..2 {
        out.clear();
        encoder.field(&mut out, &http::header::AUTHORIZATION, &secret);
        assert_eq!((out[0] & 0xf0, out.len()), (0x10, 11));
    }
    let mut decoder = Decoder::new(4096);
    let mut back = None;
    decoder.decode(&out.clone().freeze(), |f| back = f).expect("good");
    assert!(back.expect("a field").value.is_sensitive());
}

#[test]
fn a_name_whose_values_are_new_each_time_is_spelled_once_as_long_as_it_is_kept() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
    let mut send = |size: usize, name: &'static str, value: String| {
        encoder.allow(size);
        let (name, value) = (HeaderName::from_static(name), HeaderValue::try_from(value).expect("a value"));
        let mut out = BytesMut::new();
        encoder.begin(&mut out);
        let before = out.len();
        encoder.field(&mut out, &name, &value);
        let length = out.len() - before;
        let mut back = None;
        decoder.decode(&out.freeze(), |f| back = f).expect("good");
        assert_eq!(back, Some(Field { name: Name::Header(name), value }));
        length
    };
    let (id, parent) = (|n: u8| n.to_string().repeat(36), |n: u8| n.to_string().repeat(55));
    let (spelled, known) = (1 + 13 + 37, 2 + 37);
    assert_eq!([send(4096, "x-request-id", id(1)), send(4096, "traceparent", parent(1))], [spelled, 1 + 12 + 56]);
    for n in 2..5 {
        assert_eq!([send(4096, "x-request-id", id(n)), send(4096, "traceparent", parent(n))], [known, 2 + 56]);
    }
    // Others push it out.
    for n in 0..100 {
        send(4096, "other", format!("{n:x>40}"));
    }
    assert_eq!([send(4096, "x-request-id", id(5)), send(4096, "x-request-id", id(6))], [spelled, known]);
    // No table for a while, then one of which it would take more than an eighth, then larger ones.
    for (size, lengths) in [(0, [spelled; 2]), (600, [spelled; 2]), (640, [spelled, known]), (4096, [known; 2])] {
        assert_eq!([send(size, "x-request-id", id(7)), send(size, "x-request-id", id(8))], lengths, "{size}");
    }
    // What is long would push out the others.
    assert_eq!([(); 2].map(|()| send(4096, "tracestate", "1".repeat(600))), [1 + 11 + 3 + 600; 2]);
}

#[test]
fn a_smaller_table_is_announced_and_kept_to() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
    encoder.allow(64);
    for n in 0..10 {
        let mut out = BytesMut::new();
        encoder.begin(&mut out);
        let (name, value) = (HeaderName::from_static("n"), HeaderValue::from(n));
        encoder.field(&mut out, &name, &value);
        let mut back = None;
        decoder.decode(&out.freeze(), |f| back = f).expect("good");
        assert_eq!(back, Some(Field { name: Name::Header(name), value }));
    }
}

/// RFC 7541, section 4.2: the smallest size since the last block, then the present one.
#[test]
fn a_table_that_was_small_for_a_while_is_announced_so() {
    let mut encoder = Encoder::default();
    let mut begin = |sizes: &[usize]| {
        let mut out = BytesMut::new();
        sizes.iter().for_each(|size| encoder.allow(*size));
        encoder.begin(&mut out);
        out.freeze()
    };
    assert_eq!(begin(&[64, 0, 4096]), bytes("20 3fe1 1f"));
    assert_eq!(begin(&[]), "");
    assert_eq!(begin(&[4096]), "");
    assert_eq!(begin(&[4096, 16]), bytes("30"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(fields in prop::collection::vec(("[a-z][a-z0-9-]{0,12}", "[ -~]{0,40}"), 0..30)) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
        for _ in 0..3 {
            let mut out = BytesMut::new();
            encoder.begin(&mut out);
            let fields: Vec<(HeaderName, HeaderValue)> = fields.iter().map(|(n, v)| (
                n.parse().expect("a name"), v.parse().expect("a value"))).collect();
            for (name, value) in &fields { encoder.field(&mut out, name, value); }
            let mut back = Vec::new();
            decoder.decode(&out.freeze(), |f| back.extend(f)).expect("good");
            let fields: Vec<Field> = fields.into_iter().map(|(n, value)| Field { name: Name::Header(n), value }).collect();
            prop_assert_eq!(back, fields);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(block in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = Decoder::new(4096);
        let mut most = 0;
        let _ = decoder.decode(&Bytes::from(block), |_| most += 1);
        let _ = huffman::decode(&[0xff; 9]);
        prop_assert!(most <= 200);
    }

    #[test]
    fn integers_are_read_back(value in 0usize..(1 << 28), prefix in 4u32..8) {
        let mut out = BytesMut::new();
        integer::write(&mut out, prefix, 0, value);
        let mut at = 0;
        prop_assert_eq!(integer::read(&out, &mut at, prefix), Ok(value));
        prop_assert_eq!(at, out.len());
    }
}
