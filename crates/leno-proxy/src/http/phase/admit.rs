//! Inbound phase 3: whether the caller may.

use leno_core::Reason;
use leno_core::decide::authz::{self, AuthzFacts, AuthzVerdict, HttpFacts};

use crate::http::body::Head;
use crate::http::exchange::Exchange;
use crate::http::heads;
use crate::http::reply::Reply;
use crate::inbound::Inbound;
use crate::telemetry::PolicyRef;

/// Judges by the policies in force now.
///
/// # Errors
/// Where a policy denies it, with the policy's name for the log.
pub fn request(from: &Inbound, exchange: &mut Exchange, request: &Head) -> Result<(), Reply> {
    if let Some(probe) = &from.probe {
        // The node's address alone is no identity: it opens what the pod declared as a probe, nothing else.
        return if probe.admits(&request.method, request.uri.path()) {
            Ok(())
        } else {
            Err(Reply::new(Reason::PlaintextRefused, "only declared probes are served to the node in plaintext")
                .with_status(403))
        };
    }
    if from.is_probe(request) {
        return Ok(());
    }
    let own = from.path.app.discovery.own();
    let held = [&own.policies, &own.root_policies];
    let policies = held.map(|p| &**p);
    if policies.iter().all(|p| p.authorization.is_empty()) {
        return Ok(());
    }
    let headers = heads::Lookup(&request.headers);
    let facts = AuthzFacts {
        http: Some(HttpFacts {
            method: request.method.as_str(),
            path: request.uri.path_and_query().map_or("/", |p| p.as_str()),
            host: heads::authority(request),
            headers: &headers,
        }),
        ..from.authz_facts()
    };
    let workload = &own.workload;
    let root = &own.mesh.root_namespace;
    let applicable = authz::applicable(&policies, &workload.namespace, &workload.labels, root);
    match authz::authorize(applicable, &facts) {
        AuthzVerdict::Allow { by } => {
            exchange.record.policy = by.and_then(|origin| PolicyRef::find(held, origin));
            Ok(())
        }
        AuthzVerdict::Deny { by, why, .. } => {
            exchange.record.policy = by.and_then(|origin| PolicyRef::find(held, origin));
            let policy = by.map_or_else(|| "no policy".to_owned(), ToString::to_string);
            exchange.say(&format!("{policy}: {}", why.sentence()));
            // The client is not told which policy: that is for the log.
            let mut reply = Reply::new(Reason::PolicyDenied, "");
            reply.body = Some("RBAC: access denied".to_owned());
            Err(reply)
        }
    }
}
