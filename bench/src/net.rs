//! Two network namespaces and a veth pair between them: the client's pod and the server's.

use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// Both pods; gone when it is dropped.
pub(crate) struct Pods {
    names: [String; 2],
}

/// The server's address on the wire between them.
pub(crate) const SERVER: &str = "10.201.77.2";
const CLIENT: &str = "10.201.77.1";

/// A process that ends with its owner.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Pods {
    /// Makes them.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let id = std::process::id();
        let pods = Self { names: [format!("leno-bench-a{id}"), format!("leno-bench-b{id}")] };
        let [a, b] = &pods.names;
        let (left, right) = (format!("lba{id}"), format!("lbb{id}"));
        ip(&["netns", "add", a]).context("network namespaces need root")?;
        ip(&["netns", "add", b])?;
        ip(&["link", "add", &left, "netns", a, "type", "veth", "peer", "name", &right, "netns", b])?;
        for (pod, link, address) in [(a, &left, CLIENT), (b, &right, SERVER)] {
            ip(&["-n", pod, "addr", "add", &format!("{address}/24"), "dev", link])?;
            ip(&["-n", pod, "link", "set", link, "up"])?;
            ip(&["-n", pod, "link", "set", "lo", "up"])?;
        }
        Ok(pods)
    }

    /// A command in the client's pod.
    pub(crate) fn client(&self, program: &str) -> Command {
        inside(&self.names[0], program)
    }

    /// A command in the server's pod.
    pub(crate) fn server(&self, program: &str) -> Command {
        inside(&self.names[1], program)
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

/// Starts a command that runs until it is dropped.
pub(crate) fn start(command: &mut Command) -> anyhow::Result<Running> {
    let child = command.stdout(Stdio::null()).spawn().with_context(|| format!("starting {command:?}"))?;
    Ok(Running(child))
}

fn inside(pod: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", pod, program]);
    command
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("running ip (package iproute2)")?;
    let why = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), why.trim());
    Ok(())
}
