//! A route as it was lowered, before it meets the others of its services.

use leno_core::id::{Origin, ServiceId};
use leno_core::model::HttpRoute;
use leno_core::model::route::{HttpMatch, RouteAction};

use super::parent::Parent;
use super::precedence::Precedence;

/// An `HTTPRoute` or `GRPCRoute` with at least one Service among its parents.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshRoute {
    /// Which of the two.
    pub kind: RouteKind,
    /// The object.
    pub origin: Origin,
    /// Creation time, seconds since the epoch; 0 where the object has none.
    pub created: i64,
    /// Those of its parents that are Services.
    pub parents: Vec<Parent>,
    /// Its rules, in order.
    pub rules: Vec<MeshRule>,
}

/// Kinds of routes. Where several are for one port of a service the greatest holds alone (GEP-1294, "Route types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteKind {
    /// `HTTPRoute`.
    Http,
    /// `GRPCRoute`.
    Grpc,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshRule {
    /// All of it but its matches. Destinations are marked as invalid where no Service could change that.
    pub route: HttpRoute,
    /// Alternatives with their precedence; at least one.
    pub matches: Vec<(Precedence, HttpMatch)>,
    /// References that cannot be used whatever Services there are.
    pub problems: Vec<Problem>,
}

/// A reference that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Why.
    pub reason: ProblemReason,
    /// In words: where in the object, and what.
    pub message: String,
}

/// Reasons of the condition `ResolvedRefs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemReason {
    /// The reference is to something that is no Service, or to a Service that cannot be routed to.
    InvalidKind,
    /// There is no such Service, or it has no such port.
    BackendNotFound,
}

impl ProblemReason {
    /// As the condition has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidKind => "InvalidKind",
            Self::BackendNotFound => "BackendNotFound",
        }
    }
}

impl MeshRoute {
    /// Services that the route sends requests or copies to, each once.
    #[must_use]
    pub fn backends(&self) -> Vec<&ServiceId> {
        let mut all: Vec<&ServiceId> = self.rules.iter().flat_map(|rule| destinations(&rule.route)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Services that the route is for, each once.
    #[must_use]
    pub fn services(&self) -> Vec<&ServiceId> {
        let mut all: Vec<&ServiceId> = self.parents.iter().map(|p| &p.service).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn destinations(route: &HttpRoute) -> impl Iterator<Item = &ServiceId> {
    let forward = match &route.action {
        RouteAction::Forward(backends) => backends.as_slice(),
        RouteAction::Redirect(_) | RouteAction::Respond { .. } => &[],
    };
    let mirrors = route.mirrors.iter().map(|m| &m.backend.service);
    forward.iter().filter(|b| !b.invalid).map(|b| &b.backend.service).chain(mirrors)
}
