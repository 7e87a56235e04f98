//! What a new connection with mutual TLS costs the server's proxy: each carries one request, since that is what tells that
//! it was accepted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use leno_core::id::SpiffeId;
use leno_identity::tls::Unverified;
use leno_identity::{Authority, tls};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::mesh::Pod;
use super::pair::Pair;
use crate::measure;

/// Where to, and who asks.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The server's proxy.
    #[arg(long)]
    to: String,
    /// Certificate and key in one file.
    #[arg(long)]
    pem: Option<PathBuf>,
    /// Folder of an authority that issues a certificate.
    #[arg(long, conflicts_with = "pem")]
    authority: Option<PathBuf>,
    /// The application protocol.
    #[arg(long)]
    alpn: String,
    /// For how long.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Whether sessions are resumed.
    #[arg(long)]
    resume: bool,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handshakes {
    /// New connections per second, one after the other.
    pub(crate) rate: f64,
    /// Microseconds of the server's proxy for each.
    pub(crate) cpu: f64,
    /// Share that was resumed.
    pub(crate) resumed: f64,
}

/// Full handshakes, then with resumption wherever the server offers it.
pub(crate) fn measure(pair: &Pair, outside: &Pod) -> anyhow::Result<[Handshakes; 2]> {
    let (Some(tls), Some(pid)) = (&pair.tls, pair.proxies.get(1)) else { anyhow::bail!("{} has no TLS", pair.name) };
    let me = std::env::current_exe()?.display().to_string();
    let mut seen = [Handshakes::default(); 2];
    for (resume, seen) in [false, true].into_iter().zip(&mut seen) {
        // From a pod without a sidecar, which would take the connection for the application's.
        let mut command = outside.in_network(&me);
        command.args(["handshakes", "--to", &tls.to, "--alpn", tls.alpn]).args(&tls.certificate);
        if resume {
            command.arg("--resume");
        }
        let before = measure::cpu(*pid)?;
        let output = command.output()?;
        let after = measure::cpu(*pid)?;
        anyhow::ensure!(output.status.success(), "{}: {}", pair.name, String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = said.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [count, resumed, seconds] = numbers[..] else { anyhow::bail!("{}: {said}", pair.name) };
        let cpu = after.user + after.system - before.user - before.system;
        *seen = Handshakes { rate: count / seconds, cpu: cpu / count, resumed: resumed / count };
    }
    Ok(seen)
}

/// Opens connections, and says how many, how many of them were resumed, and in which time.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let connector = TlsConnector::from(Arc::new(config(options)?));
    crate::runtime()?.block_on(async {
        let start = Instant::now();
        let (mut count, mut resumed) = (0_u32, 0_u32);
        while start.elapsed() < Duration::from_secs(options.seconds) {
            let stream = TcpStream::connect(&options.to).await.context("connecting")?;
            stream.set_nodelay(true)?;
            let mut stream = connector.connect(ServerName::try_from("web")?, stream).await.context("the handshake")?;
            resumed += u32::from(stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed));
            stream.write_all(b"GET / HTTP/1.1\r\nHost: web.bench\r\n\r\n").await?;
            let mut answer = [0; 4096];
            let n = stream.read(&mut answer).await.context("reading the answer")?;
            let line = answer.get(..n.min(12)).unwrap_or_default();
            anyhow::ensure!(line == b"HTTP/1.1 200", "{}", String::from_utf8_lossy(line));
            count += 1;
        }
        println!("{count} {resumed} {}", start.elapsed().as_secs_f64());
        Ok(())
    })
}

fn config(options: &Options) -> anyhow::Result<ClientConfig> {
    let key = match (&options.pem, &options.authority) {
        (Some(pem), _) => Arc::new(from_pem(pem)?),
        (None, Some(folder)) => {
            let authority = Authority::load(folder, "cluster.local")?;
            let id = SpiffeId::new("cluster.local", "bench", "load");
            Arc::clone(authority.issue(&id, Duration::from_secs(3600))?.certified())
        }
        (None, None) => anyhow::bail!("--pem or --authority is needed"),
    };
    let mut config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        // Whom it reached does not matter: only the server's work is measured.
        .with_custom_certificate_verifier(Arc::new(Unverified))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![options.alpn.clone().into_bytes()];
    config.resumption = if options.resume { Resumption::in_memory_sessions(16) } else { Resumption::disabled() };
    Ok(config)
}

fn from_pem(path: &Path) -> anyhow::Result<CertifiedKey> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(path)?;
    let key = tls::provider().key_provider.load_private_key(key)?;
    Ok(CertifiedKey::new(chain, key))
}
