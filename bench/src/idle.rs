//! Connections at rest.

use std::io::Read;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Opens them, says `open`, and keeps them until its input ends.
pub(crate) fn run(to: &str, count: usize) -> anyhow::Result<()> {
    let runtime = crate::runtime()?;
    let to = if to.contains(':') { to.to_owned() } else { format!("{to}:80") };
    let held = runtime.block_on(async {
        let mut held = Vec::with_capacity(count);
        for _ in 0..count {
            let mut stream = TcpStream::connect(&to).await.context("connecting")?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await?;
            let mut answer = [0; 4096];
            anyhow::ensure!(stream.read(&mut answer).await? > 0, "the proxy closed a connection");
            held.push(stream);
        }
        Ok::<_, anyhow::Error>(held)
    })?;
    println!("open");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}
