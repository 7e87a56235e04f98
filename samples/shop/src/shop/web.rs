//! The front: one page out of what the others say.

use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::Listen;
use super::upstream::{Upstream, address};
use crate::plan::Plan;
use crate::server::{Answer, Peer};
use crate::shell::{Handler, json_reply, text};
use crate::units::Me;

/// The shop's front: GET / (the page), POST /buy (puts an item in the cart and pays).
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: Listen,
}

/// Runs the service until SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let me = Me::from_env("web");
    let web = Web {
        me: me.clone(),
        upstream: Upstream::new(),
        catalog: address("CATALOG", "http://catalog:8080"),
        cart: address("CART", "http://cart:8080"),
        reviews: address("REVIEWS", "http://reviews:8080"),
    };
    super::serve(&args.listen, me, web).await
}

struct Web {
    me: Me,
    upstream: Upstream,
    catalog: String,
    cart: String,
    reviews: String,
}

impl Web {
    async fn page(&self, headers: &HeaderMap) -> (StatusCode, Value) {
        let (items, cart, review) =
            (format!("{}/items", self.catalog), format!("{}/cart", self.cart), format!("{}/reviews/1", self.reviews));
        let (items, cart, review) = futures::join!(
            self.upstream.get(&items, headers),
            self.upstream.get(&cart, headers),
            self.upstream.get(&review, headers),
        );
        // A shop without reviews still sells; without a catalog it does not.
        let status = if items.is_ok() && cart.is_ok() { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
        let part = |result: anyhow::Result<Value>| result.unwrap_or_else(|e| json!({"error": format!("{e:#}")}));
        let items = part(items);
        let page = json!({
            "service": self.me.service,
            "version": items["version"],
            "catalog": items,
            "cart": part(cart),
            "reviews": part(review),
        });
        (status, page)
    }

    async fn buy(&self, headers: &HeaderMap) -> (StatusCode, Value) {
        let bought = async {
            let items = format!("{}/cart/items", self.cart);
            self.upstream.send(Method::POST, &items, headers, r#"{"sku":"loom"}"#.into()).await?;
            let checkout = format!("{}/checkout", self.cart);
            self.upstream.send(Method::POST, &checkout, headers, "{}".into()).await
        };
        match bought.await {
            Ok(receipt) => (StatusCode::OK, receipt),
            Err(error) => (StatusCode::BAD_GATEWAY, json!({"error": format!("{error:#}")})),
        }
    }
}

impl Handler for Web {
    async fn answer(&self, request: Request<Incoming>, _plan: Plan, _peer: Peer) -> Answer {
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => self.page(request.headers()).await,
            (&Method::POST, "/buy") => self.buy(request.headers()).await,
            _ => return Answer::Reply(text(StatusCode::NOT_FOUND, "GET / or POST /buy\n")),
        };
        Answer::Reply(json_reply(status, &body, &self.me))
    }
}
