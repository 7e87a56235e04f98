//! The proxy's own servers: admin on loopback (15000), and on every address status (15020), health (15021) and metrics
//! (15090). Paths are Envoy's and Istio's where those have them.
//!
//! On 15020 leno-viz may also come by mutual TLS, for what it alone is told.
//!
//! They answer until the process ends, also while the data path drains. What the network may reach is read-only: what
//! changes anything is on loopback, or refuses peers that are not.

mod body;
mod clusters;
mod pages;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::App;
use server::Takes::{Both, Plain};

use pages::{admin, health, metrics, status};

/// The listeners of the proxy's own servers, bound before anything else runs.
#[derive(Debug)]
pub struct Listeners {
    /// 15000, on loopback.
    pub admin: TcpListener,
    /// 15020.
    pub status: TcpListener,
    /// 15021.
    pub health: TcpListener,
    /// 15090.
    pub metrics: TcpListener,
}

/// Serves all four until the process ends: they answer while the data path drains.
pub async fn serve(listeners: Listeners, app: App) {
    let app = Arc::new(app);
    tokio::join!(
        server::run(listeners.admin, Plain, Arc::clone(&app), |app, ask| async move { admin(&app, &ask).await }),
        server::run(listeners.status, Both, Arc::clone(&app), |app, ask| async move { status(&app, &ask).await }),
        server::run(listeners.health, Plain, Arc::clone(&app), |app, ask| async move { health(&app, &ask) }),
        server::run(listeners.metrics, Plain, app, |app, ask| async move { metrics(&app, &ask) }),
    );
}
