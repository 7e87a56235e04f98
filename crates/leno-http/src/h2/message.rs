//! Heads and trailers: what a header block says, and the rules for it (RFC 9113, section 8).

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use super::hpack::{Encoder, Field, Name};
use super::limits;
use crate::{Fields, RequestHead, ResponseHead, spare};

/// What is wrong with a message. Its stream is ended, the connection goes on.
pub(super) type Malformed = &'static str;

/// What the last request said: the next one often says the same.
#[derive(Debug, Default)]
pub(super) struct Memo {
    authority: Option<(HeaderValue, Authority)>,
    path: Option<(HeaderValue, PathAndQuery)>,
}

/// What one block says.
pub(super) struct Block {
    method: Option<HeaderValue>,
    scheme: Option<HeaderValue>,
    authority: Option<HeaderValue>,
    path: Option<HeaderValue>,
    status: Option<HeaderValue>,
    fields: Fields,
    size: usize,
    regular: bool,
    cookies: u32,
    malformed: Option<Malformed>,
    length: Option<u64>,
}

impl Block {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            method: None,
            scheme: None,
            authority: None,
            path: None,
            status: None,
            fields: spare::fields(),
            size: 0,
            regular: false,
            cookies: 0,
            malformed: None,
            length: None,
        }
    }

    /// Takes the next field.
    pub(super) fn push(&mut self, field: Option<Field>) {
        let Some(field) = field else {
            self.malformed = Some("a field that HTTP does not allow");
            return;
        };
        self.size = self.size.saturating_add(field.size());
        if self.size > limits::HEADER_LIST || self.malformed.is_some() {
            return;
        }
        let Field { name, value } = field;
        let slot = match name {
            Name::Header(name) => {
                self.regular = true;
                if let Err(why) = self.header(name, value) {
                    self.malformed = Some(why);
                }
                return;
            }
            Name::Method => &mut self.method,
            Name::Scheme => &mut self.scheme,
            Name::Authority => &mut self.authority,
            Name::Path => &mut self.path,
            Name::Status => &mut self.status,
            Name::Protocol => {
                self.malformed = Some("extended CONNECT was not offered");
                return;
            }
        };
        if slot.is_some() {
            self.malformed = Some("a pseudo-header twice");
        } else if self.regular {
            self.malformed = Some("a pseudo-header behind a field");
        } else {
            *slot = Some(value);
        }
    }

    fn header(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Malformed> {
        let bytes = value.as_bytes();
        if matches!(bytes.first(), Some(b' ' | b'\t')) || matches!(bytes.last(), Some(b' ' | b'\t')) {
            return Err("space around a value");
        }
        if is_of_connection(&name) {
            return Err("a field that belongs to a connection of HTTP/1.1");
        }
        if name == CONTENT_LENGTH {
            let length = digits(bytes).ok_or("a length that is none")?;
            if self.length.replace(length).is_some() {
                return Err("a length twice");
            }
        } else if name == TE && !bytes.eq_ignore_ascii_case(b"trailers") {
            return Err("TE is something else than trailers");
        } else if name == COOKIE {
            self.cookies += 1;
        }
        self.fields.append(name, value);
        Ok(())
    }

    /// Whether the list is longer than is taken.
    pub(super) const fn is_too_long(&self) -> bool {
        self.size > limits::HEADER_LIST
    }

    /// Content-Length.
    pub(super) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// A request's head.
    pub(super) fn request(mut self, memo: &mut Memo) -> Result<RequestHead, Malformed> {
        self.check()?;
        if self.status.is_some() {
            return Err(":status in a request");
        }
        let method = self.method.take().ok_or("no :method")?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| ":method is none")?;
        let authority = self.authority.take().map(|a| remembered(&mut memo.authority, a, authority)).transpose()?;
        self.same_host(authority.as_ref())?;
        let mut parts = http::uri::Parts::default();
        parts.authority = authority;
        if method == Method::CONNECT {
            if self.scheme.is_some() || self.path.is_some() || parts.authority.is_none() {
                return Err("CONNECT wants :authority and nothing else");
            }
        } else {
            let scheme = self.scheme.take().ok_or("no :scheme")?;
            let path = self.path.take().ok_or("no :path")?;
            if path.as_bytes() == b"*" && method != Method::OPTIONS {
                return Err("only OPTIONS asks the server as a whole");
            }
            parts.path_and_query = Some(remembered(&mut memo.path, path, self::path)?);
            // Without an authority the target is a path alone.
            if parts.authority.is_some() {
                parts.scheme = Some(self::scheme(scheme.as_bytes())?);
            }
        }
        let uri = Uri::from_parts(parts).map_err(|_| "a target that is none")?;
        Ok(RequestHead { method, uri, version: Version::HTTP_2, headers: self.into_fields() })
    }

    /// A response's head.
    pub(super) fn response(mut self) -> Result<ResponseHead, Malformed> {
        self.check()?;
        if self.has_request_pseudo() {
            return Err("a request's pseudo-header in a response");
        }
        let status = self.status.take().ok_or("no :status")?;
        let status = StatusCode::from_bytes(status.as_bytes()).map_err(|_| ":status is none")?;
        if status == StatusCode::SWITCHING_PROTOCOLS || status.as_u16() > 599 {
            return Err("a status that HTTP/2 does not have");
        }
        Ok(ResponseHead { status, version: Version::HTTP_2, headers: self.into_fields() })
    }

    /// Trailers.
    pub(super) fn trailers(self) -> Result<Fields, Malformed> {
        self.check()?;
        if self.has_request_pseudo() || self.status.is_some() {
            return Err("a pseudo-header in trailers");
        }
        Ok(self.into_fields())
    }

    const fn has_request_pseudo(&self) -> bool {
        self.method.is_some() || self.scheme.is_some() || self.authority.is_some() || self.path.is_some()
    }

    fn check(&self) -> Result<(), Malformed> {
        match self.malformed {
            Some(why) => Err(why),
            None if self.is_too_long() => Err("a header list that is too long"),
            None => Ok(()),
        }
    }

    /// Two names for the host could mean two things (section 8.3.1).
    fn same_host(&self, authority: Option<&Authority>) -> Result<(), Malformed> {
        let mut hosts = self.fields.get_all(HOST);
        let Some(host) = hosts.next() else { return Ok(()) };
        let same = match authority {
            Some(authority) => authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()),
            None => self::authority(host).is_ok(),
        };
        if same && hosts.next().is_none() { Ok(()) } else { Err("Host is not what :authority says") }
    }

    fn into_fields(mut self) -> Fields {
        if self.cookies > 1 {
            // Split for the sake of compression; whoever does not speak HTTP/2 knows one alone (section 8.2.3).
            let all: Vec<&[u8]> = self.fields.get_all(COOKIE).map(HeaderValue::as_bytes).collect();
            let secret = self.fields.get_all(COOKIE).any(HeaderValue::is_sensitive);
            if let Ok(mut joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
                joined.set_sensitive(secret);
                self.fields.insert(COOKIE, joined);
            }
        }
        self.fields
    }
}

