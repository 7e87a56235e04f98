//! The phases of a request, one file each, in the order of [`super::pipeline`].

pub mod admit;
pub mod direct;
pub mod edit;
pub mod facts;
pub mod fault;
pub mod forward;
pub mod mirror;
pub mod peer;
pub mod route;
