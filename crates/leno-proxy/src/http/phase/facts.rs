//! Phase 1: what is known of the request, noted for the record and completed where the client left it out.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{HeaderName, USER_AGENT};
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
    if heads::text(&request.headers, &REQUEST_ID).is_empty() {
        request.headers.insert(REQUEST_ID, new_id());
    }
    exchange.note_headers(&request.headers);
    let record = &mut exchange.record;
    let headers = &request.headers;
    record.method = Text::from(&request.method);
    record.path = Text::from(request.uri.path_and_query());
    record.authority = heads::authority_text(request);
    record.user_agent = Text::from(headers.get(USER_AGENT));
    record.request_id = Text::from(headers.get(&REQUEST_ID));
    record.forwarded_for = Text::from(headers.get(&FORWARDED_FOR));
    record.http_version = match request.version {
        Version::HTTP_2 => HttpVersion::Http2,
        Version::HTTP_10 | Version::HTTP_09 => HttpVersion::Http10,
        _ => HttpVersion::Http11,
    };
    if heads::is_grpc(headers) {
        record.protocol = ReqProtocol::Grpc;
    }
    record.downstream_remote = Some(downstream.client);
    record.downstream_local = Some(downstream.dialled);
    record.sni = Arc::clone(&downstream.sni);
}

/// A random UUID (version 4).
fn new_id() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut random: u128 = rand::random();
    random = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let mut text = [b'-'; 36];
    let mut digit = 128;
    for (place, byte) in text.iter_mut().enumerate() {
        if !matches!(place, 8 | 13 | 18 | 23) {
            digit -= 4;
            *byte = HEX[usize::try_from((random >> digit) & 0xf).unwrap_or(0)];
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

const REQUEST_ID: HeaderName = HeaderName::from_static(header::REQUEST_ID);
const FORWARDED_FOR: HeaderName = HeaderName::from_static(header::FORWARDED_FOR);
