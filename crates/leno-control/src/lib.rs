//! The control plane: objects in, wire resources and certificates out.
//!
//! [`source`] brings objects in from files, [`kube`] from a cluster, [`world`] holds what is in force, [`build`] makes wire resources of it, [`hub`] pushes
//! what changed, [`serve`] speaks to proxies (xDS and certificates on 15012) and to people (15014). [`app`] wires them.
//!
//! The life of a change: a file is closed or moved into place ([`source::files`], a millisecond of gathering), its
//! objects are lowered by `leno_config` and become a [`source::Batch`]; the one task of [`hub::Hub`] puts them into
//! [`world::World`], which names the wire resources that they may touch; [`build::Refresher`] builds and encodes those
//! and keeps the ones whose bytes differ; every session hears their names, and sends each proxy the shared bytes of what
//! it subscribed to. Endpoints go at once, the rest waits some milliseconds for what is applied along with it.
//! An object that is refused changes nothing: its last good version stays until it is mended or deleted.

pub mod app;
pub mod boot;
pub mod build;
pub mod history;
pub mod hub;
pub mod imagine;
pub mod kube;
pub mod metrics;
pub mod serve;
pub mod source;
pub mod webhook;
pub mod world;
