//! Reading and editing message heads.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, TE, UPGRADE};
use http::{HeaderName, HeaderValue, Uri};
use leno_core::decide::route::HeaderLookup;
use leno_core::model::route::HeaderEdit;
use leno_core::tap;

use super::body::{Fields, Head};
use crate::telemetry::Text;

/// Headers as decisions look them up; values of a repeated header are joined.
pub struct Lookup<'h>(pub &'h Fields);

impl HeaderLookup for Lookup<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.0.get_all(name).filter_map(|v| v.to_str().ok());
        let first = values.next()?;
        Some(match values.next() {
            // The very first, which may be no text: then none is.
            None => Cow::Borrowed(self.0.get(name)?.to_str().ok()?),
            Some(second) => {
                let mut all = format!("{first},{second}");
                for value in values {
                    all.push(',');
                    all.push_str(value);
                }
                Cow::Owned(all)
            }
        })
    }
}

/// Headers as a person who watches may see them.
#[must_use]
pub fn shown(headers: &Fields) -> Vec<(String, String)> {
    let value = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let shown = headers.iter().take(tap::MOST_HEADERS);
    shown.map(|(name, v)| (name.as_str().to_owned(), tap::masked(name.as_str(), &value(v)))).collect()
}

/// `Host` or `:authority`, empty where the client named none.
#[must_use]
pub fn authority(head: &Head) -> &str {
    match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => text(&head.headers, &HOST),
    }
}

/// Takes the host off.
pub fn forget_host(head: &mut Head) {
    head.headers.remove(HOST);
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    (parts.scheme, parts.authority) = (None, None);
    head.uri = Uri::from_parts(parts).unwrap_or_default();
}

/// The same, for a record.
#[must_use]
pub fn authority_text(head: &Head) -> Text {
    match head.uri.authority() {
        Some(authority) => Text::from(authority),
        None => Text::from(head.headers.get(HOST)),
    }
}

/// A header's first value, empty where it is missing or not text.
#[must_use]
pub fn text<'h>(headers: &'h Fields, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Whether this content type is gRPC's.
#[must_use]
pub fn is_grpc(content_type: &HeaderValue) -> bool {
    let rest = content_type.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// `grpc-status` of a response's head or trailers.
#[must_use]
pub fn grpc_status(headers: &Fields) -> Option<u32> {
    headers.get(GRPC_STATUS)?.to_str().ok()?.trim().parse().ok()
}

/// `grpc-timeout`: digits and a unit.
#[must_use]
pub fn grpc_timeout(headers: &Fields) -> Option<Duration> {
    let value = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    // At most eight digits, says the protocol.
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

/// Whether `Connection` names `token`.
#[must_use]
pub fn connection_names(headers: &Fields, token: &str) -> bool {
    headers
        .get_all(CONNECTION)
        .filter_map(|v| v.to_str().ok())
        .any(|value| value.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
}

/// Removes what belongs to one connection only (RFC 9110, 7.6.1). A tunnel keeps what asks for it.
pub fn strip_hop_by_hop(headers: &mut Fields, tunnel: bool) {
    // One look at each name, as most heads have none of them: a removal costs a search each.
    let (mut connection, mut upgrade, mut te, mut others) = (false, false, false, false);
    for (name, value) in headers.iter() {
        match name.as_str() {
            "connection" => connection = true,
            "upgrade" => upgrade = !tunnel,
            "te" => te |= value != "trailers",
            "keep-alive" | "proxy-connection" | "transfer-encoding" | "http2-settings" => others = true,
            _ => {}
        }
    }
    if connection {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .filter_map(|t| HeaderName::try_from(t.trim()).ok())
            .filter(|n| !(tunnel && *n == UPGRADE))
            // Named by a client that wants to hide what it sent from policies behind this proxy.
            .filter(|n| *n != HOST && *n != CONTENT_TYPE && !n.as_str().starts_with("x-"))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
        if tunnel {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
    }
    if others {
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
    }
    if upgrade {
        headers.remove(UPGRADE);
    }
    if te
        && let Some(te) = headers.remove(TE)
        && te.to_str().is_ok_and(|v| v.split(',').any(|t| t.trim().eq_ignore_ascii_case("trailers")))
    {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// `Expect: 100-continue` is answered by this proxy as soon as the endpoint wants the body, so it goes no further.
pub fn strip_expect(headers: &mut Fields) {
    headers.remove(EXPECT);
}

/// Applies a rule's changes: remove, then set, then add. What is not a valid header is left out.
pub fn edit(headers: &mut Fields, edit: &HeaderEdit) {
    for name in &edit.remove {
        headers.remove(name.as_str());
    }
    for (name, value) in &edit.set {
        if let Some((name, value)) = header(name, value) {
            headers.insert(name, value);
        }
    }
    for (name, value) in &edit.add {
        if let Some((name, value)) = header(name, value) {
            headers.append(name, value);
        }
    }
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
}

pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const HOP_BY_HOP: [HeaderName; 4] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("transfer-encoding"),
    HeaderName::from_static("http2-settings"),
];

#[cfg(test)]
mod tests;
