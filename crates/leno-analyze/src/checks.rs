//! The checks, by family. Each file holds the codes that it finds and how.

mod annotations;
mod budget;
mod conflicts;
mod destination_rules;
mod gateway_routes;
mod gateways;
mod injection;
mod jwt;
mod network_policies;
mod platform;
mod pods;
mod policies;
mod probes;
mod routing;
mod rules;
pub(crate) mod schema;
mod selectors;
mod service_entries;
mod services;
mod strict;
mod unreachable;

use crate::code::Code;
use crate::finding::Report;
use crate::set::Set;

/// A check.
pub(crate) type Check = fn(&Set<'_>, &mut Report);

/// Every family: its codes and its check.
pub(crate) const ALL: &[(&[&Code], Check)] = &[
    (annotations::CODES, annotations::check),
    (budget::CODES, budget::check),
    (conflicts::CODES, conflicts::check),
    (destination_rules::CODES, destination_rules::check),
    (gateway_routes::CODES, gateway_routes::check),
    (gateways::CODES, gateways::check),
    (injection::CODES, injection::check),
    (jwt::CODES, jwt::check),
    (network_policies::CODES, network_policies::check),
    (platform::CODES, platform::check),
    (pods::CODES, pods::check),
    (policies::CODES, policies::check),
    (probes::CODES, probes::check),
    (routing::CODES, routing::check),
    (rules::CODES, rules::check),
    (schema::CODES, schema::check),
    (selectors::CODES, selectors::check),
    (service_entries::CODES, service_entries::check),
    (services::CODES, services::check),
    (strict::CODES, strict::check),
    (unreachable::CODES, unreachable::check),
];
