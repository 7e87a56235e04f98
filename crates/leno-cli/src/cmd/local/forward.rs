//! `leno local port-forward`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use leno_local::LocalMesh;
use leno_local::protocol::Status;
use serde_json::Value;

use super::target;

/// Arguments of `leno local port-forward`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A pod, `deploy/NAME`, `svc/NAME`, or `system/leno-viz`.
    target: String,
    /// `LOCAL:REMOTE`, or one port for both; `:REMOTE` takes any free local port. With `svc/NAME`, REMOTE is the
    /// service's port.
    #[arg(required = true)]
    ports: Vec<String>,
    /// Namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Local address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    address: std::net::IpAddr,
}

/// Listens until it is interrupted.
///
/// # Errors
/// A port is in use, or there is no such target.
pub(super) fn run(args: &Args, mesh: &LocalMesh) -> anyhow::Result<ExitCode> {
    let mut listeners = Vec::new();
    for ports in &args.ports {
        let (local, remote) = parse(ports)?;
        // Found once now, so that a mistake is said at once; each connection looks again, because pods change.
        destination(mesh, args, remote)?;
        let address = SocketAddr::new(args.address, local);
        let listener = TcpListener::bind(address).with_context(|| format!("{address} cannot be listened on"))?;
        println!("Forwarding {} -> {} port {remote}", listener.local_addr()?, args.target);
        listeners.push((listener, remote));
    }
    std::thread::scope(|scope| {
        for (listener, remote) in listeners {
            scope.spawn(move || {
                for client in listener.incoming().flatten() {
                    let open = destination(mesh, args, remote).and_then(|to| to.dial(mesh));
                    match open {
                        Ok(server) => {
                            std::thread::spawn(move || copy(&client, &server));
                        }
                        Err(error) => eprintln!("error: {error:#}"),
                    }
                }
            });
        }
    });
    Ok(ExitCode::SUCCESS)
}

enum Destination {
    Pod(String, String, u16),
    Node(SocketAddr),
}

impl Destination {
    fn dial(&self, mesh: &LocalMesh) -> anyhow::Result<TcpStream> {
        match self {
            Self::Pod(namespace, pod, port) => mesh.dial_pod(namespace, pod, *port),
            Self::Node(address) => mesh.dial_node(*address),
        }
    }
}

fn destination(mesh: &LocalMesh, args: &Args, remote: u16) -> anyhow::Result<Destination> {
    if args.target.starts_with("system/") {
        return Ok(Destination::Node(SocketAddr::from(([127, 0, 0, 1], remote))));
    }
    let status = mesh.status()?;
    let pod = target::pod(&status, &args.namespace, &args.target)?;
    let port = if args.target.starts_with("svc/") || args.target.starts_with("service/") {
        let name = args.target.split_once('/').map_or("", |(_, name)| name);
        target_port(mesh, &status, &args.namespace, name, &pod.name, remote)?
    } else {
        remote
    };
    Ok(Destination::Pod(pod.namespace.clone(), pod.name.clone(), port))
}

/// The pod's port behind a service's, by its endpoint slices.
fn target_port(
    mesh: &LocalMesh,
    status: &Status,
    namespace: &str,
    service: &str,
    pod: &str,
    port: u16,
) -> anyhow::Result<u16> {
    let objects = mesh.objects()?;
    let same = |o: &&Value, kind: &str| o["kind"] == kind && o["metadata"]["namespace"] == namespace;
    let found = objects.iter().find(|o| same(o, "Service") && o["metadata"]["name"] == service);
    let ports =
        found.and_then(|s| s["spec"]["ports"].as_array()).ok_or_else(|| anyhow!("there is no service {service}"))?;
    let Some(one) = ports.iter().find(|p| p["port"].as_u64() == Some(port.into())) else {
        let known = status.services.iter().find(|s| s.namespace == namespace && s.name == service);
        bail!(
            "service {namespace}/{service} has no port {port}; it has: {}",
            known.map_or(String::new(), |s| s.ports.join(", "))
        );
    };
    let name = one["name"].as_str().unwrap_or_default();
    let mut slices = objects
        .iter()
        .filter(|o| same(o, "EndpointSlice") && o["metadata"]["labels"]["kubernetes.io/service-name"] == service);
    let slice =
        slices.find(|s| s["endpoints"].as_array().is_some_and(|all| all.iter().any(|e| e["targetRef"]["name"] == pod)));
    let ports =
        slice.and_then(|s| s["ports"].as_array()).ok_or_else(|| anyhow!("service {service} has no endpoints"))?;
    let number = ports.iter().find(|p| p["name"].as_str().unwrap_or_default() == name).and_then(|p| p["port"].as_u64());
    number.and_then(|n| u16::try_from(n).ok()).ok_or_else(|| anyhow!("pod {pod} has no such port"))
}

fn parse(text: &str) -> anyhow::Result<(u16, u16)> {
    let number = |t: &str| t.parse::<u16>().map_err(|_| anyhow!("{text:?} is not LOCAL:REMOTE"));
    match text.split_once(':') {
        None => Ok((number(text)?, number(text)?)),
        Some(("", remote)) => Ok((0, number(remote)?)),
        Some((local, remote)) => Ok((number(local)?, number(remote)?)),
    }
}

fn copy(client: &TcpStream, server: &TcpStream) {
    std::thread::scope(|scope| {
        let one_way = |mut from: &TcpStream, mut to: &TcpStream| {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        };
        scope.spawn(move || one_way(client, server));
        one_way(server, client);
    });
}
