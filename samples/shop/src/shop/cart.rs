//! What a customer wants, and the way to the till.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};

use super::Listen;
use super::catalog::ITEMS;
use super::upstream::address;
use crate::plan::Plan;
use crate::proto::pay::ChargeRequest;
use crate::proto::pay::pay_client::PayClient;
use crate::server::{Answer, Peer};
use crate::shell::{Handler, json_reply, text};
use crate::units::Me;

/// The cart: GET /cart, POST /cart/items {"sku":"loom"}, POST /checkout (pays by gRPC).
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: Listen,
}

/// Runs the service until SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let me = Me::from_env("cart");
    let channel = Endpoint::from_shared(address("PAY", "http://pay:9090"))?.connect_lazy();
    let cart = Cart { me: me.clone(), items: Mutex::default(), pay: PayClient::new(channel) };
    super::serve(&args.listen, me, cart).await
}

struct Cart {
    me: Me,
    items: Mutex<Vec<String>>,
    pay: PayClient<Channel>,
}

impl Cart {
    fn show(&self) -> Value {
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        json!({"service": self.me.service, "pod": self.me.pod, "items": *items, "cents": price(&items)})
    }

    async fn add(&self, request: Request<Incoming>) -> (StatusCode, Value) {
        let body = Limited::new(request.into_body(), 64 * 1024).collect().await;
        let body = body.map(|b| b.to_bytes()).unwrap_or_default();
        let order: Value = serde_json::from_slice(&body).unwrap_or_default();
        let sku = order["sku"].as_str().unwrap_or_default();
        if !ITEMS.iter().any(|(known, ..)| *known == sku) {
            return (StatusCode::BAD_REQUEST, json!({"error": format!("no such sku `{sku}`")}));
        }
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        // A forgotten cart is emptied, so that a demo that runs for days does not fill memory.
        if items.len() >= 20 {
            items.clear();
        }
        items.push(sku.to_owned());
        (StatusCode::CREATED, json!({"items": items.len()}))
    }

    async fn checkout(&self, headers: &HeaderMap) -> (StatusCode, Value) {
        let items = std::mem::take(&mut *self.items.lock().unwrap_or_else(PoisonError::into_inner));
        let order = format!("order-{:08x}", rand::random::<u32>());
        let charge = ChargeRequest { customer: "weaver".to_owned(), order, amount: price(&items) };
        let mut request = tonic::Request::new(charge);
        request.set_timeout(std::time::Duration::from_secs(5));
        if let Some(id) = headers.get("x-request-id").and_then(|v| v.to_str().ok()?.parse().ok()) {
            request.metadata_mut().insert("x-request-id", id);
        }
        match self.pay.clone().charge(request).await {
            Ok(receipt) => {
                let receipt = receipt.into_inner();
                let paid = json!({"order": receipt.order, "cents": receipt.amount, "paid_at": receipt.pod});
                (StatusCode::OK, paid)
            }
            Err(status) => {
                let error = format!("pay: {:?}: {}", status.code(), status.message());
                (StatusCode::BAD_GATEWAY, json!({"error": error}))
            }
        }
    }
}

impl Handler for Cart {
    async fn answer(&self, request: Request<Incoming>, _plan: Plan, _peer: Peer) -> Answer {
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/cart") => (StatusCode::OK, self.show()),
            (&Method::POST, "/cart/items") => self.add(request).await,
            (&Method::POST, "/checkout") => self.checkout(request.headers()).await,
            _ => return Answer::Reply(text(StatusCode::NOT_FOUND, "GET /cart, POST /cart/items or POST /checkout\n")),
        };
        Answer::Reply(json_reply(status, &body, &self.me))
    }
}

fn price(items: &[String]) -> u64 {
    items.iter().filter_map(|sku| ITEMS.iter().find(|(known, ..)| known == sku)).map(|(.., cents)| cents).sum()
}
