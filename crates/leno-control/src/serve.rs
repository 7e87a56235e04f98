//! What the control plane serves: xDS and certificates over TLS for proxies, metrics and reports for people.

pub mod ads;
pub mod auth;
pub mod ca;
pub mod monitor;
pub mod proxies;
pub mod tls;
