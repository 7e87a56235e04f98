//! HTTP/1.1: heads and chunks.

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::BytesCount;
use http::{Method, StatusCode, Uri, Version};
use leno_http::h1::write::{self, CHUNK_END, Says};
use leno_http::h1::{self, Answered, Decoder, Event, Framing, Scan};

use crate::message::{ANSWER, BODY, PATH, REQUEST, fields};

/// The end of a head is found and the head is read, as of bytes that came in one read.
#[divan::bench]
fn read_request(bencher: Bencher<'_, '_>) {
    let head = request_head();
    bencher.counter(BytesCount::new(head.len())).bench(|| {
        let end = Scan::default().end(&head).expect("a head").expect("whole");
        h1::request(&head.slice(..end)).expect("a request")
    });
}

#[divan::bench]
fn read_response(bencher: Bencher<'_, '_>) {
    let head = response_head();
    bencher.counter(BytesCount::new(head.len())).bench(|| {
        let end = Scan::default().end(&head).expect("a head").expect("whole");
        h1::response(&head.slice(..end), Answered::Other).expect("a response")
    });
}

/// Into a buffer that has room.
#[divan::bench]
fn write_request(bencher: Bencher<'_, '_>) {
    let (uri, headers) = (Uri::from_static(PATH), fields(&REQUEST));
    let mut out = BytesMut::with_capacity(ROOM);
    bencher.bench_local(|| {
        out.clear();
        write::request(&mut out, &Method::GET, &uri, &headers, None);
        out.len()
    });
}

#[divan::bench]
fn write_response(bencher: Bencher<'_, '_>) {
    let headers = fields(&ANSWER);
    let mut out = BytesMut::with_capacity(ROOM);
    bencher.bench_local(|| {
        out.clear();
        let says = Says::Body(Framing::Length(BODY as u64));
        write::response(&mut out, Version::HTTP_11, StatusCode::OK, &headers, says, None);
        out.len()
    });
}

/// A body of 64 KiB in chunks of 8 KiB, taken apart: the lines between chunks, since data is not looked at.
#[divan::bench]
fn read_chunks(bencher: Bencher<'_, '_>) {
    let body = chunked_body();
    bencher.bench(|| {
        let mut decoder = Decoder::new(Framing::Chunked);
        let (mut at, mut data) = (0, 0);
        while !decoder.is_done() {
            let step = decoder.step(&body[at..]).expect("a body");
            at += step.consumed;
            if let Event::Data(range) = step.event {
                data += range.len();
            }
        }
        assert_eq!(data, CHUNKS * CHUNK);
    });
}

fn request_head() -> Bytes {
    let mut out = BytesMut::new();
    write::request(&mut out, &Method::GET, &Uri::from_static(PATH), &fields(&REQUEST), None);
    out.freeze()
}

fn response_head() -> Bytes {
    let mut out = BytesMut::new();
    let says = Says::Body(Framing::Length(BODY as u64));
    write::response(&mut out, Version::HTTP_11, StatusCode::OK, &fields(&ANSWER), says, None);
    out.freeze()
}

fn chunked_body() -> Bytes {
    let mut out = BytesMut::new();
    for _ in 0..CHUNKS {
        write::chunk(&mut out, CHUNK);
        out.extend_from_slice(&[b'x'; CHUNK]);
        out.extend_from_slice(CHUNK_END);
    }
    write::last_chunk(&mut out, None);
    out.freeze()
}

const CHUNKS: usize = 8;
const CHUNK: usize = 8 * 1024;
/// More than either head takes.
const ROOM: usize = 2048;
