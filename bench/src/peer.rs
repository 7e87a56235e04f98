//! The peers, as their users would set them up for speed: one thread each, connections used again, nothing logged.

pub(crate) mod envoy;
pub(crate) mod haproxy;
pub(crate) mod nginx;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Where a pair of proxies listens, and what is behind it.
pub(crate) struct Place<'a> {
    /// For configurations and certificates.
    pub(crate) folder: &'a Path,
    /// The server's pod, as the client's reaches it.
    pub(crate) server: &'a str,
    /// The application's port, on the loopback of the server's pod.
    pub(crate) app: u16,
}

impl Place<'_> {
    fn write(&self, name: &str, text: &str) -> std::io::Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text).map(|()| path)
    }
}

/// One certificate that signs itself, for both ends of every peer: key and certificate in one file.
pub(crate) fn certificate(folder: &Path) -> anyhow::Result<PathBuf> {
    let (key, cert, both) = (folder.join("peer.key"), folder.join("peer.crt"), folder.join("peer.pem"));
    if both.exists() {
        return Ok(both);
    }
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=web", "-addext", "subjectAltName=DNS:web", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .context("running openssl")?;
    anyhow::ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(&both, format!("{}{}", std::fs::read_to_string(&cert)?, std::fs::read_to_string(&key)?))?;
    Ok(both)
}
