//! The control plane: objects in, wire resources and certificates out.
//!
//! [`source`] brings objects in, [`world`] holds what is in force, [`build`] makes wire resources of it, [`hub`] pushes
//! what changed, [`serve`] speaks to proxies (xDS and certificates on 15012) and to people (15014). [`app`] wires them.

pub mod app;
pub mod boot;
pub mod build;
pub mod hub;
pub mod metrics;
pub mod serve;
pub mod source;
pub mod world;
