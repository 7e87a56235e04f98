//! `leno-proxy wait`: until the proxy is ready.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::bail;
use leno_core::names::port;

/// Asks the proxy's health port again and again.
pub(super) fn run(limit: Duration) -> anyhow::Result<()> {
    let port = std::env::var("LENO_HEALTH_PORT").ok().and_then(|p| p.parse().ok()).unwrap_or(port::HEALTH);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut waited = Duration::ZERO;
    loop {
        let last = match ask(address) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.0 200 ") => return Ok(()),
            Ok(answer) => answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        if waited >= limit {
            bail!("the proxy is not ready after {} s: {last}", limit.as_secs());
        }
        std::thread::sleep(PAUSE);
        waited += PAUSE;
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(2);
