//! HTTP/1 by its request line.

use super::Sniff;

/// Bytes of a request line after which a well-known method decides alone.
pub(super) const MAX_LINE: usize = 4096;

pub(super) fn sniff(bytes: &[u8]) -> Sniff {
    let method_len = bytes.iter().position(|b| !is_method_byte(*b)).unwrap_or(bytes.len());
    let (method, rest) = bytes.split_at(method_len);
    // A method begins with a letter: `-ERR` and numbers are something else.
    if !method.first().is_some_and(u8::is_ascii_uppercase) || method_len > MAX_METHOD {
        return Sniff::Opaque;
    }
    let Some((separator, rest)) = rest.split_first() else { return Sniff::NeedMore };
    if *separator != b' ' {
        return Sniff::Opaque;
    }
    let target_len = rest.iter().position(|b| !is_target_byte(*b)).unwrap_or(rest.len());
    let (target, rest) = rest.split_at(target_len);
    match judge_target(method, target, rest.is_empty()) {
        Target::Impossible => return Sniff::Opaque,
        Target::NeedMore if bytes.len() > MAX_LINE => return Sniff::Opaque,
        Target::NeedMore => return Sniff::NeedMore,
        Target::Possible => {}
    }
    match rest.split_first() {
        None if bytes.len() <= MAX_LINE => Sniff::NeedMore,
        None if WELL_KNOWN.contains(&method) => Sniff::Http1,
        Some((b' ', version)) => judge_version(version),
        _ => Sniff::Opaque,
    }
}

enum Target {
    Possible,
    NeedMore,
    Impossible,
}

/// The four forms of RFC 9112, section 3.2: `/path`, `scheme://…`, `host:port` for CONNECT, `*` for OPTIONS.
fn judge_target(method: &[u8], target: &[u8], open: bool) -> Target {
    let Some(first) = target.first() else {
        return if open { Target::NeedMore } else { Target::Impossible };
    };
    match first {
        b'/' => Target::Possible,
        b'*' if method == b"OPTIONS" => {
            if target.len() == 1 {
                Target::Possible
            } else {
                Target::Impossible
            }
        }
        _ if method == b"CONNECT" => match target.contains(&b':') {
            true => Target::Possible,
            false if open => Target::NeedMore,
            false => Target::Impossible,
        },
        _ => absolute_form(target, open),
    }
}

/// Only `http://` and `https://` are spoken to an HTTP server; `rtsp://`, `sip:`, `icap://` are others' protocols.
fn absolute_form(target: &[u8], open: bool) -> Target {
    for scheme in [&b"http://"[..], b"https://"] {
        let n = scheme.len().min(target.len());
        if target[..n].eq_ignore_ascii_case(&scheme[..n]) {
            if n == scheme.len() {
                return Target::Possible;
            }
            if open {
                return Target::NeedMore;
            }
        }
    }
    Target::Impossible
}

fn judge_version(version: &[u8]) -> Sniff {
    let known = version.len().min(VERSION.len());
    if version[..known] != VERSION[..known] {
        return Sniff::Opaque;
    }
    match version.get(VERSION.len()) {
        None => Sniff::NeedMore,
        Some(b'0' | b'1') => Sniff::Http1,
        Some(_) => Sniff::Opaque,
    }
}

/// Upper-case letters, digits, `-` and `_`: all registered methods. A token in lower case is far more often another
/// text protocol (`get key`, memcached) than a private HTTP method.
fn is_method_byte(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_'
}

/// Visible ASCII, and bytes above it, which some clients send unescaped.
fn is_target_byte(b: u8) -> bool {
    b > b' ' && b != 0x7f
}

const MAX_METHOD: usize = 32;
const VERSION: &[u8] = b"HTTP/1.";
const WELL_KNOWN: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];
