//! The sample shop.
//!
//! `web` shows a page made of `catalog`, `cart` and `reviews`; `cart` pays by gRPC at `pay`; `catalog` asks `stock`, which
//! speaks a TCP protocol and speaks first; `seed` is a Job that fills the cart and ends; `wait` is an init container that
//! needs the network. Addresses of the others come from the environment (`CATALOG=http://catalog:8080` …).

pub(crate) mod cart;
pub(crate) mod catalog;
pub(crate) mod pay;
pub(crate) mod reviews;
pub(crate) mod seed;
pub(crate) mod stock;
pub(crate) mod upstream;
pub(crate) mod wait;
pub(crate) mod web;

use crate::server;
use crate::shell::{Handler, Shell};
use crate::units::Me;

/// Where a service of the shop listens.
#[derive(clap::Args)]
pub(crate) struct Listen {
    /// Port to listen on.
    #[arg(long, short, default_value_t = 8080, env = "PORT")]
    port: u16,
}

/// Runs an HTTP service until SIGTERM.
pub(crate) async fn serve<H: Handler>(listen: &Listen, me: Me, handler: H) -> anyhow::Result<()> {
    let listener = server::listen(listen.port).await?;
    server::serve(listener, Shell::new(handler, me)).await;
    Ok(())
}
