//! Routes of the Gateway API for services: whether they hold, and whether what they refer to exists.

use std::collections::BTreeMap;

use leno_config::gateway::{GROUP, MeshRoute, Services, verdicts};
use leno_config::object::Path;
use leno_config::{LowerContext, Lowered, Object, ServiceSpec, lower};
use leno_core::id::ServiceId;

use super::conflicts::{full_host, is_for_sidecars};
use super::routing::NOT_FOUND;
use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::texts;
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[&HOLDS_NOWHERE, &SHADOWED];

/// A parent does not take the route.
static HOLDS_NOWHERE: Code = Code {
    id: "LENO0130",
    name: "RouteNotAccepted",
    level: Level::Error,
    what: "A route of the Gateway API does not hold for one of its parents: there is no such Service or port, the Service is \
           headless or an ExternalName, or a GRPCRoute is for the same port, which goes before an HTTPRoute. The condition \
           Accepted in the route's status says the same.",
    mend: "Name a Service with a ClusterIP in `parentRefs` (`group: \"\"`, `kind: Service`), with a port of its own where \
           `port` is given; of routes of two kinds give each a port.",
};

/// A `VirtualService` goes before the route.
static SHADOWED: Code = Code {
    id: "LENO0131",
    name: "RouteShadowed",
    level: Level::Warning,
    what: "A VirtualService or TrafficSplit has rules for a Service that a route of the Gateway API is for. It goes first, so \
           that the route has no effect for the callers that see it.",
    mend: "Move what it says into the route and delete it: nothing changes before it is gone.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    let known = Known::new(set);
    for (object, route) in &known.routes {
        for verdict in verdicts(route, |service| known.of(service), &known) {
            let parent = Path::root().keys("spec.parentRefs").index(verdict.index);
            if !verdict.accepted.status {
                out.add(
                    &HOLDS_NOWHERE,
                    object,
                    &parent,
                    format!("The route does not hold: {}.", verdict.accepted.message),
                );
            }
        }
        let first = verdicts(route, |service| known.of(service), &known).into_iter().next();
        // What could never be used is said where the object is read.
        if let Some(verdict) = first.filter(|v| v.resolved.reason == "BackendNotFound") {
            for message in verdict.resolved.message.lines() {
                out.at(&NOT_FOUND, object, "spec.rules", format!("Referenced backend not found: {message}"));
            }
        }
        shadowed(set, out, object, route);
    }
}

struct Known<'o> {
    services: BTreeMap<ServiceId, ServiceSpec>,
    routes: Vec<(&'o Object, MeshRoute)>,
}

impl<'o> Known<'o> {
    fn new(set: &Set<'o>) -> Self {
        let context = LowerContext::default();
        let pieces = |object| lower(object, &context).map(|(pieces, _)| pieces).unwrap_or_default();
        let services = set.services().iter().flat_map(|s| pieces(s.object)).filter_map(|piece| match piece {
            Lowered::Service(spec) => Some((spec.id.clone(), spec)),
            _ => None,
        });
        let services = services.collect();
        let mut routes = Vec::new();
        for object in set.of(GROUP, "HTTPRoute").chain(set.of(GROUP, "GRPCRoute")) {
            for piece in pieces(object) {
                if let Lowered::MeshRoute(route) = piece {
                    routes.push((object, route));
                }
            }
        }
        Self { services, routes }
    }

    fn of(&self, service: &ServiceId) -> Vec<&MeshRoute> {
        self.routes.iter().map(|(_, route)| route).filter(|r| r.services().contains(&service)).collect()
    }
}

impl Services for Known<'_> {
    fn service(&self, id: &ServiceId) -> Option<&ServiceSpec> {
        self.services.get(id)
    }
}

fn shadowed(set: &Set<'_>, out: &mut Report, object: &Object, route: &MeshRoute) {
    for parent in &route.parents {
        let host = parent.service.host();
        let by_rule = set.virtual_services().filter(|o| is_for_sidecars(o)).find(|other| {
            // A route of another namespace goes first for the callers there.
            let same =
                route.origin.namespace == parent.service.namespace || other.namespace() == route.origin.namespace;
            same && texts(&other.json, "/spec/hosts").iter().any(|h| full_host(h, other.namespace()) == host)
        });
        let by_split = || {
            set.splits().find(|other| {
                let apex = other.json.pointer("/spec/service").and_then(|s| s.as_str());
                apex.is_some_and(|apex| full_host(apex, other.namespace()) == host)
            })
        };
        if let Some(first) = by_rule.or_else(by_split) {
            let at = Path::root().keys("spec.parentRefs").index(parent.index);
            let message = format!("{} has rules for {} too and goes first.", first.describe(), parent.service);
            out.add(&SHADOWED, object, &at, message);
        }
    }
}
