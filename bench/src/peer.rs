//! HAProxy as its users would set it up for speed: one thread, mutual TLS on the middle hop, connections used again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::net::{Pods, Running, SERVER, start};

/// Ports of the pair: what the load dials, and the middle hop; HTTP/1.1 first, then HTTP/2.
pub(crate) const PORTS: [(u16, u16); 2] = [(18001, 18006), (18002, 18007)];

/// Starts both; `app` is the application's port.
pub(crate) fn start_pair(pods: &Pods, folder: &Path, app: u16) -> anyhow::Result<[Running; 2]> {
    let pem = certificate(folder)?;
    let tls = format!("ssl crt {0} ca-file {0} verify required", pem.display());
    let mut client = defaults();
    let mut server = defaults();
    for (n, (dialled, middle)) in PORTS.into_iter().enumerate() {
        let (bind, alpn, proto) = if n == 1 { (" proto h2", " alpn h2", " proto h2") } else { ("", "", "") };
        let _ = write!(
            client,
            "frontend f{n}\n bind 127.0.0.1:{dialled}{bind}\n default_backend b{n}\n\
             backend b{n}\n http-reuse always\n server s {SERVER}:{middle} {tls} verifyhost web{alpn}\n"
        );
        let _ = write!(
            server,
            "frontend f{n}\n bind {SERVER}:{middle} {tls}{alpn}\n default_backend b{n}\n\
             backend b{n}\n http-reuse always\n server s 127.0.0.1:{app}{proto}\n"
        );
    }
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map(|()| path)
    };
    let run = |mut command: Command, file: PathBuf| start(command.arg("-q").arg("-db").arg("-f").arg(file));
    Ok([
        run(pods.client("haproxy"), write("client.cfg", &client)?)?,
        run(pods.server("haproxy"), write("server.cfg", &server)?)?,
    ])
}

fn defaults() -> String {
    "global\n nbthread 1\n maxconn 4000\n\
     defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
        .to_owned()
}

/// One certificate that signs itself, for both ends.
fn certificate(folder: &Path) -> anyhow::Result<PathBuf> {
    let (key, cert, both) = (folder.join("peer.key"), folder.join("peer.crt"), folder.join("peer.pem"));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=web", "-addext", "subjectAltName=DNS:web", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .context("running openssl")?;
    anyhow::ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(&both, format!("{}{}", std::fs::read_to_string(&cert)?, std::fs::read_to_string(&key)?))?;
    Ok(both)
}
