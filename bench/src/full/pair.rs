//! The pairs of proxies.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::Options;
use super::mesh::{APP, Mesh, Pod};
use crate::measure;
use crate::net::Running;
use crate::peer::envoy::Middle;
use crate::peer::{self, Place, envoy, haproxy, nginx};

/// Two proxies with what leads to them.
pub(crate) struct Pair {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Where the load runs.
    pub(crate) client: Pod,
    /// `host:port` for HTTP/1.1 and for h2c.
    pub(crate) http1: String,
    pub(crate) http2: String,
    /// The client's proxy, then the server's.
    pub(crate) proxies: Vec<u32>,
    /// Where the server's proxy takes mutual TLS.
    pub(crate) tls: Option<Tls>,
    /// A file with a message of gRPC.
    pub(crate) message: PathBuf,
    /// Ends them.
    _running: Vec<Running>,
}

/// What it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No proxy.
    None,
    /// Bytes, no TLS.
    L4,
    /// HTTP, mutual TLS between.
    L7,
    /// That, and ours.
    Leno,
}

/// How to open a connection with mutual TLS.
pub(crate) struct Tls {
    pub(crate) to: String,
    pub(crate) alpn: &'static str,
    /// Arguments that say which certificate to show.
    pub(crate) certificate: [String; 2],
}

impl Pair {
    /// Whether it has mutual TLS and knows HTTP.
    pub(crate) const fn is_l7(&self) -> bool {
        matches!(self.kind, Kind::L7 | Kind::Leno)
    }

    /// So that connections and certificates are there before anything is measured.
    pub(crate) fn wait_until_it_answers(&self) -> anyhow::Result<()> {
        for (flag, place) in [("--http1.1", &self.http1), ("--http2-prior-knowledge", &self.http2)] {
            let curl = || self.client.command("curl");
            measure::until_answered(curl, &[flag], &format!("http://{place}/"), Duration::from_secs(20))
                .with_context(|| self.name)?;
        }
        Ok(())
    }
}

/// Starts all of them.
pub(crate) fn start_all(mesh: &Mesh, options: &Options) -> anyhow::Result<Vec<Pair>> {
    let (near, far) = (mesh.pod("peer-client")?, mesh.pod("peer-server")?);
    let client = |program: &str| near.command(program);
    let server = |program: &str| far.command(program);
    let place = Place { folder: mesh.folder(), server: &far.ip, app: APP };
    let message = message(mesh)?;
    let peer = |name, kind, ports: [(u16, u16); 2], running: Vec<Running>| -> anyhow::Result<Pair> {
        let pem = peer::certificate(place.folder)?;
        let tls = Tls {
            to: format!("{}:{}", far.ip, ports[0].1),
            alpn: "http/1.1",
            certificate: ["--pem".to_owned(), pem.display().to_string()],
        };
        Ok(Pair {
            name,
            kind,
            client: near.clone(),
            http1: format!("127.0.0.1:{}", ports[0].0),
            http2: format!("127.0.0.1:{}", ports[1].0),
            proxies: running.iter().map(|r| r.0.id()).collect(),
            tls: (kind == Kind::L7).then_some(tls),
            message: message.clone(),
            _running: running,
        })
    };
    let envoy = |middle| -> anyhow::Result<Vec<Running>> {
        let program = options.envoy.display().to_string();
        Ok(envoy::start_pair(&program, middle, &place, &client, &server)?.into())
    };
    let direct = format!("{}:{APP}", far.ip);
    Ok(vec![
        Pair {
            name: "no proxy",
            kind: Kind::None,
            client: near.clone(),
            http1: direct.clone(),
            http2: direct,
            proxies: Vec::new(),
            tls: None,
            message: message.clone(),
            _running: Vec::new(),
        },
        peer("nginx L4", Kind::L4, [nginx::PORTS; 2], nginx::start_pair(&place, &client, &server)?.into())?,
        peer(HAPROXY, Kind::L7, haproxy::PORTS, haproxy::start_pair(&place, &client, &server)?.into())?,
        peer(ENVOY_H1, Kind::L7, envoy::ports(Middle::Http1), envoy(Middle::Http1)?)?,
        peer(ENVOY_H2, Kind::L7, envoy::ports(Middle::Http2), envoy(Middle::Http2)?)?,
        leno(mesh)?,
    ])
}

/// A message of gRPC.
fn message(mesh: &Mesh) -> anyhow::Result<PathBuf> {
    let file = mesh.folder().join("message");
    std::fs::write(&file, [&[0, 0, 0, 0, 100][..], &[b'x'; 100]].concat())?;
    Ok(file)
}

/// The sidecars of `load` and `web`.
pub(crate) fn leno(mesh: &Mesh) -> anyhow::Result<Pair> {
    let message = message(mesh)?;
    let (near, far) = (mesh.pod("load")?, mesh.pod("web")?);
    let proxies: Vec<u32> = [near.sidecar, far.sidecar].into_iter().flatten().collect();
    anyhow::ensure!(proxies.len() == 2, "the pods have no sidecars");
    let tls = Tls {
        to: format!("{}:{APP}", far.ip),
        alpn: "istio-http/1.1",
        certificate: ["--authority".to_owned(), mesh.authority()?.display().to_string()],
    };
    Ok(Pair {
        name: LENO,
        kind: Kind::Leno,
        client: near,
        http1: "web.bench".to_owned(),
        http2: "web.bench:81".to_owned(),
        proxies,
        tls: Some(tls),
        message,
        _running: Vec::new(),
    })
}

pub(crate) const LENO: &str = "Leno";
pub(crate) const HAPROXY: &str = "HAProxy";
pub(crate) const ENVOY_H1: &str = "Envoy, h1";
pub(crate) const ENVOY_H2: &str = "Envoy, h2";
