//! What authorization policies did, as the sidecars of the callees judged.

use std::collections::BTreeMap;

use leno_core::id::Direction;

use super::{Flow, Row, is, seconds};
use crate::model::{Authz, AuthzRow, Kind, Question};
use crate::window::{Proxy, ProxyId, Window};

/// One row for each policy of each workload and service that was asked; requests that no policy decided alone are of the
/// policy without a name.
#[must_use]
pub fn authz(window: &Window, question: &Question, now: u64) -> Authz {
    let mut found: BTreeMap<[String; 4], Judged> = BTreeMap::new();
    for (id, proxy) in window.proxies() {
        let span = proxy.span(question.window, now);
        for (labels, pieces) in span.requests() {
            let flow = Flow::of_request(labels);
            if !asked_for(question, (id, proxy), &flow) {
                continue;
            }
            let service = labels.service.as_ref().map(|s| s.name.clone()).unwrap_or_default();
            let key = [id.namespace.clone(), proxy.workload.clone(), service, labels.policy.clone()];
            let (judged, requests) = (found.entry(key).or_default(), pieces.get());
            if labels.reason == DENIED {
                judged.denied_rps += requests.count as f64 / span.covered.seconds();
                judged.denied += requests.count;
                judged.allowed.cover(span.covered);
            } else {
                judged.allowed.requests(labels, &requests, span.covered);
            }
        }
    }
    let rows = found.into_iter().map(|(key, judged)| judged.finish(key)).collect();
    Authz { window_s: seconds(question.window), rows }
}

/// Whether the pod is one of the question, and the flow came from where it says.
fn asked_for(question: &Question, (id, proxy): (&ProxyId, &Proxy), flow: &Flow<'_>) -> bool {
    let q = question;
    let named = |n: &str| q.name.as_ref().is_none_or(|name| name == n);
    let subject = match q.kind {
        Kind::Namespace => named(&id.namespace),
        Kind::Pod => named(&id.pod),
        Kind::Service => flow.service.is_some_and(|s| named(&s.name)),
        kind => proxy.kind == kind.as_str() && named(&proxy.workload),
    };
    subject
        && flow.direction == Direction::Inbound
        && q.namespace.as_ref().is_none_or(|ns| *ns == id.namespace)
        && q.from.as_ref().is_none_or(|r| is(r, flow.source, None, q))
        && q.to.as_ref().is_none_or(|r| is(r, flow.destination, flow.service, q))
}

#[derive(Debug, Default)]
struct Judged {
    allowed: Row,
    denied: u64,
    denied_rps: f64,
}

impl Judged {
    fn finish(self, [namespace, workload, service, policy]: [String; 4]) -> AuthzRow {
        let row = self.allowed.finish((namespace, workload), Kind::Deployment);
        AuthzRow {
            namespace: row.namespace,
            workload: row.name,
            service,
            policy,
            allowed_rps: row.rps,
            denied_rps: self.denied_rps,
            success: row.success,
            p50_ms: row.p50_ms,
            p95_ms: row.p95_ms,
            p99_ms: row.p99_ms,
            requests: row.requests + self.denied,
            covered: row.covered,
        }
    }
}

/// [`leno_core::Reason::PolicyDenied`], as samples have it.
const DENIED: &str = "policy_denied";
