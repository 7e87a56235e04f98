//! Whether a request meets the conditions of a match.

use std::borrow::Cow;

use super::RequestFacts;
use crate::model::route::HttpMatch;
use crate::model::{StringMatch, selects};

pub(super) fn http(m: &HttpMatch, facts: &RequestFacts<'_>) -> bool {
    first_miss(m, facts).is_none()
}

/// The condition of a match that a request does not meet; numbers are places in the match's own lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The port dialled.
    Port,
    /// The path.
    Uri,
    /// The method.
    Method,
    /// The scheme.
    Scheme,
    /// The authority.
    Authority,
    /// A header that must look so.
    Header(usize),
    /// A header that must not.
    WithoutHeader(usize),
    /// A query parameter.
    Query(usize),
    /// The caller's labels.
    SourceLabels,
    /// The caller's namespace.
    SourceNamespace,
}

/// The first condition that is not met; `None`: the request matches.
#[must_use]
pub fn first_miss(m: &HttpMatch, facts: &RequestFacts<'_>) -> Option<Miss> {
    let holds = |condition: &Option<StringMatch>, value: &str| condition.as_ref().is_none_or(|c| c.matches(value));
    let header = |name: &str, c: &StringMatch| facts.headers.get(name).is_some_and(|v| c.matches(&v));
    let path = |u: &StringMatch| uri(m, u, facts.path);
    if m.port.is_some_and(|p| p != facts.port) {
        return Some(Miss::Port);
    }
    if !m.uri.as_ref().is_none_or(path) {
        return Some(Miss::Uri);
    }
    if !holds(&m.method, facts.method) {
        return Some(Miss::Method);
    }
    if !holds(&m.scheme, facts.scheme) {
        return Some(Miss::Scheme);
    }
    if !m.authority.as_ref().is_none_or(|a| authority(a, facts)) {
        return Some(Miss::Authority);
    }
    if let Some(at) = m.headers.iter().position(|(name, c)| !header(name, c)) {
        return Some(Miss::Header(at));
    }
    if let Some(at) = m.without_headers.iter().position(|(name, c)| header(name, c)) {
        return Some(Miss::WithoutHeader(at));
    }
    let query = |name: &str, c: &StringMatch| query_parameter(facts.query, name).is_some_and(|v| c.matches(&v));
    if let Some(at) = m.query.iter().position(|(name, c)| !query(name, c)) {
        return Some(Miss::Query(at));
    }
    if !selects(&m.source_labels, facts.source_labels) {
        return Some(Miss::SourceLabels);
    }
    let here = m.source_namespace.as_deref().is_none_or(|ns| ns == facts.source_namespace);
    (!here).then_some(Miss::SourceNamespace)
}

fn uri(m: &HttpMatch, condition: &StringMatch, path: &str) -> bool {
    match condition {
        StringMatch::Prefix(prefix) if m.uri_by_element => {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        condition if m.ignore_uri_case => condition.matches_ignoring_case(path),
        condition => condition.matches(path),
    }
}

/// Clients name the port or not as they like, so a condition may name it or not too.
fn authority(condition: &StringMatch, facts: &RequestFacts<'_>) -> bool {
    let bare = authority_without_port(facts.authority, facts.port);
    condition.matches_ignoring_case(facts.authority) || condition.matches_ignoring_case(bare)
}

/// `authority` without `:port` where that is the port dialled; else as it is.
#[must_use]
pub fn authority_without_port(authority: &str, port: u16) -> &str {
    match authority.rsplit_once(':') {
        // A bare IPv6 address has colons too, but its last group is never taken for a port: it ends in `]`, or it has
        // no brackets and then more than one colon.
        Some((host, p)) if p.parse() == Ok(port) && (host.ends_with(']') || !host.contains(':')) => host,
        _ => authority,
    }
}

/// The first value of the query parameter `name`, percent-decoded (as Envoy: `+` stays `+`). A parameter without `=`
/// has the empty value.
#[must_use]
pub fn query_parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (!pair.is_empty() && percent_decode(key) == name).then(|| percent_decode(value))
    })
}

fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match hex_pair(bytes, i) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The byte that `%HH` at `at` stands for.
pub(in crate::decide) fn hex_pair(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    match bytes.get(at..at.checked_add(3)?)? {
        [b'%', high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    }
}

/// Whether `sni` is the host `pattern`; `*.example.com` is any name below `example.com`, `*` any at all.
#[must_use]
pub fn sni_matches(pattern: &str, sni: &str) -> bool {
    let sni = sni.strip_suffix('.').unwrap_or(sni);
    match pattern.strip_prefix('*') {
        Some("") => true,
        // The suffix keeps its dot, so that `*.a.com` is neither `a.com` nor `xa.com`.
        Some(suffix) => {
            sni.len() > suffix.len()
                && sni.get(sni.len() - suffix.len()..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
        None => sni.eq_ignore_ascii_case(pattern),
    }
}
