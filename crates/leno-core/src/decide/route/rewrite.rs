//! What becomes of a path: rewrites and redirects.

use super::RequestFacts;
use super::matching::authority_without_port;
use crate::model::StringMatch;
use crate::model::route::{HttpMatch, Redirect, Rewrite};

/// The path and query to forward.
///
/// As in Istio: where the match was by prefix, that prefix is replaced; where there was no condition on the path, the
/// prefix is `/`; where it was exact or a pattern, the whole path is replaced. The query is kept. Unlike Envoy, a
/// rewrite that ends in `/` before a rest that starts with one gives one slash (`/api` -> `/` turns `/api/x` into `/x`,
/// not `//x`), which is what everyone who wrote such a rule meant, and what the Gateway API asks for.
#[must_use]
pub fn apply_rewrite(path_and_query: &str, rewrite: &Rewrite, matched: Option<&HttpMatch>) -> String {
    let (path, query) = match path_and_query.find('?') {
        Some(at) => path_and_query.split_at(at),
        None => (path_and_query, ""),
    };
    let path = if let Some((pattern, substitution)) = &rewrite.uri_regex {
        pattern.rewrite(path, substitution)
    } else if let Some(whole) = &rewrite.path {
        whole.clone()
    } else if let Some(uri) = &rewrite.uri {
        replace_prefix(path, matched_len(path, matched), uri)
    } else {
        path.to_owned()
    };
    path + query
}

/// How much of the path a new prefix takes the place of.
fn matched_len(path: &str, matched: Option<&HttpMatch>) -> usize {
    match matched.and_then(|m| m.uri.as_ref()) {
        Some(StringMatch::Prefix(p)) => p.len(),
        None | Some(StringMatch::Present) => usize::from(path.starts_with('/')),
        Some(StringMatch::Exact(_) | StringMatch::Regex(_)) => path.len(),
    }
}

fn replace_prefix(path: &str, prefix_len: usize, new: &str) -> String {
    let rest = path.get(prefix_len..).unwrap_or("");
    let rest = if new.ends_with('/') { rest.strip_prefix('/').unwrap_or(rest) } else { rest };
    let joined = [new, rest].concat();
    if joined.starts_with('/') { joined } else { format!("/{joined}") }
}

/// The `Location` of a redirect, as Envoy makes it: scheme, authority, port and path are the request's where the rule
/// says nothing; a new path keeps the request's query unless it brings its own. `matched` is what a new prefix is for.
#[must_use]
pub fn redirect_location(redirect: &Redirect, facts: &RequestFacts<'_>, matched: Option<&HttpMatch>) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or(facts.scheme);
    let mut location = format!("{scheme}://");
    match &redirect.authority {
        Some(authority) => location.push_str(authority),
        None if redirect.derive_port => location.push_str(bare_host(facts.authority)),
        None => location.push_str(request_host(redirect, facts, scheme)),
    }
    let port = if redirect.derive_port { derived_port(redirect, facts, scheme) } else { redirect.port };
    if let Some(port) = port {
        location.push(':');
        location.push_str(&port.to_string());
    }
    let new =
        redirect.prefix.as_ref().map(|prefix| replace_prefix(facts.path, matched_len(facts.path, matched), prefix));
    let path = redirect.uri.as_deref().or(new.as_deref()).unwrap_or(facts.path);
    if !path.starts_with('/') {
        location.push('/');
    }
    location.push_str(path);
    if !facts.query.is_empty() && !path.contains('?') {
        location.push('?');
        location.push_str(facts.query);
    }
    location
}

/// The port as the Gateway API has it; `None` where it is the scheme's own and is left out.
fn derived_port(redirect: &Redirect, facts: &RequestFacts<'_>, scheme: &str) -> Option<u16> {
    let own = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let dialled = if redirect.scheme.is_some() { own } else { Some(facts.port) };
    redirect.port.or(dialled).filter(|port| Some(*port) != own)
}

/// An authority without its port, whichever it is.
fn bare_host(authority: &str) -> &str {
    let named = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    named.map_or(authority, |port| authority_without_port(authority, port))
}

/// The request's authority, without a port that would be wrong after the redirect.
fn request_host<'a>(redirect: &Redirect, facts: &RequestFacts<'a>, scheme: &str) -> &'a str {
    let named = facts.authority.rsplit_once(':').and_then(|(_, p)| p.parse::<u16>().ok());
    let default_of_old = matches!((facts.scheme, named), ("http", Some(80)) | ("https", Some(443)));
    match named {
        Some(port) if redirect.port.is_some() || (scheme != facts.scheme && default_of_old) => {
            authority_without_port(facts.authority, port)
        }
        _ => facts.authority,
    }
}
