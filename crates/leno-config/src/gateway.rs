//! The Gateway API for meshes (GAMMA, GEP-1294): routes whose parents are Services.
//!
//! One route is lowered by itself into a [`MeshRoute`]. Which rules hold for a service is a matter of all routes of it and of
//! the services that there are, so that [`tables`] makes the model's tables and [`verdicts`] says what became of each route:
//! the control plane calls both whenever one of these changes.

mod backend;
mod cors;
mod filter;
mod grpc_route;
mod http_route;
mod matching;
mod parent;
mod precedence;
mod retry;
mod route;
mod table;
mod verdict;

pub(crate) use grpc_route::GrpcRoute;
pub(crate) use grpc_route::lower as lower_grpc;
pub(crate) use http_route::HttpRoute;
pub(crate) use http_route::lower as lower_http;
pub use parent::Parent;
pub use precedence::Precedence;
pub use route::{MeshRoute, MeshRule, Problem, ProblemReason, RouteKind};
pub use table::{Services, tables};
pub use verdict::{Condition, ParentVerdict, verdicts};

/// The API group of the routes.
pub const GROUP: &str = "gateway.networking.k8s.io";

#[cfg(test)]
mod tests;
