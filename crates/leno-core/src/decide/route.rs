//! Which rule a request or connection takes, which destination of the rule, and what becomes of its path.

mod matching;
mod rewrite;

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::route::{HttpMatch, HttpRoute, TcpMatch, TcpRoute, TlsRoute, WeightedBackend};
use crate::model::{Labels, RouteTable, selects};

pub(in crate::decide) use matching::hex_pair;
pub use matching::{Miss, authority_without_port, first_miss, query_parameter, sni_matches};
pub use rewrite::{apply_rewrite, redirect_location};

/// How header values are found, whatever type holds them.
pub trait HeaderLookup {
    /// The value of the header `name` (lower case); values of a repeated header joined by `,`. `None`: no such header.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// For tests, `leno why`, and requests without headers.
impl HeaderLookup for [(&str, &str)] {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| Cow::Borrowed(*v))
    }
}

impl<const N: usize> HeaderLookup for [(&str, &str); N] {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        HeaderLookup::get(self.as_slice(), name)
    }
}

impl HeaderLookup for Vec<(String, String)> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| Cow::Borrowed(v.as_str()))
    }
}

/// What is known of a request when it is routed.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// Method.
    pub method: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// Query without `?`; empty where there is none.
    pub query: &'a str,
    /// `Host` or `:authority` as the client sent it.
    pub authority: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Service port dialled.
    pub port: u16,
    /// Labels of the calling pod.
    pub source_labels: &'a Labels,
    /// Namespace of the calling pod.
    pub source_namespace: &'a str,
    /// Headers.
    pub headers: &'a dyn HeaderLookup,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RouteDecision<'t> {
    /// No rule speaks of it: to the service that was dialled.
    Service,
    /// This rule.
    Rule {
        /// The rule.
        route: &'t HttpRoute,
        /// Its place in the table, from 0.
        index: usize,
        /// The alternative that matched; `None` where the rule takes every request.
        matched: Option<&'t HttpMatch>,
    },
    /// There are rules, and none matches: [`crate::Reason::RouteNotFound`].
    NotFound,
}

/// The rule for a request: the first of the table that matches.
#[must_use]
pub fn route<'t>(table: Option<&'t RouteTable>, facts: &RequestFacts<'_>) -> RouteDecision<'t> {
    let speaks =
        |t: &&RouteTable| !t.http.is_empty() && (t.http_ports.is_empty() || t.http_ports.contains(&facts.port));
    let Some(table) = table.filter(speaks) else { return RouteDecision::Service };
    for (index, route) in table.http.iter().enumerate() {
        if route.matches.is_empty() {
            return RouteDecision::Rule { route, index, matched: None };
        }
        if let Some(matched) = route.matches.iter().find(|m| matching::http(m, facts)) {
            return RouteDecision::Rule { route, index, matched: Some(matched) };
        }
    }
    RouteDecision::NotFound
}

/// What is known of an opaque connection when it is routed.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionFacts<'a> {
    /// Service port dialled.
    pub port: u16,
    /// Address dialled.
    pub destination: IpAddr,
    /// Labels of the calling pod.
    pub source_labels: &'a Labels,
    /// Namespace of the calling pod.
    pub source_namespace: &'a str,
}

/// Where a connection goes: `R` is [`TcpRoute`] or [`TlsRoute`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionDecision<'t, R> {
    /// No rule speaks of it: to the service that was dialled.
    Service,
    /// This rule.
    Rule {
        /// The rule.
        route: &'t R,
        /// Its place in the table, from 0.
        index: usize,
    },
    /// There are rules for it, and none matches.
    NotFound,
}

/// The rule for an opaque connection. Where none matches it goes to the service itself, as in Istio.
#[must_use]
pub fn tcp_route<'t>(table: Option<&'t RouteTable>, facts: &ConnectionFacts<'_>) -> ConnectionDecision<'t, TcpRoute> {
    let rules = table.map_or(&[][..], |t| &t.tcp);
    rules
        .iter()
        .enumerate()
        .find(|(_, r)| r.matches.is_empty() || r.matches.iter().any(|m| connection_matches(m, facts)))
        .map_or(ConnectionDecision::Service, |(index, route)| ConnectionDecision::Rule { route, index })
}

/// The rule for a TLS connection passed through, by its SNI. Where rules for its port exist and none names its SNI, it
/// is not found; where no rule speaks of its port it goes to the service itself.
#[must_use]
pub fn tls_route<'t>(
    table: Option<&'t RouteTable>,
    facts: &ConnectionFacts<'_>,
    sni: Option<&str>,
) -> ConnectionDecision<'t, TlsRoute> {
    let mut spoken_of = false;
    for (index, route) in table.map_or(&[][..], |t| &t.tls).iter().enumerate() {
        for (hosts, rest) in &route.matches {
            if !connection_matches(rest, facts) {
                continue;
            }
            spoken_of = true;
            if hosts.is_empty() || sni.is_some_and(|sni| hosts.iter().any(|h| sni_matches(h, sni))) {
                return ConnectionDecision::Rule { route, index };
            }
        }
    }
    if spoken_of { ConnectionDecision::NotFound } else { ConnectionDecision::Service }
}

fn connection_matches(m: &TcpMatch, facts: &ConnectionFacts<'_>) -> bool {
    m.port.is_none_or(|p| p == facts.port)
        && (m.destination_subnets.is_empty() || m.destination_subnets.iter().any(|n| n.contains(&facts.destination)))
        && selects(&m.source_labels, facts.source_labels)
        && m.source_namespace.as_deref().is_none_or(|ns| ns == facts.source_namespace)
}

/// One destination by weight; `random` is uniform in `0.0..1.0`. A single destination takes all, whatever its weight.
/// `None`: there is none, or all weights are 0.
#[must_use]
pub fn pick_backend(backends: &[WeightedBackend], random: f64) -> Option<&WeightedBackend> {
    if let [only] = backends {
        return Some(only);
    }
    let total: u64 = backends.iter().map(|b| u64::from(b.weight)).sum();
    if total == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let mut left = ((random.clamp(0.0, 1.0) * total as f64) as u64).min(total - 1);
    backends.iter().find(|b| {
        let weight = u64::from(b.weight);
        let here = left < weight;
        left = left.saturating_sub(weight);
        here
    })
}

/// The time that the whole request has: the rule's, or what a gRPC client asks for where that is less. `None`: no limit.
#[must_use]
pub fn time_budget(rule: Option<&HttpRoute>, asked: Option<Duration>) -> Option<Duration> {
    let ruled = rule.and_then(|r| r.timeout).filter(|t| !t.is_zero());
    match (ruled, asked) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
