//! HTTP/2, at both ends: no panic on any bytes however they are cut, what a peer may send ahead stays within the windows, and
//! what it makes this end send stays small.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use leno_http::h2::{Code, Connection, Event, Role, Windows, limits};
use leno_http::{Fields, Output, RequestHead};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step {
    /// A frame: kind, flags, stream, payload.
    Frame(u8, u8, u8, Vec<u8>),
    /// Anything.
    Bytes(Vec<u8>),
    /// This end does something on a stream.
    Send(u8, u16, bool),
    Trailers(u8),
    Reset(u8),
    Leave,
    /// What waits is sent.
    Take,
}

const WINDOWS: Windows = Windows { stream: 70_000, connection: 100_000 };

fuzz_target!(|script: (bool, bool, Vec<Step>)| {
    let (client, greeted, steps) = script;
    let mut conn = Connection::new(if client { Role::Client } else { Role::Server }, WINDOWS);
    let mut input = BytesMut::new();
    if greeted {
        if !client {
            input.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        }
        input.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    }
    if client {
        let head = RequestHead::new(Method::GET, Uri::from_static("http://a/"), Version::HTTP_2);
        conn.open(&head, false);
        conn.open(&head, true);
    }
    let (mut held, mut output) = (0, Output::default());
    for step in steps {
        match step {
            Step::Frame(kind, flags, stream, payload) => {
                let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
                input.extend_from_slice(&length[1..]);
                input.extend_from_slice(&[kind % 11, flags, 0, 0, 0, stream % 16]);
                input.extend_from_slice(&payload);
            }
            Step::Bytes(bytes) => input.extend_from_slice(&bytes),
            Step::Send(stream, n, end) => {
                conn.send(stream.into(), Bytes::from(vec![0; n.into()]), end);
            }
            Step::Trailers(stream) => {
                let mut trailers = Fields::new();
                trailers.append(HeaderName::from_static("x"), HeaderValue::from_static("y"));
                conn.send_trailers(stream.into(), trailers);
            }
            Step::Reset(stream) => conn.reset(stream.into(), Code::CANCEL),
            Step::Leave => conn.leave(),
            Step::Take => {
                conn.fill();
                output = Output::default();
                conn.take_output(&mut output);
            }
        }
        loop {
            match conn.receive(&mut input, Duration::ZERO) {
                Ok(Some(Event::Request { stream, .. })) => {
                    conn.respond(stream, StatusCode::OK, &Fields::new(), stream % 3 == 0);
                }
                Ok(Some(Event::Data { stream, data, .. })) => {
                    held += data.len();
                    assert!(held <= WINDOWS.connection as usize);
                    if stream % 4 == 1 {
                        conn.consumed(stream, data.len());
                        held -= data.len();
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(conn.open_streams() <= limits::STREAMS as usize);
    }
    drop(output);
});
