//! HAProxy, mutual TLS on the middle hop: HTTP/1.1 all the way for HTTP/1.1, HTTP/2 all the way for h2c.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::Place;
use crate::net::{Running, start};

/// What the load dials, and the middle hop; HTTP/1.1 first, then HTTP/2.
pub(crate) const PORTS: [(u16, u16); 2] = [(18001, 18006), (18002, 18007)];

/// Starts both; `client` and `server` make commands in their pods.
pub(crate) fn start_pair(
    place: &Place<'_>,
    client: &dyn Fn(&str) -> Command,
    server: &dyn Fn(&str) -> Command,
) -> anyhow::Result<[Running; 2]> {
    let pem = super::certificate(place.folder)?;
    let tls = format!("ssl crt {0} ca-file {0} verify required", pem.display());
    let (mut near, mut far) = (defaults(), defaults());
    for (n, (dialled, middle)) in PORTS.into_iter().enumerate() {
        let (bind, alpn, proto) = if n == 1 { (" proto h2", " alpn h2", " proto h2") } else { ("", "", "") };
        let _ = write!(
            near,
            "frontend f{n}\n bind 127.0.0.1:{dialled}{bind}\n default_backend b{n}\n\
             backend b{n}\n http-reuse always\n server s {}:{middle} {tls} verifyhost web{alpn}\n",
            place.server
        );
        let _ = write!(
            far,
            "frontend f{n}\n bind {}:{middle} {tls}{alpn}\n default_backend b{n}\n\
             backend b{n}\n http-reuse always\n server s 127.0.0.1:{}{proto}\n",
            place.server, place.app
        );
    }
    let run = |mut command: Command, file: PathBuf| start(command.arg("-q").arg("-db").arg("-f").arg(file));
    Ok([
        run(client("haproxy"), place.write("haproxy-client.cfg", &near)?)?,
        run(server("haproxy"), place.write("haproxy-server.cfg", &far)?)?,
    ])
}

fn defaults() -> String {
    "global\n nbthread 1\n maxconn 4000\n\
     defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
        .to_owned()
}
