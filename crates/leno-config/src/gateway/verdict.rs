//! What became of a route, as its status says it.

use leno_core::model::route::RouteAction;

use super::route::{MeshRoute, MeshRule, Problem};
use super::table::{Attached, Services, problem};

/// A condition of a route for one of its parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub status: bool,
    /// The Gateway API's word for why.
    pub reason: &'static str,
    /// The same for a person.
    pub message: String,
}

/// What became of a route for one of its parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentVerdict {
    /// The parent's place in `spec.parentRefs`.
    pub index: usize,
    /// Whether the route holds for it.
    pub accepted: Condition,
    /// Whether all that it refers to can be used.
    pub resolved: Condition,
}

/// The verdicts for those parents that are Services. `of_service` gives all routes of a service.
#[must_use]
pub fn verdicts<'r>(
    route: &MeshRoute,
    of_service: impl Fn(&leno_core::id::ServiceId) -> Vec<&'r MeshRoute>,
    services: &dyn Services,
) -> Vec<ParentVerdict> {
    let resolved = resolved(route, services);
    let verdict = |parent: &super::Parent| {
        let accepted = match parent.ports(services.service(&parent.service)) {
            Err(why) => Condition { status: false, reason: "NoMatchingParent", message: why },
            Ok(ports) => {
                let attached = Attached::new(&parent.service, &of_service(&parent.service), services);
                let (held, lost): (Vec<u16>, Vec<u16>) = ports.into_iter().partition(|p| attached.holds(route, *p));
                taken(&held, &lost)
            }
        };
        ParentVerdict { index: parent.index, accepted, resolved: resolved.clone() }
    };
    route.parents.iter().map(verdict).collect()
}

fn taken(held: &[u16], lost: &[u16]) -> Condition {
    let conflict = || format!("a GRPCRoute is for port {} too, and goes first", list(lost));
    match (held, lost) {
        ([], _) => Condition { status: false, reason: "Conflicted", message: conflict() },
        (_, []) => Condition { status: true, reason: "Accepted", message: "in force".to_owned() },
        _ => {
            let message = format!("in force on port {}; {}", list(held), conflict());
            Condition { status: true, reason: "Accepted", message }
        }
    }
}

fn list(ports: &[u16]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn resolved(route: &MeshRoute, services: &dyn Services) -> Condition {
    let all: Vec<Problem> = route.rules.iter().enumerate().flat_map(|(i, rule)| problems(i, rule, services)).collect();
    match all.first() {
        None => Condition { status: true, reason: "ResolvedRefs", message: "all references are known".to_owned() },
        Some(first) => {
            let messages: Vec<&str> = all.iter().map(|p| p.message.as_str()).collect();
            Condition { status: false, reason: first.reason.as_str(), message: messages.join("\n") }
        }
    }
}

fn problems(index: usize, rule: &MeshRule, services: &dyn Services) -> Vec<Problem> {
    let forward = match &rule.route.action {
        RouteAction::Forward(backends) => backends.as_slice(),
        RouteAction::Redirect(_) | RouteAction::Respond { .. } => &[],
    };
    let backends = forward.iter().filter(|b| !b.invalid).map(|b| &b.backend);
    let mirrors = rule.route.mirrors.iter().map(|m| &m.backend);
    let found = backends.chain(mirrors).filter_map(|b| problem(b, services));
    let named = found.map(|p| Problem { message: format!("spec.rules[{index}]: {}", p.message), ..p });
    rule.problems.iter().cloned().chain(named).collect()
}
