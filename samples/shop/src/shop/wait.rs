//! An init container that needs the network before the app starts.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::upstream::Upstream;
use crate::units::duration;

/// Waits until each address answers: http://HOST:PORT/PATH with a status below 400, or tcp://HOST:PORT with a connection.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Addresses.
    #[arg(required = true)]
    urls: Vec<String>,
    /// Fail (exit 1) after so long.
    #[arg(long, default_value = "60s", value_parser = duration)]
    timeout: Duration,
}

/// Waits.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let end = Instant::now() + args.timeout;
    let upstream = Upstream::new();
    for url in &args.urls {
        while let Err(error) = attempt(&upstream, url).await {
            let left = end.checked_duration_since(Instant::now());
            if left.is_none() {
                return Err(error).with_context(|| format!("{url} does not answer after {:?}", args.timeout));
            }
            tokio::time::sleep(PAUSE).await;
        }
        println!("{url} answers");
    }
    Ok(())
}

async fn attempt(upstream: &Upstream, url: &str) -> anyhow::Result<()> {
    if let Some(address) = url.strip_prefix("tcp://") {
        tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address)).await??;
        return Ok(());
    }
    let (status, _) = upstream.raw(Method::GET, url, &HeaderMap::new(), Bytes::new()).await?;
    anyhow::ensure!(status.as_u16() < 400, "status {status}");
    Ok(())
}

/// Between attempts.
const PAUSE: Duration = Duration::from_millis(200);
