//! Istio's objects.

pub(crate) mod authorization_policy;
pub(crate) mod common;
pub(crate) mod destination_rule;
pub(crate) mod http_route;
pub(crate) mod peer_authentication;
mod retry;
pub(crate) mod telemetry;
pub(crate) mod virtual_service;
