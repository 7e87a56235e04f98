//! Conditions, destinations and times in words.

use std::time::Duration;

use crate::decide::authz::{PolicyVerdict, RuleMiss};
use crate::decide::route::{Miss, RequestFacts};
use crate::model::authz::AuthzCondition;
use crate::model::route::{Backend, HttpMatch, RetryPolicy};
use crate::model::traffic::{Balancer, HashKey, RetryOn};
use crate::model::{AuthzAction, Labels, Protocol, StringMatch};

/// A share as a percentage, with no more digits than it needs.
#[must_use]
pub fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A time as a person writes it: `250ms`, `2s`, `1.5s`.
#[must_use]
pub fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{}ms", time.as_millis());
    }
    let text = format!("{:.3}", time.as_secs_f64());
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A condition on a text.
#[must_use]
pub fn string(condition: &StringMatch) -> String {
    match condition {
        StringMatch::Exact(s) => format!("is {s}"),
        StringMatch::Prefix(s) => format!("begins with {s}"),
        StringMatch::Regex(p) => format!("matches {}", p.source()),
        StringMatch::Present => "is there".to_owned(),
    }
}

/// All conditions of an alternative, joined by `and`.
#[must_use]
pub fn conditions(m: &HttpMatch) -> String {
    let mut all = Vec::new();
    let one = |what: &str, c: &Option<StringMatch>| c.as_ref().map(|c| format!("{what} {}", string(c)));
    all.extend(one("path", &m.uri));
    all.extend(one("method", &m.method));
    all.extend(one("authority", &m.authority));
    all.extend(one("scheme", &m.scheme));
    all.extend(m.headers.iter().map(|(n, c)| format!("header {n} {}", string(c))));
    all.extend(m.without_headers.iter().map(|(n, c)| format!("not header {n} {}", string(c))));
    all.extend(m.query.iter().map(|(n, c)| format!("query {n} {}", string(c))));
    all.extend(m.port.map(|p| format!("port {p}")));
    if !m.source_labels.is_empty() {
        all.push(format!("caller has {}", labels(&m.source_labels)));
    }
    all.extend(m.source_namespace.as_ref().map(|n| format!("caller in namespace {n}")));
    if all.is_empty() { "every request".to_owned() } else { all.join(" and ") }
}

/// Why an alternative does not match.
#[must_use]
pub fn miss(m: &HttpMatch, miss: Miss, facts: &RequestFacts<'_>) -> String {
    let wanted = |c: &Option<StringMatch>| c.as_ref().map(string).unwrap_or_default();
    match miss {
        Miss::Port => format!("port {} is not {}", facts.port, m.port.unwrap_or_default()),
        Miss::Uri => format!("path {}: wanted that it {}", facts.path, wanted(&m.uri)),
        Miss::Method => format!("method {}: wanted that it {}", facts.method, wanted(&m.method)),
        Miss::Scheme => format!("scheme {}: wanted that it {}", facts.scheme, wanted(&m.scheme)),
        Miss::Authority => format!("authority {}: wanted that it {}", facts.authority, wanted(&m.authority)),
        Miss::Header(at) => m.headers.get(at).map_or_else(String::new, |(name, c)| match facts.headers.get(name) {
            None => format!("header {name} is missing"),
            Some(_) => format!("header {name}: wanted that it {}", string(c)),
        }),
        Miss::WithoutHeader(at) => {
            m.without_headers.get(at).map_or_else(String::new, |(n, c)| format!("header {n} {}", string(c)))
        }
        Miss::Query(at) => {
            m.query.get(at).map_or_else(String::new, |(n, c)| format!("query {n}: wanted that it {}", string(c)))
        }
        Miss::SourceLabels => format!("the caller has not {}", labels(&m.source_labels)),
        Miss::SourceNamespace => {
            format!(
                "the caller is in namespace {}, not {}",
                facts.source_namespace,
                m.source_namespace.as_deref().unwrap_or_default()
            )
        }
    }
}

