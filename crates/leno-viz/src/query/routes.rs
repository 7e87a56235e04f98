//! Route rules' golden signals, as the callers saw them: after retries, with what failed before any pod was asked.
//!
//! Linkerd's convention: `routes svc/NAME` and `routes deploy/NAME` show what the thing is asked; with `to`, what it asks.

use std::collections::BTreeMap;

use leno_core::id::{Direction, ServiceId};
use leno_core::samples::RequestLabels;

use super::{Flow, Row, failed, is, seconds};
use crate::model::{Kind, Question, Resource, RouteRow, Routes};
use crate::window::Window;

/// One row for each route of a service that had requests; a request that no rule took is of the route without a name.
#[must_use]
pub fn routes(window: &Window, question: &Question, now: u64) -> Routes {
    let mut found: BTreeMap<(&ServiceId, &str), Route> = BTreeMap::new();
    let spans: Vec<_> = window.proxies().map(|(_, proxy)| proxy.span(question.window, now)).collect();
    for span in &spans {
        for (labels, pieces) in span.requests() {
            let Some(service) = labels.service.as_ref().filter(|_| asked_for(question, &Flow::of_request(labels)))
            else {
                continue;
            };
            let requests = pieces.get();
            let route = found.entry((service, &labels.route)).or_default();
            route.row.requests(labels, &requests, span.covered);
            route.actual_rps += requests.tries as f64 / span.covered.seconds();
            if TIMEOUTS.contains(&labels.reason.as_str()) {
                route.timeouts += requests.count;
            }
            if failed(labels) {
                *route.reasons.entry(why(labels)).or_default() += requests.count;
            }
        }
    }
    let rows = found.into_iter().map(|((service, name), route)| route.finish(service, name)).collect();
    Routes { window_s: seconds(question.window), rows }
}

/// Whether a flow, seen by its caller, is one of the question.
fn asked_for(question: &Question, flow: &Flow<'_>) -> bool {
    let q = question;
    let outbound = flow.direction == Direction::Outbound;
    let source = q.from.as_ref().is_none_or(|r| is(r, flow.source, None, q));
    let destination = q.to.as_ref().is_none_or(|r| is(r, flow.destination, flow.service, q));
    outbound && source && destination && is_subject(q, flow)
}

fn is_subject(question: &Question, flow: &Flow<'_>) -> bool {
    let q = question;
    let caller = q.to.is_some();
    let (peer, service) = if caller { (flow.source, None) } else { (flow.destination, flow.service) };
    if let Some(name) = &q.name {
        let subject = Resource { kind: q.kind, name: name.clone(), namespace: q.namespace.clone() };
        return is(&subject, peer, service, q);
    }
    // All of a kind: a failure before any pod was asked has no callee, but it has a service.
    let namespace = match (caller, flow.service) {
        (false, Some(service)) if q.kind == Kind::Service || peer.namespace.is_empty() => &service.namespace,
        _ => &peer.namespace,
    };
    q.namespace.as_ref().is_none_or(|ns| ns == namespace)
}

/// `503 fault_abort`: status and reason of a failure, as the access log has them.
fn why(labels: &RequestLabels) -> String {
    let status = labels.grpc.map_or_else(|| labels.status.to_string(), |grpc| format!("grpc {grpc}"));
    format!("{status} {}", labels.reason)
}

#[derive(Debug, Default)]
struct Route {
    row: Row,
    timeouts: u64,
    actual_rps: f64,
    reasons: BTreeMap<String, u64>,
}

impl Route {
    fn finish(self, service: &ServiceId, name: &str) -> RouteRow {
        let most = self.reasons.into_iter().max_by_key(|(_, count)| *count);
        let (tries, good, retries) = (self.row.tries, self.row.good_tries, self.row.retries);
        let row = self.row.finish((service.namespace.clone(), service.name.clone()), Kind::Service);
        RouteRow {
            namespace: row.namespace,
            service: row.name,
            route: name.to_owned(),
            success: row.success,
            rps: row.rps,
            p50_ms: row.p50_ms,
            p95_ms: row.p95_ms,
            p99_ms: row.p99_ms,
            requests: row.requests,
            actual_success: (tries > 0).then(|| good as f64 / tries as f64),
            actual_rps: self.actual_rps,
            retries,
            timeouts: self.timeouts,
            failure: most.map(|(reason, _)| reason),
            covered: row.covered,
        }
    }
}

/// [`leno_core::Reason`]s of requests whose time was over.
const TIMEOUTS: [&str; 2] = ["timeout", "per_try_timeout"];

#[cfg(test)]
mod tests;
