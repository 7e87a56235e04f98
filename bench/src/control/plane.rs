//! The control plane under test: the program that users run, in a process of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::apiserver::{free_ports, program_of};
use super::source::Source;
use crate::net::Running;

/// For the list of everything.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running one; it ends when it is dropped.
pub(crate) struct Plane {
    running: Running,
    /// xDS and certificates.
    pub(crate) xds: SocketAddr,
    monitoring: SocketAddr,
    /// Start to ready.
    pub(crate) ready: Duration,
}

impl Plane {
    /// Starts `program` and waits until it is ready.
    pub(crate) async fn start(program: &Path, source: &Source) -> anyhow::Result<Self> {
        let at = free_ports::<3>()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let [xds, monitoring, webhooks] = at;
        let mut command = program_of(&program.display().to_string());
        source.name_to(&mut command);
        for (flag, at) in [("--listen", xds), ("--monitoring", monitoring), ("--webhooks", webhooks)] {
            command.arg(flag).arg(at.to_string());
        }
        // One line for each proxy that comes and goes is not what is measured.
        command.args(["--log", "warn"]).stderr(std::fs::File::create(source.log_file())?);
        let start = Instant::now();
        let running = Running(command.spawn().with_context(|| format!("starting {}", program.display()))?);
        let mut plane = Self { running, xds, monitoring, ready: Duration::ZERO };
        while !plane.get("/ready").await.is_ok_and(|answer| answer.contains(" 200 ")) {
            let ended = plane.running.0.try_wait()?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                anyhow::bail!("the control plane is not ready");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        plane.ready = start.elapsed();
        Ok(plane)
    }

    /// CPU time that it has used. Of threads that have ended it counts nothing: those that do the work do not end.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.running.0.id()))? {
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanos += text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory now and at its highest, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.0.id()))?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|l| l.strip_prefix(name)).context("a line of /proc")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Bytes of resources that it has sent to all proxies.
    pub(crate) async fn pushed(&self) -> anyhow::Result<f64> {
        let text = self.get("/metrics").await?;
        let values = text.lines().filter(|l| l.starts_with("pilot_xds_config_size_bytes_sum"));
        Ok(values.filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.monitoring).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: control\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}
