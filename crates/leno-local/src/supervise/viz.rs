//! leno-viz's identity on this machine: what its ServiceAccount token and the mesh's roots are in a cluster.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leno_core::id::SpiffeId;
use leno_core::names::{CONTROL_HOSTS, SYSTEM_NAMESPACE, TOKEN_AUDIENCE, VIZ_ACCOUNT, port};
use leno_identity::TokenRequest;

use crate::pod::Machine;

/// Keeps its token fresh for as long as the mesh runs; the flags that tell leno-viz of it.
pub(super) fn start(machine: &Arc<Machine>) -> Vec<String> {
    let folder = machine.state.run().join("viz");
    let (token, roots) = (folder.join("token"), folder.join("root-cert.pem"));
    // Once before leno-viz starts.
    refresh(machine, &folder, &token, &roots);
    let flags = [
        format!("--identity={}", SpiffeId::new("cluster.local", SYSTEM_NAMESPACE, VIZ_ACCOUNT)),
        format!("--authority=127.0.0.1:{}", port::CONTROL_TLS),
        format!("--authority-name={}", CONTROL_HOSTS[0]),
        format!("--token-file={}", token.display()),
        format!("--root-cert-file={}", roots.display()),
    ];
    let machine = Arc::clone(machine);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LIFE / 2).await;
            refresh(&machine, &folder, &token, &roots);
        }
    });
    flags.to_vec()
}

fn refresh(machine: &Machine, folder: &Path, token: &Path, roots: &Path) {
    let request = TokenRequest {
        namespace: SYSTEM_NAMESPACE,
        account: VIZ_ACCOUNT,
        pod: VIZ_ACCOUNT,
        pod_uid: VIZ_ACCOUNT,
        audience: TOKEN_AUDIENCE,
    };
    let written = machine.tokens.issue(request, SystemTime::now(), LIFE).map_err(|e| e.to_string()).and_then(|text| {
        let all = || {
            fs::create_dir_all(folder)?;
            write(token, &text)?;
            write(roots, &machine.root_pem)
        };
        all().map_err(|e| e.to_string())
    });
    if let Err(error) = written {
        tracing::error!("leno-viz gets no token, so that requests cannot be tapped by the dashboard: {error}");
    }
}

/// Replaced whole, and for nobody else to read.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    fs::rename(fresh, path)
}

const LIFE: Duration = Duration::from_secs(3600);
