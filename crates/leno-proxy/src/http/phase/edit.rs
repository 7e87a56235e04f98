//! Phase 5: what forwarding changes of a head, on the way there and on the way back.

use std::str::FromStr;

use http::header::{HOST, HeaderName, SET_COOKIE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Uri};
use leno_core::Reason;
use leno_core::decide::route::apply_rewrite;
use leno_core::model::route::Rewrite;
use leno_core::names::header;

use super::direct;
use super::route::Chosen;
use crate::http::body::{Head, Response};
use crate::http::exchange::Exchange;
use crate::http::heads;
use crate::http::reply::{REASON, Reply};

/// Rewrites the path, edits headers as the rule says, and removes what belongs to the client's connection.
///
/// # Errors
/// Where a rewrite makes a path or an authority that is none.
pub fn request(chosen: &mut Chosen, exchange: &mut Exchange, request: &mut Head, tunnel: bool) -> Result<(), Reply> {
    heads::strip_hop_by_hop(&mut request.headers, tunnel);
    heads::strip_expect(&mut request.headers);
    request.headers.insert_if_missing(FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(rule) = chosen.rule() {
        if let Some(rewrite) = &rule.rewrite {
            rewrite_target(chosen, rewrite, request)
                .ok_or_else(|| Reply::new(Reason::ClientProtocol, "a rewrite made an invalid path or authority"))?;
        }
        heads::edit(&mut request.headers, &rule.headers.request);
        if let Some(backend) = chosen.backend() {
            heads::edit(&mut request.headers, &backend.headers.request);
        }
        // A rule may set the host by its headers too.
        if rule.headers.request.set.iter().any(|(n, _)| n == "host" || n == ":authority") {
            exchange.record.authority = heads::authority_text(request);
        }
    }
    Ok(())
}

/// A number as text; the small ones, which are most, are there already.
fn number(n: u128) -> HeaderValue {
    const SMALL: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    match usize::try_from(n).ok().and_then(|n| SMALL.get(n)) {
        Some(text) => HeaderValue::from_static(text),
        None => HeaderValue::from(u64::try_from(n).unwrap_or(u64::MAX)),
    }
}

fn rewrite_target(chosen: &Chosen, rewrite: &Rewrite, request: &mut Head) -> Option<()> {
    let mut parts = std::mem::take(&mut request.uri).into_parts();
    if rewrite.uri.is_some() || rewrite.path.is_some() || rewrite.uri_regex.is_some() {
        let old = parts.path_and_query.as_ref().map_or("/", PathAndQuery::as_str);
        parts.path_and_query = Some(PathAndQuery::from_str(&apply_rewrite(old, rewrite, chosen.matched())).ok()?);
    }
    if let Some(authority) = &rewrite.authority {
        if parts.authority.is_some() {
            parts.authority = Some(Authority::from_str(authority).ok()?);
        }
        request.headers.insert(HOST, HeaderValue::try_from(authority.as_str()).ok()?);
    }
    request.uri = Uri::from_parts(parts).ok()?;
    Some(())
}

/// Edits the answer's headers as the rule says, and adds what the mesh tells the client.
pub fn response(chosen: &Chosen, head: &Head, exchange: &Exchange, response: &mut Response) {
    let switching = response.head.status == http::StatusCode::SWITCHING_PROTOCOLS;
    heads::strip_hop_by_hop(&mut response.head.headers, switching);
    if let Some(took) = exchange.record.upstream_time {
        response.head.headers.insert(SERVICE_TIME, number(took.as_millis()));
    }
    if let Some(cookie) = &chosen.set_cookie {
        response.head.headers.append(SET_COOKIE, cookie.clone());
    }
    direct::cors_headers(chosen, &head.headers, &mut response.head.headers);
    if let Some(backend) = chosen.backend() {
        heads::edit(&mut response.head.headers, &backend.headers.response);
    }
    if let Some(rule) = chosen.rule() {
        heads::edit(&mut response.head.headers, &rule.headers.response);
    }
}

/// Removes what belongs to the peer's connection.
pub fn inbound_request(_exchange: &mut Exchange, request: &mut Head, tunnel: bool) {
    heads::strip_hop_by_hop(&mut request.headers, tunnel);
    heads::strip_expect(&mut request.headers);
    request.headers.insert_if_missing(FORWARDED_PROTO, HeaderValue::from_static("http"));
}

/// Removes what belongs to the application's connection, and what only a sidecar may say.
pub fn inbound_response(_exchange: &Exchange, response: &mut Response) {
    let switching = response.head.status == http::StatusCode::SWITCHING_PROTOCOLS;
    heads::strip_hop_by_hop(&mut response.head.headers, switching);
    response.head.headers.remove(REASON);
}

const FORWARDED_PROTO: HeaderName = HeaderName::from_static(header::FORWARDED_PROTO);
const SERVICE_TIME: HeaderName = HeaderName::from_static(header::SERVICE_TIME);
