//! A kube-apiserver with its etcd on free ports of the loopback interface: no node, no controllers.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::net::Running;

/// Version of Kubernetes that `make cluster` builds.
const VERSION: &str = "v1.37.2";
/// Its only user's token: nobody else hears of these ports.
const TOKEN: &str = "leno-bench";
/// For both programs to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where `make cluster` puts its programs, where they are there.
pub(crate) fn program() -> Option<PathBuf> {
    let cache = std::env::var_os("LENO_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/leno")))?;
    let version = std::env::var("LENO_KUBERNETES").unwrap_or_else(|_| VERSION.to_owned());
    let program = cache.join("kubernetes").join(version).join("kube-apiserver");
    program.exists().then_some(program)
}

/// Both programs; they end when it is dropped.
pub(crate) struct ApiServer {
    /// How to reach it.
    pub(crate) kubeconfig: PathBuf,
    /// Somebody who may do everything.
    pub(crate) client: Client,
    _running: [Running; 2],
}

impl ApiServer {
    /// Starts them with their files in `folder`.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let program = program().context("kube-apiserver is not built (make cluster builds it)")?;
        let [etcd_port, peer_port, port] = free_ports()?;
        let [etcd_url, peer_url] = [etcd_port, peer_port].map(|p| format!("http://127.0.0.1:{p}"));
        let etcd = program_of("etcd")
            // Nothing here must survive a power cut.
            .args(["--unsafe-no-fsync", "--name", "bench", "--log-level", "error", "--quota-backend-bytes", QUOTA])
            .args(["--listen-client-urls", &etcd_url, "--advertise-client-urls", &etcd_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("bench={peer_url}"), "--data-dir"])
            .arg(folder.join("etcd"))
            .stderr(fs::File::create(folder.join("etcd.log"))?)
            .spawn()
            .context("starting etcd (package etcd-server)")?;
        let etcd = Running(etcd);

        let keys = keys(folder)?;
        fs::write(folder.join("tokens.csv"), format!("{TOKEN},bench,bench,system:masters\n"))?;
        let apiserver = program_of(&program.display().to_string())
            .arg(format!("--etcd-servers={etcd_url}"))
            .args([&format!("--secure-port={port}"), "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .args([format!("--tls-cert-file={keys}.crt"), format!("--tls-private-key-file={keys}.key")])
            .arg(format!("--token-auth-file={}", folder.join("tokens.csv").display()))
            .args([
                format!("--service-account-key-file={keys}.key"),
                format!("--service-account-signing-key-file={keys}.key"),
            ])
            .args(["--service-account-issuer=https://kubernetes.default.svc.cluster.local"])
            .args(["--service-cluster-ip-range=10.96.0.0/12", "--authorization-mode=RBAC", "--profiling=false"])
            // There is no controller that would make the accounts of pods which it asks for.
            .args(["--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"])
            .stderr(fs::File::create(folder.join("kube-apiserver.log"))?)
            .spawn()
            .context("starting kube-apiserver")?;
        let kubeconfig = folder.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(port, &keys))?;
        let config = Kubeconfig::read_from(&kubeconfig)?;
        let client = Client::try_from(Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?)?;
        let server = Self { kubeconfig, client, _running: [Running(apiserver), etcd] };
        server.ready(folder).await?;
        Ok(server)
    }

    async fn ready(&self, folder: &Path) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            match self.client.request_text(request).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > until => {
                    let log = fs::read_to_string(folder.join("kube-apiserver.log")).unwrap_or_default();
                    let last: Vec<&str> = log.lines().rev().take(5).collect();
                    return Err(error).with_context(|| format!("kube-apiserver is not ready:\n{}", last.join("\n")));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// A program that ends with this one, however that ends.
pub(crate) fn program_of(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Ports that nobody has, at this moment.
pub(crate) fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// A key and its certificate, for TLS and for tokens; the path without `.key` and `.crt`.
fn keys(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join("apiserver").display().to_string();
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        // A client that trusts it takes it for a server's only if it is not an authority's.
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-keyout", &format!("{path}.key"), "-out", &format!("{path}.crt")])
        .output()
        .context("running openssl")?;
    anyhow::ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(path)
}

fn kubeconfig_text(port: u16, keys: &str) -> String {
    let (cluster, user) = (
        serde_json::json!({ "server": format!("https://localhost:{port}"), "certificate-authority": format!("{keys}.crt") }),
        serde_json::json!({ "token": TOKEN }),
    );
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "contexts": [{ "name": "bench", "context": { "cluster": "bench", "user": "bench" } }],
        "clusters": [{ "name": "bench", "cluster": cluster }],
        "users": [{ "name": "bench", "user": user }],
    })
    .to_string()
}

/// What etcd may hold, in bytes.
const QUOTA: &str = "4294967296";
