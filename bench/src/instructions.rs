//! Instructions of a request, counted by valgrind: the same on a busy machine as on a quiet one, so a change of one percent
//! shows. They say nothing of the kernel, and little of the memory's speed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use leno_identity::Authority;

use crate::measure;
use crate::net::{Running, start};

/// Counts with both kinds of load, and prints a line for each sidecar.
pub(crate) fn run(requests: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    Authority::generate("cluster.local")?.write(folder.path())?;
    for (load, arguments) in LOADS {
        for (side, each) in count(folder.path(), arguments, requests)? {
            println!("{load:10} {side:7} {each:>8} instructions a request");
        }
    }
    Ok(())
}

fn count(folder: &Path, load: &[&str], requests: u64) -> anyhow::Result<Vec<(&'static str, u64)>> {
    let me = std::env::current_exe()?.display().to_string();
    let [app, inbound, outbound] = [free()?, free()?, free()?];
    let _echo = start(Command::new(&me).args(["echo", &app]))?;
    let counted = |side: &str| folder.join(format!("callgrind.{side}"));
    let sidecar = |side: &str, listen: &str, to: &str| {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--instr-atstart=no"]);
        command.arg(format!("--callgrind-out-file={}", counted(side).display()));
        command.args([me.as_str(), "sidecar", "--side", side, "--listen", listen, "--to", to, "--authority"]);
        start(command.arg(folder).stderr(Stdio::null()))
    };
    let sidecars = [sidecar("server", &inbound, &app)?, sidecar("client", &outbound, &inbound)?];
    let url = format!("http://{outbound}/");
    // Under valgrind the first handshake takes its time.
    measure::until_answered(|| Command::new("curl"), &[], &url, Duration::from_secs(60))?;
    let ask = |n: u64| measure::load(Command::new("h2load").args(load).args(["-t1", &format!("-n{n}"), &url]));
    ask(WARM)?;
    switch("on", &sidecars)?;
    let seen = ask(requests)?;
    switch("off", &sidecars)?;
    anyhow::ensure!(seen.failed == 0.0, "{} requests failed", seen.failed);
    for sidecar in sidecars {
        end(sidecar)?;
    }
    ["client", "server"].into_iter().map(|side| Ok((side, total(&counted(side))? / requests))).collect()
}

/// An address of this machine that is free now.
fn free() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Counting begins and ends.
fn switch(to: &str, sidecars: &[Running; 2]) -> anyhow::Result<()> {
    let pids = sidecars.each_ref().map(|s| s.0.id().to_string());
    let done = Command::new("callgrind_control").args(["-i", to]).args(pids).output();
    anyhow::ensure!(
        done.context("running callgrind_control (package valgrind)")?.status.success(),
        "callgrind_control -i {to}"
    );
    Ok(())
}

/// Ends it so that what it counted is written.
fn end(mut sidecar: Running) -> anyhow::Result<()> {
    let ended = Command::new("kill").arg(sidecar.0.id().to_string()).status()?;
    anyhow::ensure!(ended.success(), "a sidecar ended by itself");
    sidecar.0.wait()?;
    Ok(())
}

/// `totals: N`, or `summary: N`.
fn total(file: &Path) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut lines = text.lines().filter_map(|l| l.strip_prefix("totals: ").or_else(|| l.strip_prefix("summary: ")));
    lines.next_back().and_then(|n| n.trim().parse().ok()).with_context(|| format!("{} has no total", file.display()))
}

/// Names, and how h2load is told.
const LOADS: [(&str, &[&str]); 2] = [("HTTP/1.1", &["--h1", "-c32"]), ("h2c", &["-c10", "-m10"])];
const WARM: u64 = 600;
