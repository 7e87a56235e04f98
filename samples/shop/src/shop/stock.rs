//! What is left, by a TCP protocol where the server speaks first, as SMTP and `MySQL` do.

use std::sync::Arc;

use super::catalog::ITEMS;
use crate::server::listen;
use crate::tcp::{accept, lines};
use crate::units::Me;

/// The stock: TCP, greets first; then `get SKU`, `list`, `quit`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port to listen on.
    #[arg(long, short, default_value_t = 7000, env = "PORT")]
    port: u16,
}

/// Runs the service until SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let listener = listen(args.port).await?;
    let me = Me::from_env("stock");
    let greeting: Arc<str> = format!("220 {} {} {} ready\r\n", me.service, me.version, me.pod).into();
    accept(listener, move |stream| {
        let greeting = greeting.clone();
        async move { lines(stream, &greeting, answer).await }
    })
    .await;
    Ok(())
}

fn answer(line: &str) -> Option<String> {
    let (verb, sku) = line.split_once(' ').unwrap_or((line, ""));
    match verb.to_ascii_lowercase().as_str() {
        "list" => {
            let all: Vec<_> = ITEMS.iter().map(|(sku, ..)| format!("{sku}={}", left(sku))).collect();
            Some(format!("250 {}\r\n", all.join(" ")))
        }
        "get" => match ITEMS.iter().find(|(known, ..)| *known == sku) {
            Some((sku, ..)) => Some(format!("250 {sku}={}\r\n", left(sku))),
            None => Some(format!("550 no such sku `{sku}`\r\n")),
        },
        _ => None,
    }
}

/// A number that looks counted: the same for the same sku.
fn left(sku: &str) -> usize {
    sku.len() * 7
}
