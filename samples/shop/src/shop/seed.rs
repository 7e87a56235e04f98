//! A Job that fills the cart and ends: its sidecar must let the pod end too.

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::catalog::ITEMS;
use super::upstream::{Upstream, address};

/// Puts items into the cart, then ends.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many items.
    #[arg(long, default_value_t = 5)]
    items: usize,
}

/// Runs to the end.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let upstream = Upstream::new();
    let url = format!("{}/cart/items", address("CART", "http://cart:8080"));
    for (sku, ..) in ITEMS.iter().cycle().take(args.items) {
        let body = Bytes::from(format!(r#"{{"sku":"{sku}"}}"#));
        let answer = upstream.send(Method::POST, &url, &HeaderMap::new(), body).await?;
        println!("put {sku} into the cart: {answer}");
    }
    Ok(())
}
