//! What a build that is guided by a profile learns from: every load of the benchmark, once, through sidecars that count what
//! they run. They write what they counted when they end.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::load::LOADS;
use super::mesh::Mesh;
use super::{Tools, pair};

/// Runs the loads, and ends the sidecars as a kubelet does.
pub(crate) fn run(tools: &Tools) -> anyhow::Result<()> {
    let mesh = Mesh::up(&tools.programs)?;
    let pair = pair::leno(&mesh)?;
    pair.wait_until_it_answers()?;
    for load in LOADS {
        eprintln!("{}", load.name);
        load.run(&pair, tools)?;
    }
    for proxy in &pair.proxies {
        let asked = Command::new("kill").arg(proxy.to_string()).status()?;
        anyhow::ensure!(asked.success(), "kill {proxy}: {asked}");
        let (place, begun) = (PathBuf::from(format!("/proc/{proxy}/exe")), Instant::now());
        while std::fs::read_link(&place).is_ok() {
            anyhow::ensure!(begun.elapsed() < PATIENCE, "the sidecar with process id {proxy} does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// Longer than a sidecar drains.
const PATIENCE: Duration = Duration::from_secs(20);