/// Labels as selectors are written.
#[must_use]
pub fn labels(labels: &Labels) -> String {
    labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

/// A destination: `shop/catalog:80 subset v2`.
#[must_use]
pub fn backend(backend: &Backend) -> String {
    let port = backend.port.map(|p| format!(":{p}")).unwrap_or_default();
    let subset = backend.subset.as_ref().map(|s| format!(" subset {s}")).unwrap_or_default();
    format!("{}{port}{subset}", backend.service)
}

/// What a port is declared to speak.
#[must_use]
pub const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "HTTP",
        Protocol::Http2 => "HTTP/2",
        Protocol::Grpc => "gRPC",
        Protocol::Tls => "TLS",
        Protocol::Tcp => "opaque TCP",
        Protocol::Auto => "nothing (detected)",
        Protocol::Udp => "UDP",
    }
}

/// How one endpoint is chosen.
#[must_use]
pub fn balancer(balancer: &Balancer) -> String {
    match balancer {
        Balancer::LeastRequest => "of two drawn at random, the less loaded one".to_owned(),
        Balancer::RoundRobin => "one after the other".to_owned(),
        Balancer::Random => "at random".to_owned(),
        Balancer::Passthrough => "the address that was dialled, else the less loaded of two".to_owned(),
        Balancer::ConsistentHash { key, .. } => format!("by a hash of {}", hash_key(key)),
    }
}

/// What a hash is taken of.
#[must_use]
pub fn hash_key(key: &HashKey) -> String {
    match key {
        HashKey::Header(name) => format!("header {name}"),
        HashKey::Query(name) => format!("query parameter {name}"),
        HashKey::SourceIp => "the caller's address".to_owned(),
        HashKey::Cookie { name, .. } => format!("cookie {name}"),
    }
}

/// A rule's retries.
#[must_use]
pub fn retries(policy: &RetryPolicy) -> String {
    if policy.attempts == 0 {
        return "none: the rule turns them off".to_owned();
    }
    format!("{} after the first try, on {}", policy.attempts, retry_on(&policy.retry_on))
}

fn retry_on(on: &RetryOn) -> String {
    let flags = [
        (on.five_xx, "5xx"),
        (on.gateway_error, "gateway-error"),
        (on.reset, "reset"),
        (on.reset_before_request, "reset-before-request"),
        (on.connect_failure, "connect-failure"),
        (on.refused_stream, "refused-stream"),
        (on.retriable_4xx, "retriable-4xx"),
    ];
    let mut all: Vec<String> = flags.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()).collect();
    all.extend(on.statuses.iter().map(ToString::to_string));
    all.extend(on.grpc.iter().map(|code| format!("gRPC status {code}")));
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

/// What one authorization policy says.
#[must_use]
pub fn policy(verdict: &PolicyVerdict<'_>) -> String {
    let action = match verdict.policy.action {
        AuthzAction::Allow => "ALLOW",
        AuthzAction::Deny => "DENY",
        AuthzAction::Audit => "AUDIT",
    };
    match verdict.matched {
        Some(rule) => format!("{action}: rule {} matches", rule + 1),
        None if verdict.policy.rules.is_empty() => format!("{action}: has no rules, so nothing matches"),
        None => {
            let misses = verdict.misses.iter().enumerate().map(|(at, miss)| {
                let part = match miss {
                    RuleMiss::From => "no source of `from`".to_owned(),
                    RuleMiss::To => "no operation of `to`".to_owned(),
                    RuleMiss::When(n) => when(verdict.policy.rules.get(at).and_then(|r| r.when.get(*n))),
                };
                format!("rule {}: {part}", at + 1)
            });
            format!("{action}: does not match ({})", misses.collect::<Vec<_>>().join("; "))
        }
    }
}

fn when(condition: Option<&AuthzCondition>) -> String {
    condition.map_or_else(String::new, |c| format!("not `when` {}", c.key))
}
