//! HTTP/2: a request and its answer through both ends of a warm connection, without a socket between them.

use std::io::IoSlice;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use leno_http::h2::{Connection, Event, Role, Windows};
use leno_http::{Fields, Output, RequestHead};

use crate::message::{BODY, answer, request};

/// One request without a body, one answer with a small one.
#[divan::bench]
fn round(bencher: Bencher<'_, '_>) {
    rounds(bencher, 1);
}

/// Ten at once, as of one wake-up.
#[divan::bench]
fn rounds_of_ten_streams(bencher: Bencher<'_, '_>) {
    rounds(bencher, 10);
}

fn rounds(bencher: Bencher<'_, '_>, streams: usize) {
    let mut pair = Pair::new();
    for _ in 0..WARM {
        pair.round(streams);
    }
    bencher.bench_local(|| pair.round(streams));
}

struct Pair {
    client: Connection,
    server: Connection,
    /// What is under way.
    wire: BytesMut,
    output: Output,
    request: RequestHead,
    answer: Fields,
    body: Bytes,
}

impl Pair {
    fn new() -> Self {
        Self {
            client: Connection::new(Role::Client, WINDOWS),
            server: Connection::new(Role::Server, WINDOWS),
            wire: BytesMut::with_capacity(64 * 1024),
            output: Output::default(),
            request: request(),
            answer: answer().headers,
            body: Bytes::from(vec![b'x'; BODY]),
        }
    }

    fn round(&mut self, streams: usize) {
        for _ in 0..streams {
            self.client.open(&self.request, true);
        }
        carry(&mut self.client, &mut self.output, &mut self.wire);
        while let Some(event) = self.server.receive(&mut self.wire, NOW).expect("requests") {
            if let Event::Request { stream, .. } = event {
                self.server.respond(stream, http::StatusCode::OK, &self.answer, false);
                self.server.send(stream, self.body.clone(), true);
            }
        }
        carry(&mut self.server, &mut self.output, &mut self.wire);
        let mut ended = 0;
        while let Some(event) = self.client.receive(&mut self.wire, NOW).expect("answers") {
            if let Event::Data { stream, data, end } = event {
                self.client.consumed(stream, data.len());
                ended += usize::from(end);
            }
        }
        assert_eq!(ended, streams);
    }
}

/// Takes what one end has to send, as a socket would.
fn carry(from: &mut Connection, output: &mut Output, wire: &mut BytesMut) {
    from.fill();
    from.take_output(output);
    let mut slices = [IoSlice::new(&[]); 8];
    while !output.is_empty() {
        let n = output.slices(&mut slices);
        let mut taken = 0;
        for slice in &slices[..n] {
            wire.extend_from_slice(slice);
            taken += slice.len();
        }
        slices = [IoSlice::new(&[]); 8];
        output.advance(taken);
    }
}

const WINDOWS: Windows = Windows { stream: 256 * 1024, connection: 1024 * 1024 };
/// The limits by time are not what is measured.
const NOW: Duration = Duration::ZERO;
const WARM: usize = 100;
