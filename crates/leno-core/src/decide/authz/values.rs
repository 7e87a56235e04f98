//! How one value of a policy matches.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::authz::Values;

/// What a match leads to, and so which way doubt falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It allows: only what surely matches does.
    Grant,
    /// It denies or audits: what may match does.
    Guard,
}

/// Whether a value that may or may not match is taken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    Sure,
    Possible,
}

/// How surely a value matches something that has several readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) possible: bool,
    pub(super) sure: bool,
}

impl Reading {
    /// Whether one of `any` matches (or there is none) and none of `not` does.
    pub(super) fn holds(self, values: &Values, matches: impl Fn(&str, Certainty) -> bool) -> bool {
        let (any, not) = match self {
            Self::Grant => (Certainty::Sure, Certainty::Possible),
            Self::Guard => (Certainty::Possible, Certainty::Sure),
        };
        (values.any.is_empty() || values.any.iter().any(|v| matches(v, any)))
            && !values.not.iter().any(|v| matches(v, not))
    }
}

impl Certainty {
    /// `None`: nothing can be said.
    pub(super) fn judge(self, judged: Option<Judged>) -> bool {
        match self {
            Self::Sure => judged.is_some_and(|j| j.sure),
            Self::Possible => judged.is_none_or(|j| j.possible),
        }
    }
}

/// Istio's value forms: `*` is anything but nothing, `x*` a prefix, `*x` a suffix, all else exact.
pub(super) fn wildcard(pattern: &str, value: &str) -> bool {
    if pattern == "*" {
        return !value.is_empty();
    }
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(prefix), _) => value.starts_with(prefix),
        (None, Some(suffix)) => value.ends_with(suffix),
        (None, None) => value == pattern,
    }
}

/// Hosts are compared without regard to case, and with or without the port that the client named.
pub(super) fn host(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => &host,
    };
    wildcard(&pattern, &host) || wildcard(&pattern, bare)
}

/// An address or network.
pub(super) fn network(value: &str, ip: IpAddr) -> bool {
    match value.parse::<IpNet>() {
        Ok(net) => net.contains(&ip),
        Err(_) => value.parse() == Ok(ip),
    }
}

/// `NAME` of `request.headers[NAME]`, lower case.
pub(super) fn header_name(key: &str) -> Option<String> {
    let name = key.strip_prefix("request.headers[")?.strip_suffix(']')?;
    Some(name.to_ascii_lowercase())
}

/// Istio's path templates: `{*}` is one segment, `{**}` any number of them. `None`: not a template.
pub(super) fn template(pattern: &str, path: &str) -> Option<bool> {
    if !pattern.contains("{*") {
        return None;
    }
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    let fits = |p: &str, s: &str| if p == "{*}" { !s.is_empty() } else { p == s };
    let (mut p, mut s) = (0, 0);
    // Where to go on when the rest does not fit: the last `{**}` takes one segment more.
    let mut back: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&"{**}") && s < path.len() {
            back = Some((p + 1, s + 1));
            (p, s) = (p + 1, s + 1);
        } else if let (Some(a), Some(b)) = (pattern.get(p), path.get(s))
            && *a != "{**}"
            && fits(a, b)
        {
            (p, s) = (p + 1, s + 1);
        } else if p == pattern.len() && s == path.len() {
            return Some(true);
        } else if let Some((after, taken)) = back.filter(|(_, taken)| *taken < path.len()) {
            back = Some((after, taken + 1));
            (p, s) = (after, taken + 1);
        } else {
            return Some(false);
        }
    }
}
