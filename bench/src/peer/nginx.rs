//! nginx as a plain relay of connections, without TLS: the floor of what a proxy pair can cost.

use std::path::PathBuf;
use std::process::Command;

use super::Place;
use crate::net::{Running, start};

/// What the load dials, and the middle hop.
pub(crate) const PORTS: (u16, u16) = (18101, 18106);

/// Starts both; `client` and `server` make commands in their pods.
pub(crate) fn start_pair(
    place: &Place<'_>,
    client: &dyn Fn(&str) -> Command,
    server: &dyn Fn(&str) -> Command,
) -> anyhow::Result<[Running; 2]> {
    let folder = place.folder.display();
    let relay = |side: &str, listen: String, to: String| {
        format!(
            "daemon off;\nmaster_process off;\npid {folder}/nginx-{side}.pid;\nerror_log {folder}/nginx-{side}.log crit;\n\
             include /etc/nginx/modules-enabled/*.conf;\nevents {{ worker_connections 8192; }}\n\
             stream {{\n access_log off;\n server {{ listen {listen}; proxy_pass {to}; }}\n}}\n"
        )
    };
    let (near, far) = PORTS;
    let middle = format!("{}:{far}", place.server);
    let near = relay("client", format!("127.0.0.1:{near}"), middle.clone());
    let far = relay("server", middle, format!("127.0.0.1:{}", place.app));
    let run = |mut command: Command, file: PathBuf| start(command.arg("-c").arg(file));
    Ok([
        run(client("nginx"), place.write("nginx-client.conf", &near)?)?,
        run(server("nginx"), place.write("nginx-server.conf", &far)?)?,
    ])
}