/// Writes a request's head.
pub(super) fn write_request(encoder: &mut Encoder, out: &mut BytesMut, head: &RequestHead) {
    encoder.begin(out);
    encoder.pseudo(out, &Name::Method, head.method.as_str());
    if head.method != Method::CONNECT {
        encoder.pseudo(out, &Name::Scheme, head.uri.scheme_str().unwrap_or("http"));
    }
    let named = head.uri.authority();
    if let Some(authority) = named {
        encoder.pseudo(out, &Name::Authority, authority.as_str());
    }
    if head.method != Method::CONNECT {
        match head.uri.path_and_query().map_or("/", PathAndQuery::as_str) {
            // An empty path is written all the same (section 8.3.1).
            query if query.starts_with('?') => encoder.pseudo(out, &Name::Path, &format!("/{query}")),
            path => encoder.pseudo(out, &Name::Path, path),
        }
    }
    write_fields(encoder, out, &head.headers, named.is_some());
}

/// Writes a response's head.
pub(super) fn write_response(encoder: &mut Encoder, out: &mut BytesMut, status: StatusCode, headers: &Fields) {
    encoder.begin(out);
    encoder.pseudo(out, &Name::Status, status.as_str());
    write_fields(encoder, out, headers, false);
}

/// Writes trailers.
pub(super) fn write_trailers(encoder: &mut Encoder, out: &mut BytesMut, trailers: &Fields) {
    encoder.begin(out);
    write_fields(encoder, out, trailers, false);
}

fn write_fields(encoder: &mut Encoder, out: &mut BytesMut, headers: &Fields, host_said: bool) {
    for (name, value) in headers {
        if !(is_of_connection(name) || host_said && *name == HOST) {
            encoder.field(out, name, value);
        }
    }
}

/// Fields that HTTP/2 does not have (section 8.2.2).
fn is_of_connection(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "transfer-encoding" | "upgrade" | "keep-alive" | "proxy-connection")
}

fn authority(value: &HeaderValue) -> Result<Authority, Malformed> {
    let authority = Authority::try_from(value.as_bytes()).map_err(|_| ":authority is none")?;
    // Who calls is not told in the target (section 8.3.1).
    if authority.as_str().contains('@') { Err(":authority names a user") } else { Ok(authority) }
}

fn path(value: &HeaderValue) -> Result<PathAndQuery, Malformed> {
    let value = value.as_bytes();
    let wrong = |b: &u8| *b <= b' ' || *b == 0x7f || *b == b'#';
    if !matches!(value, [b'/', ..] | b"*") || value.iter().any(wrong) {
        return Err(":path is none");
    }
    PathAndQuery::try_from(value).map_err(|_| ":path is none")
}

/// What was read the last time, where it is the same again.
fn remembered<T: Clone>(
    last: &mut Option<(HeaderValue, T)>,
    value: HeaderValue,
    read: fn(&HeaderValue) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    match last {
        Some((known, read)) if *known == value => Ok(read.clone()),
        _ => {
            let read = read(&value)?;
            if value.len() <= REMEMBERED {
                *last = Some((value, read.clone()));
            }
            Ok(read)
        }
    }
}

fn scheme(value: &[u8]) -> Result<Scheme, Malformed> {
    match value {
        b"http" => Ok(Scheme::HTTP),
        b"https" => Ok(Scheme::HTTPS),
        _ => Scheme::try_from(value).map_err(|_| ":scheme is none"),
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Longest value that is kept for the next request.
const REMEMBERED: usize = 512;
