//! Phase 1: what is known of the request, noted for the record and completed where the client left it out.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderValue, Version};
use leno_core::names::header;

use crate::http::body::Head;
use crate::http::exchange::Exchange;
use crate::http::heads;
use crate::telemetry::{HttpVersion, ReqProtocol, Text};

/// Both ends of the client's connection.
#[derive(Clone, Debug)]
pub struct Downstream {
    /// The client.
    pub client: SocketAddr,
    /// Where it meant to connect.
    pub dialled: SocketAddr,
    /// Server name it asked for by TLS.
    pub sni: Arc<str>,
}

/// Fills the record in.
pub fn read(exchange: &mut Exchange, request: &mut Head, downstream: &Downstream) {
    let record = &mut exchange.record;
    record.method = Text::from(&request.method);
    record.path = Text::from(request.uri.path_and_query());
    record.authority = request.uri.authority().map_or_else(Text::default, Text::from);
    // One look at each name: a look-up costs a search each.
    for (name, value) in &request.headers {
        let text = match name.as_str() {
            header::REQUEST_ID => &mut record.request_id,
            header::FORWARDED_FOR => &mut record.forwarded_for,
            "host" => &mut record.authority,
            "user-agent" => &mut record.user_agent,
            "content-type" => {
                if heads::is_grpc(value) {
                    record.protocol = ReqProtocol::Grpc;
                }
                continue;
            }
            _ => continue,
        };
        if text.is_missing() {
            *text = Text::from(Some(value));
        }
    }
    if record.request_id.is_empty() {
        let id = new_id();
        record.request_id = Text::from(Some(&id));
        request.headers.insert(REQUEST_ID, id);
    }
    exchange.note_headers(&request.headers);
    let record = &mut exchange.record;
    record.http_version = match request.version {
        Version::HTTP_2 => HttpVersion::Http2,
        Version::HTTP_10 | Version::HTTP_09 => HttpVersion::Http10,
        _ => HttpVersion::Http11,
    };
    record.downstream_remote = Some(downstream.client);
    record.downstream_local = Some(downstream.dialled);
    record.sni = Arc::clone(&downstream.sni);
}

/// A random UUID (version 4).
fn new_id() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut random: [u8; 16] = rand::random();
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let mut text = [b'-'; 36];
    for (byte, place) in random.into_iter().zip(PLACES) {
        text[place] = HEX[usize::from(byte >> 4)];
        text[place + 1] = HEX[usize::from(byte & 0xf)];
    }
    // Records and retries share it, so it owns its bytes in one piece.
    HeaderValue::from_maybe_shared(Bytes::from_owner(text)).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// Where each byte of a UUID stands in its text.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

const REQUEST_ID: HeaderName = HeaderName::from_static(header::REQUEST_ID);
