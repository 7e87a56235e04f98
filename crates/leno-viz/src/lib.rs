//! Live golden signals: what the mesh's proxies saw in the last minutes, kept in memory and answered in rows.
//!
//! [`gather`] asks the control plane for proxies and each proxy for its samples; [`window`] turns counts since start into
//! what happened in each step, and forgets in time; [`query`] makes rows of it; [`api`] serves them as JSON. The rows
//! themselves are [`model`], shared with the command line. History is Prometheus' business, not ours.

pub mod api;
pub mod events;
pub mod gather;
pub mod graph;
pub mod guard;
pub mod model;
pub mod objects;
pub mod query;
pub mod rules;
pub mod series;
pub mod ui;
pub mod watch;
pub mod window;
