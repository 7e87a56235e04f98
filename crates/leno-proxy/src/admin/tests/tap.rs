//! Who may tap over the network: leno-viz by its certificate, and nobody else.

use std::time::Instant;

use leno_core::names::alpn;
use leno_identity::{Expected, tls};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::*;

const VIZ: (&str, &str) = ("leno-system", "leno-viz");

#[tokio::test]
async fn leno_viz_taps_over_mutual_tls() {
    let mesh = Mesh::start().await;
    let begin = mesh.tap(&mesh.authority, VIZ).await.expect("an answer");
    assert!(begin.starts_with("HTTP/1.1 200"), "{begin}");
    assert!(mesh.servers.app.telemetry.logs_all(), "requests are kept from now on");
    mesh.servers.app.telemetry.request(&RequestRecord::new(Direction::Inbound), Instant::now());
    let answer = mesh.secured(&mesh.authority, VIZ, "/leno/v1/tap?from=0").await.expect("an answer");
    assert!(answer.contains("\"next\":1") && answer.contains("\"requests\":[{"), "{answer}");
}

#[tokio::test]
async fn nobody_else_does() {
    let mesh = Mesh::start().await;
    for other in [("shop", "web"), ("shop", "leno-viz"), ("leno-system", "default"), ("leno-system", "leno-control")] {
        let answer = mesh.tap(&mesh.authority, other).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 403"), "{other:?}: {answer}");
        assert!(answer.contains(other.1) && !answer.contains("next"), "it is told who it is: {answer}");
    }
    let (status, text) = ask(mesh.servers.status, "GET", "/leno/v1/tap").await;
    assert_eq!(status, 403, "plaintext: {text}");
    let foreign = Authority::generate("cluster.local").unwrap();
    assert!(mesh.tap(&foreign, VIZ).await.is_err(), "an authority that is not the mesh's");
    let elsewhere = Authority::generate("other.domain").unwrap();
    assert!(mesh.tap(&elsewhere, VIZ).await.is_err(), "another trust domain");
    assert!(!mesh.servers.app.telemetry.logs_all(), "nothing is kept for them");
}

#[tokio::test]
async fn other_ports_do_not_speak_tls() {
    let mesh = Mesh::start().await;
    for port in [mesh.servers.admin, mesh.servers.health, mesh.servers.metrics] {
        assert!(mesh.talk(&mesh.authority, VIZ, port, "/leno/v1/tap").await.is_err());
    }
}

struct Mesh {
    authority: Authority,
    servers: Servers,
}

impl Mesh {
    async fn start() -> Self {
        let authority = Authority::generate("cluster.local").unwrap();
        let svid = authority.issue(&SpiffeId::new("cluster.local", "shop", "web"), HOUR).unwrap();
        let identity = Identity::fixed(svid, authority.roots().clone()).unwrap();
        Self { authority, servers: Servers::start(identity).await }
    }

    async fn tap(&self, authority: &Authority, who: (&str, &str)) -> std::io::Result<String> {
        self.secured(authority, who, "/leno/v1/tap").await
    }

    async fn secured(&self, authority: &Authority, who: (&str, &str), path: &str) -> std::io::Result<String> {
        self.talk(authority, who, self.servers.status, path).await
    }

    async fn talk(
        &self,
        authority: &Authority,
        (namespace, account): (&str, &str),
        port: SocketAddr,
        path: &str,
    ) -> std::io::Result<String> {
        let id = SpiffeId::new(authority.trust_domain(), namespace, account);
        let svid = authority.issue(&id, HOUR).unwrap();
        let roots = self.authority.roots();
        // The proxy's own domain is what matters to its client, whoever that is.
        let expected = Expected::Names(vec!["spiffe://cluster.local/ns/shop/sa/web".to_owned()]);
        let config = tls::client_config(&svid, roots, expected, &[alpn::HTTP_1_1]).unwrap();
        let stream = TcpStream::connect(port).await?;
        let name = ServerName::from(port.ip());
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        if answer.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
    }
}

const HOUR: Duration = Duration::from_secs(3600);
