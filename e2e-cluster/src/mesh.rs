//! Leno installed on the cluster.

use std::time::Instant;

use crate::Cluster;

/// Where the control plane is installed.
pub const INSTALL_NAMESPACE: &str = "leno-system";

/// An installed mesh. It stays for the next scene; `scripts/e2e-cluster.sh` removes it at the end.
#[derive(Debug)]
pub struct Mesh {
    /// How long `leno install` took.
    pub seconds: f64,
}

impl Mesh {
    /// Installs Leno, or sees that it is installed and ready.
    ///
    /// # Panics
    /// Where `leno install` fails.
    #[must_use]
    pub fn installed(cluster: &Cluster) -> Self {
        let start = Instant::now();
        cluster.shell(&install_line(""));
        Self { seconds: start.elapsed().as_secs_f64() }
    }

    /// Removes what is there and installs Leno from nothing.
    ///
    /// # Panics
    /// Where a command fails.
    #[must_use]
    pub fn fresh(cluster: &Cluster) -> Self {
        Self::remove(cluster);
        Self::installed(cluster)
    }

    /// The flags of `leno install` that name the images under test.
    #[must_use]
    pub fn images() -> String {
        format!(" --set hub={} --set tag={}", hub(), tag())
    }

    /// Installs a further control plane beside it.
    ///
    /// # Panics
    /// Where `leno install` fails.
    pub fn revision(cluster: &Cluster, revision: &str) {
        cluster.shell(&install_line(&format!(" --revision {revision}")));
    }

    /// Removes Leno with all it left.
    ///
    /// # Panics
    /// Where `leno uninstall` fails.
    pub fn remove(cluster: &Cluster) {
        cluster.shell("leno uninstall --purge -y");
    }
}

/// The primer's line, with the images under test.
fn install_line(more: &str) -> String {
    format!("leno install --set profile=demo{} -y{more}", Mesh::images())
}

pub(crate) fn hub() -> String {
    std::env::var("LENO_HUB").unwrap_or_else(|_| "docker.io/leno".into())
}

pub(crate) fn tag() -> String {
    std::env::var("LENO_TAG").unwrap_or_else(|_| env!("CARGO_PKG_VERSION").into())
}
