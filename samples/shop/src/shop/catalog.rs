//! What can be bought. Version 2 differs visibly: it has a motto and prices with a discount.

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::Listen;
use super::upstream::address;
use crate::plan::Plan;
use crate::server::{Answer, Peer};
use crate::shell::{Handler, json_reply, text};
use crate::tcp::read_line;
use crate::units::Me;

/// The catalog: GET /items. VERSION=v2 gives a discount.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: Listen,
}

/// Runs the service until SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let me = Me::from_env("catalog");
    let catalog = Catalog { me: me.clone(), stock: address("STOCK", "stock:7000") };
    super::serve(&args.listen, me, catalog).await
}

struct Catalog {
    me: Me,
    stock: String,
}

impl Catalog {
    fn items(&self, left: &Value) -> Value {
        let new = self.me.version != "v1";
        let items = ITEMS.iter().map(|(sku, name, cents)| {
            let mut item = json!({"sku": sku, "name": name, "cents": cents});
            if new {
                item["cents"] = json!(cents * 9 / 10);
                item["discount"] = json!("10%");
            }
            item["left"] = left[*sku].clone();
            item
        });
        let items: Vec<Value> = items.collect();
        let mut body =
            json!({"service": self.me.service, "version": self.me.version, "pod": self.me.pod, "items": items});
        if new {
            body["motto"] = json!("now with a discount on everything");
        }
        body
    }

    /// How many are left, by a protocol where the server speaks first. A connection for each question, so that stock's
    /// restarts need no care here.
    async fn left(&self) -> anyhow::Result<Value> {
        let ask = async {
            let mut stream = BufReader::new(TcpStream::connect(self.stock.as_str()).await?);
            let greeting = read_line(&mut stream).await?;
            anyhow::ensure!(greeting.starts_with("220 "), "stock greets with `{greeting}`");
            stream.write_all(b"list\r\n").await?;
            let line = read_line(&mut stream).await?;
            let list = line.strip_prefix("250 ").unwrap_or_default();
            let pairs = list.split(' ').filter_map(|pair| pair.split_once('='));
            anyhow::Ok(pairs.map(|(sku, n)| (sku.to_owned(), json!(n.parse::<u64>().ok()))).collect())
        };
        tokio::time::timeout(std::time::Duration::from_secs(2), ask).await?
    }
}

impl Handler for Catalog {
    async fn answer(&self, request: Request<Incoming>, _plan: Plan, _peer: Peer) -> Answer {
        if (request.method(), request.uri().path()) != (&Method::GET, "/items") {
            return Answer::Reply(text(StatusCode::NOT_FOUND, "GET /items\n"));
        }
        // A catalog without numbers is still a catalog.
        let left = self.left().await.unwrap_or_else(|_| json!({}));
        Answer::Reply(json_reply(StatusCode::OK, &self.items(&left), &self.me))
    }
}

/// Sku, name, cents.
pub(crate) const ITEMS: &[(&str, &str, u64)] =
    &[("loom", "Loom", 45_000), ("thread", "Thread, a spool", 350), ("shuttle", "Shuttle", 1_250)];
