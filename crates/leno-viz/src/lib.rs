//! Live golden signals: what the mesh's proxies saw in the last minutes, kept in memory and answered in rows.
//!
//! [`gather`] asks the control plane for proxies and each proxy for its samples; [`window`] turns counts since start into
//! what happened in each step, and forgets in time; [`query`] makes rows of it; [`api`] serves them as JSON. The rows
//! themselves are [`model`], shared with the command line. Single requests are never kept: [`tap`] passes them on from the
//! sidecars, which tell them to leno-viz's [`identity`] alone. History is Prometheus' business, not ours.

pub mod api;
pub mod events;
pub mod gather;
pub mod graph;
pub mod guard;
pub mod identity;
pub mod model;
pub mod objects;
pub mod openapi;
pub mod query;
pub mod rules;
pub mod series;
pub mod tap;
pub mod ui;
pub mod watch;
pub mod window;
