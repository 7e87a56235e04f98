//! The mesh on this machine.

use std::net::{TcpListener, TcpStream};

use leno_local::LocalMesh;

use super::exchange::exchange;
use super::relay::relay;
use super::{Access, Ask, Log, Pod, Service, System};

/// By its runtime's socket.
pub(super) struct Local(pub(super) LocalMesh);

impl Access for Local {
    fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let pod = |p: leno_local::protocol::PodStatus| Pod {
            namespace: p.namespace,
            name: p.name,
            owner: p.owner,
            meshed: p.meshed,
            ready: p.ready,
            ended: matches!(p.status.as_str(), "Succeeded" | "Failed" | "Completed" | "Error"),
        };
        Ok(self.0.pods()?.into_iter().map(pod).collect())
    }

    fn objects(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        self.0.objects()
    }

    fn services(&self) -> anyhow::Result<Vec<Service>> {
        let status = self.0.status()?;
        let meshed = |ip: &&String| status.pods.iter().any(|p| p.meshed && p.ip == **ip);
        let service = |s: &leno_local::protocol::ServiceStatus| Service {
            namespace: s.namespace.clone(),
            name: s.name.clone(),
            meshed: s.endpoints.iter().filter(meshed).count() as u64,
            ready: s.endpoints.len() as u64,
        };
        Ok(status.services.iter().map(service).collect())
    }

    fn ask_pod(&self, pod: &Pod, port: u16, ask: Ask<'_>) -> anyhow::Result<Vec<u8>> {
        on(self.0.dial_pod(&pod.namespace, &pod.name, port)?, ask)
    }

    fn ask_system(&self, system: System, path: &str) -> anyhow::Result<Vec<Vec<u8>>> {
        let stream = self.0.dial_node(([127, 0, 0, 1], system.port()).into())?;
        Ok(vec![on(stream, Ask { method: "GET", path })?])
    }

    fn forward(&self, system: System, listener: TcpListener) -> anyhow::Result<()> {
        let dial = || {
            let dialled = self.0.dial_node(([127, 0, 0, 1], system.port()).into());
            async move {
                let stream = dialled?;
                stream.set_nonblocking(true)?;
                Ok(tokio::net::TcpStream::from_std(stream)?)
            }
        };
        crate::cluster::run(relay(listener, dial))
    }

    fn print_log(&self, pod: &Pod, log: Log<'_>) -> anyhow::Result<()> {
        crate::cmd::local::logs::print(&self.0, &pod.namespace, &pod.name, log)
    }

    fn hint(&self) -> &'static str {
        "leno local status"
    }
}

fn on(stream: TcpStream, ask: Ask<'_>) -> anyhow::Result<Vec<u8>> {
    stream.set_nonblocking(true)?;
    crate::cluster::run(async { exchange(tokio::net::TcpStream::from_std(stream)?, ask).await })
}
