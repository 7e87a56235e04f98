//! `leno why --file` as a person runs it: each case is a mesh in YAML, a request, and what must come back.

#[path = "why/authorization.rs"]
mod authorization;
#[path = "why/destinations.rs"]
mod destinations;
#[path = "why/errors.rs"]
mod errors;
#[path = "why/gateway.rs"]
mod gateway;
#[path = "why/harness.rs"]
mod harness;
#[path = "why/routes.rs"]
mod routes;

use harness::{Case, run};

fn all() -> Vec<Case> {
    [routes::cases(), gateway::cases(), destinations::cases(), authorization::cases()].concat()
}

#[test]
fn every_case_ends_as_it_must() {
    let cases = all();
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(problem) = run(case) {
            wrong.push(format!("{}: {problem}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 100, "only {} cases", cases.len());
}

#[test]
fn each_reason_that_a_configuration_can_bring_about_has_a_case() {
    // The others need a server that is slow, broken or away, a client that is, or many requests at a time.
    let wanted = [
        "answered",
        "direct_response",
        "redirected",
        "cors_preflight",
        "unknown_destination",
        "route_not_found",
        "invalid_backend",
        "cluster_not_found",
        "no_healthy_upstream",
        "tls_failure",
        "identity_mismatch",
        "upstream_reset",
        "timeout",
        "fault_abort",
        "policy_denied",
        "plaintext_refused",
        "client_protocol",
    ];
    let cases = all();
    for reason in wanted {
        assert!(cases.iter().any(|c| c.ends.iter().any(|(r, ..)| *r == reason)), "no case ends by {reason}");
    }
}
