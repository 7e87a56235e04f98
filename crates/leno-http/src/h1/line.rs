//! Heads of requests and responses.

use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version};
use memchr::memchr;

use super::fields::{self, BadHead, Framing};
use super::limits;
use crate::{RequestHead, ResponseHead};

/// A request, up to its body.
#[derive(Debug)]
pub struct Request {
    /// Its head. `Host`, where it is there, is what the target says, where that names an authority.
    pub head: RequestHead,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the client wants to use the connection again.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends its body.
    pub expect_continue: bool,
}

/// A response, up to its body.
#[derive(Debug)]
pub struct Response {
    /// Its head.
    pub head: ResponseHead,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the server keeps the connection.
    pub keep_alive: bool,
}

/// Which request a response answers: that decides whether it has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// HEAD: there is none.
    Head,
    /// CONNECT: after a 2xx there is none, but a tunnel.
    Connect,
    /// Any other.
    Other,
}

impl Answered {
    /// By the request's method.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// Reads a whole request head, as [`super::Scan`] delimits it.
///
/// # Errors
/// Where it is not HTTP, or could mean two things.
pub fn request(head: &Bytes) -> Result<Request, BadHead> {
    let feed = memchr(b'\n', head).ok_or(BadHead::RequestLine)?;
    let line = head[..feed].strip_suffix(b"\r").ok_or(BadHead::BareLineFeed)?;
    let space = memchr(b' ', line).ok_or(BadHead::RequestLine)?;
    if space == 0 || space > limits::METHOD {
        return Err(BadHead::Method);
    }
    let method = Method::from_bytes(&line[..space]).map_err(|_| BadHead::Method)?;
    let rest = &line[space + 1..];
    let end = memchr(b' ', rest).ok_or(BadHead::RequestLine)?;
    let version = version(&rest[end + 1..]).ok_or_else(|| not_a_version(&rest[end + 1..], BadHead::RequestLine))?;
    let uri = target(&method, head.slice(space + 1..space + 1 + end))?;
    let mut read = fields::read(head, feed + 1)?;
    let old = version == Version::HTTP_10;
    if read.hosts > 1 || (read.hosts == 0 && !old) {
        return Err(BadHead::Host);
    }
    if method != Method::CONNECT {
        read.call(uri.authority())?;
    }
    if old && read.chunked {
        return Err(BadHead::Encoding);
    }
    let framing = if read.chunked { Framing::Chunked } else { Framing::Length(read.length.unwrap_or(0)) };
    Ok(Request {
        keep_alive: read.stays(old),
        expect_continue: read.expect_continue && !old && framing != Framing::Length(0),
        head: RequestHead { method, uri, version, headers: read.fields },
        framing,
    })
}

/// Reads a whole response head to a request.
///
/// # Errors
/// Where it is not HTTP, or could mean two things.
pub fn response(head: &Bytes, answered: Answered) -> Result<Response, BadHead> {
    let feed = memchr(b'\n', head).ok_or(BadHead::StatusLine)?;
    let line = head[..feed].strip_suffix(b"\r").ok_or(BadHead::BareLineFeed)?;
    let (first, rest) = line.split_at_checked(8).ok_or(BadHead::StatusLine)?;
    let version = version(first).ok_or_else(|| not_a_version(first, BadHead::StatusLine))?;
    let status = match rest {
        // The phrase may be missing, and then its space too; it means nothing.
        [b' ', code @ ..] if code.len() == 3 || (code.len() > 3 && code[3] == b' ') => &code[..3],
        _ => return Err(BadHead::StatusLine),
    };
    if rest.iter().any(|b| b.is_ascii_control() && *b != b'\t') || status[0] > b'5' {
        return Err(BadHead::StatusLine);
    }
    let status = StatusCode::from_bytes(status).map_err(|_| BadHead::StatusLine)?;
    let read = fields::read(head, feed + 1)?;
    let old = version == Version::HTTP_10;
    if old && read.chunked {
        return Err(BadHead::Encoding);
    }
    let framing = match (status.as_u16(), answered) {
        (100..=199 | 204 | 304, _) | (_, Answered::Head) | (200..=299, Answered::Connect) => Framing::Length(0),
        _ if read.chunked => Framing::Chunked,
        _ => read.length.map_or(Framing::UntilClose, Framing::Length),
    };
    // Of a 204 that says it has a body one may come all the same, and would be taken for the next answer.
    let confused = status == StatusCode::NO_CONTENT && (read.chunked || read.length.is_some_and(|n| n > 0));
    let keep_alive = read.stays(old) && framing != Framing::UntilClose && !confused;
    Ok(Response { head: ResponseHead { status, version, headers: read.fields }, framing, keep_alive })
}

fn version(text: &[u8]) -> Option<Version> {
    match text {
        b"HTTP/1.1" => Some(Version::HTTP_11),
        b"HTTP/1.0" => Some(Version::HTTP_10),
        _ => None,
    }
}

/// `HTTP/DIGIT.DIGIT` is a version that is not spoken; anything else is nonsense.
fn not_a_version(text: &[u8], otherwise: BadHead) -> BadHead {
    match text {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            BadHead::Version
        }
        _ => otherwise,
    }
}

/// The four forms of RFC 9112, section 3.2, each where it belongs. A fragment never leaves a client.
fn target(method: &Method, text: Bytes) -> Result<Uri, BadHead> {
    if text.is_empty() || text.iter().any(|b| *b <= b' ' || *b == 0x7f || *b == b'#') {
        return Err(BadHead::Target);
    }
    let first = text[0];
    let uri = Uri::from_maybe_shared(text).map_err(|_| BadHead::Target)?;
    let fits = if *method == Method::CONNECT {
        uri.scheme().is_none() && uri.authority().is_some() && uri.path_and_query().is_none()
    } else {
        match first {
            b'/' => true,
            b'*' => *method == Method::OPTIONS && uri.path() == "*",
            // Who calls is not told in the target (RFC 9110, section 4.2.4).
            _ => uri.scheme().is_some() && uri.authority().is_some_and(|a| !a.as_str().contains('@')),
        }
    };
    if fits { Ok(uri) } else { Err(BadHead::Target) }
}
