//! The state machine by scripts of frames.

mod flow;
mod limits;
mod messages;
mod oracle;
mod rules;

use std::time::Duration;

use bytes::BytesMut;

use super::frame::{self, Head, Kind};
use super::{Broken, Code, Connection, Event, Role, Windows};
use crate::{Fields, Output, RequestHead};

const WINDOWS: Windows = Windows { stream: 70_000, connection: 100_000 };

/// A frame on its way out: kind, flags, stream, payload.
type Sent = (u8, u8, u32, Vec<u8>);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::head(&mut out, payload.len(), Kind(kind), flags, stream);
    out.extend_from_slice(payload);
    out.to_vec()
}

/// `GET /` of `a`, and a POST.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x01, 0x01, b'a'];
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x01, 0x01, b'a'];
/// 200.
const OK: &[u8] = &[0x88];

fn server() -> Connection {
    let mut server = Connection::new(Role::Server, WINDOWS);
    feed(&mut server, &[frame::PREFACE, &frame(4, 0, 0, &[])].concat()).expect("greeted");
    sent(&mut server);
    server
}

/// A client with one request under way, on stream 1.
fn client() -> Connection {
    let mut client = Connection::new(Role::Client, WINDOWS);
    feed(&mut client, &frame(4, 0, 0, &[])).expect("greeted");
    client.open(&request("GET"), true);
    sent(&mut client);
    client
}

fn request(method: &str) -> RequestHead {
    let method = method.parse().expect("a method");
    RequestHead::new(method, http::Uri::from_static("http://a/"), http::Version::HTTP_2)
}

fn feed(conn: &mut Connection, bytes: &[u8]) -> Result<Vec<Event>, Broken> {
    let mut input = BytesMut::from(bytes);
    let mut events = Vec::new();
    while let Some(event) = conn.receive(&mut input, Duration::ZERO)? {
        events.push(event);
    }
    Ok(events)
}

/// Why the connection ends.
fn broken(conn: &mut Connection, bytes: &[u8]) -> Code {
    feed(conn, bytes).expect_err("broken").code
}

/// All that is to be sent now, frame by frame.
fn sent(conn: &mut Connection) -> Vec<Sent> {
    let mut bytes = bytes(conn);
    if bytes.starts_with(frame::PREFACE) {
        bytes.drain(..frame::PREFACE.len());
    }
    let mut frames = Vec::new();
    let mut rest = &bytes[..];
    while let Some(head) = Head::read(rest) {
        let payload = rest[frame::HEAD..frame::HEAD + head.length].to_vec();
        rest = &rest[frame::HEAD + head.length..];
        frames.push((head.kind.0, head.flags, head.stream, payload));
    }
    assert!(rest.is_empty());
    frames
}

fn bytes(conn: &mut Connection) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        conn.fill();
        let mut output = Output::default();
        conn.take_output(&mut output);
        if output.is_empty() {
            return all;
        }
        while !output.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); 4];
            let n = output.slices(&mut slices);
            let written: usize = slices[..n].iter().map(|s| s.len()).sum();
            slices[..n].iter().for_each(|s| all.extend_from_slice(s));
            output.advance(written);
        }
    }
}

/// The code of the last RST_STREAM, of the stream.
fn was_reset(conn: &mut Connection, stream: u32) -> Option<Code> {
    sent(conn).iter().rev().find(|f| f.0 == 3 && f.2 == stream).map(|f| Code(frame::number(&f.3)))
}
