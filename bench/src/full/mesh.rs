//! A mesh of `leno local` with pods for the load and the application, and two pods outside of the mesh for the peers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

/// The mesh; down when it is dropped.
pub(crate) struct Mesh {
    folder: TempDir,
    leno: PathBuf,
    status: Value,
}

/// A pod: where its network and its files are.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) ip: String,
    /// A process in it.
    pid: u32,
    /// Its sidecar.
    pub(crate) sidecar: Option<u32>,
}

impl Mesh {
    /// `more`: further objects, as YAML documents.
    pub(crate) fn up(programs: &Path, more: &str) -> anyhow::Result<Self> {
        let leno = programs.join("leno");
        anyhow::ensure!(leno.exists(), "{} is not built: run `make build` first", leno.display());
        let mut mesh = Self { folder: tempfile::tempdir()?, leno, status: Value::Null };
        let me = std::env::current_exe()?.display().to_string();
        let file = mesh.folder.path().join("mesh.yaml");
        std::fs::write(&file, objects(&me) + more)?;
        let output = mesh.leno(&["local", "up", &file.display().to_string()]).output()?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "leno local up (root is needed): {}", said());
        mesh.end_with_signals()?;
        let status = mesh.leno(&["local", "status", "-o", "json"]).output()?;
        mesh.status = serde_json::from_slice(&status.stdout).context("leno local status")?;
        Ok(mesh)
    }

    /// For files of the benchmark.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The pod of a Deployment.
    pub(crate) fn pod(&self, name: &str) -> anyhow::Result<Pod> {
        let owner = format!("Deployment/{name}");
        let pod = list(&self.status, "pods").find(|p| p["owner"] == owner.as_str()).context(owner)?;
        let pid = |container: &str| {
            let found = list(pod, "containers").find(|c| c["name"] == container)?;
            u32::try_from(found["pid"].as_u64()?).ok()
        };
        let ip = pod["ip"].as_str().context("its address")?.to_owned();
        Ok(Pod { ip, pid: pid("app").context("its process")?, sidecar: pid(SIDECAR) })
    }

    /// The folder of the authority, as the control plane sees it.
    pub(crate) fn authority(&self) -> anyhow::Result<PathBuf> {
        let control = list(&self.status, "system").find(|s| s["name"] == "leno-control").context("leno-control")?;
        let pid = control["pid"].as_u64().context("leno-control does not run")?;
        let state = self.folder.path().join("state").canonicalize()?;
        Ok(PathBuf::from(format!("/proc/{pid}/root{}/run/ca", state.display())))
    }

    /// So that a benchmark that is interrupted leaves nothing behind either.
    fn end_with_signals(&self) -> anyhow::Result<()> {
        let mut down = self.leno(&["local", "down"]);
        let runtime = crate::runtime()?;
        let (mut interrupt, mut terminate) = runtime
            .block_on(async { anyhow::Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)) })?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            let _ = down.output();
            std::process::exit(INTERRUPTED);
        });
        Ok(())
    }

    fn leno(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.leno);
        command.args(arguments).env("LENO_STATE", self.folder.path().join("state")).stdin(Stdio::null());
        command
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = self.leno(&["local", "down"]).output();
    }
}

impl Pod {
    /// A command in the pod's network, with the files (and `/proc`) of this machine.
    pub(crate) fn in_network(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "-n", "--", program]);
        command
    }

    /// A command in the pod: its network, and its names.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "-n", "-m", "--", program]);
        command
    }
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

/// STRICT, and a VirtualService with a timeout and retries: what people have.
fn objects(me: &str) -> String {
    let idle = r#"["sleep", "100000"]"#;
    let echo = format!(r#"[{me:?}, "echo", "0.0.0.0:{APP}"]"#);
    [
        "apiVersion: v1
kind: Namespace
metadata: {name: bench, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: peers}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: bench}
spec: {mtls: {mode: STRICT}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: bench}
spec:
  hosts: [web]
  http:
  - route: [{destination: {host: web}}]
    timeout: 300s
    retries: {attempts: 2, retryOn: '5xx,reset,connect-failure'}
"
        .to_owned(),
        format!(
            "---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: bench}}
spec:
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: {APP}}}, {{name: http2, port: 81, targetPort: {APP}}}]
"
        ),
        deployment("bench", "load", idle),
        deployment("bench", "web", &echo),
        deployment("peers", "peer-client", idle),
        deployment("peers", "peer-server", &echo),
    ]
    .concat()
}

/// A workload of one pod, with an identity of its own; `command` as a YAML list.
pub(crate) fn deployment(namespace: &str, name: &str, command: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}, version: v1}}}}
    spec:
      serviceAccountName: {name}
      terminationGracePeriodSeconds: 1
      containers: [{{name: app, image: bench, command: {command}}}]
"
    )
}

/// The application's port, in every pod that has one.
pub(crate) const APP: u16 = 8080;
/// As a shell says it of a program that was interrupted.
const INTERRUPTED: i32 = 130;
const SIDECAR: &str = "istio-proxy";
