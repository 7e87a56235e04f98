//! The sidecar proxy.
//!
//! [`boot`] reads the settings and wires the parts; [`discovery`] knows what the pod dials and what the pod itself is;
//! [`identity`] holds the certificate. A connection enters at [`outbound`] or [`inbound`], is told apart by [`detect`],
//! and goes through [`http`] or [`tcp`] to an endpoint that [`cluster`] chose. [`telemetry`] counts it, [`admin`] shows
//! it, [`probe`] asks the application
//! how it is, and [`init`] sets up the interception that brings it here.

pub mod admin;
pub mod boot;
pub mod cluster;
pub mod datapath;
pub mod detect;
pub mod discovery;
pub mod drain;
pub mod http;
pub mod identity;
pub mod inbound;
pub mod init;
pub mod outbound;
pub mod probe;
pub mod scrape;
pub mod tcp;
pub mod telemetry;
pub mod tls;
mod why;

pub use boot::{App, Settings};
