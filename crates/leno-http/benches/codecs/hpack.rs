//! Header blocks once both tables hold what repeats: of a request and of its answer.

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::BytesCount;
use leno_http::Fields;
use leno_http::h2::hpack::{DEFAULT_TABLE, Decoder, Encoder, Name};

use crate::message::{AUTHORITY, PATH, answer, request};

#[divan::bench]
fn encode_request(bencher: Bencher<'_, '_>) {
    encode(bencher, &REQUEST, &request().headers);
}

#[divan::bench]
fn encode_answer(bencher: Bencher<'_, '_>) {
    encode(bencher, &ANSWER, &answer().headers);
}

#[divan::bench]
fn decode_request(bencher: Bencher<'_, '_>) {
    decode(bencher, &REQUEST, &request().headers);
}

#[divan::bench]
fn decode_answer(bencher: Bencher<'_, '_>) {
    decode(bencher, &ANSWER, &answer().headers);
}

fn encode(bencher: Bencher<'_, '_>, pseudo: &[(Name, &str)], headers: &Fields) {
    let mut encoder = Encoder::default();
    let mut out = BytesMut::with_capacity(1024);
    write(&mut encoder, &mut out, pseudo, headers);
    bencher.bench_local(|| {
        out.clear();
        write(&mut encoder, &mut out, pseudo, headers);
        out.len()
    });
}

fn decode(bencher: Bencher<'_, '_>, pseudo: &[(Name, &str)], headers: &Fields) {
    let mut encoder = Encoder::default();
    let mut block = || -> Bytes {
        let mut out = BytesMut::new();
        write(&mut encoder, &mut out, pseudo, headers);
        out.freeze()
    };
    let (first, next) = (block(), block());
    let mut decoder = Decoder::new(DEFAULT_TABLE);
    decoder.decode(&first, |_| {}).expect("a block");
    bencher.counter(BytesCount::new(next.len())).bench_local(|| {
        decoder.decode(&next, |field| drop(divan::black_box(field))).expect("a block");
    });
}

fn write(encoder: &mut Encoder, out: &mut BytesMut, pseudo: &[(Name, &str)], headers: &Fields) {
    encoder.begin(out);
    for (name, value) in pseudo {
        encoder.pseudo(out, name, value);
    }
    for (name, value) in headers {
        encoder.field(out, name, value);
    }
}

const REQUEST: [(Name, &str); 4] =
    [(Name::Method, "GET"), (Name::Scheme, "http"), (Name::Authority, AUTHORITY), (Name::Path, PATH)];
const ANSWER: [(Name, &str); 1] = [(Name::Status, "200")];
