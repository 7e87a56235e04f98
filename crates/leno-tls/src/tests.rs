//! Both ends in memory, each of ours and of tokio-rustls'.

mod foreign;
mod keys;
mod rules;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use leno_core::id::SpiffeId;
use leno_identity::tls::{ClientCert, client_config, provider, server_config};
use leno_identity::{Authority, Expected, Roots};
use rustls::{ClientConfig, ServerConfig, SupportedCipherSuite};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use crate::{Session, Stream, accept, connect};

/// A mesh's configurations for both ends.
pub(crate) struct Mesh {
    client: ClientConfig,
    server: ServerConfig,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let authority = Authority::generate("cluster.local").unwrap();
        let id = |account: &str| SpiffeId::new("cluster.local", "shop", account);
        let hour = Duration::from_secs(3600);
        let svid = |account: &str| authority.issue(&id(account), hour).unwrap();
        let (web, cart) = (svid("web"), svid("cart"));
        let roots = Roots::from_pem(&authority.roots_pem()).unwrap();
        let expected = Expected::AnyOf(vec![id("cart")]);
        Self {
            client: client_config(&web, &roots, expected, ALPN).unwrap(),
            server: server_config(&cart, &roots, ClientCert::Required, ALPN).unwrap(),
        }
    }

    /// The same, with one cipher suite alone.
    pub(crate) fn with_suite(mut self, suite: SupportedCipherSuite) -> Self {
        let mut only = (*provider()).clone();
        only.cipher_suites = vec![suite];
        let versions = [suite.version()];
        let resolver = Arc::clone(&self.server.cert_resolver);
        let server = ServerConfig::builder_with_provider(Arc::new(only)).with_protocol_versions(&versions).unwrap();
        self.server = server.with_no_client_auth().with_cert_resolver(resolver);
        self.server.enable_secret_extraction = true;
        self
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::new(self.client.clone())
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::new(self.server.clone())
    }

    /// Both ends of ours.
    pub(crate) async fn meet(&self) -> (End, End) {
        let (c, s) = tokio::io::duplex(PIPE);
        let (client, server) = tokio::join!(connect(self.client(), name(), c), accept(self.server(), s));
        (client.unwrap().0, server.unwrap().0)
    }
}

pub(crate) type End = Stream<DuplexStream>;

pub(crate) fn name() -> ServerName<'static> {
    ServerName::try_from("outbound_.80_._.cart.shop.svc.cluster.local").unwrap()
}

/// Sends `bytes` one way in writes of `size`, and reads them at the other end.
pub(crate) async fn carry<A, B>(from: &mut A, to: &mut B, bytes: &[u8], size: usize)
where
    A: AsyncWrite + Unpin,
    B: AsyncRead + Unpin,
{
    let write = async {
        for part in bytes.chunks(size) {
            from.write_all(part).await.unwrap();
        }
        from.flush().await.unwrap();
    };
    let read = async {
        let mut got = vec![0; bytes.len()];
        to.read_exact(&mut got).await.unwrap();
        assert!(got == bytes, "other bytes came out");
    };
    tokio::time::timeout(LONG, async { tokio::join!(write, read) }).await.expect("in time");
}

/// Bytes that no two places share.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap()).collect()
}

async fn rustls_server(mesh: &Mesh, io: DuplexStream) -> tokio_rustls::server::TlsStream<DuplexStream> {
    tokio_rustls::TlsAcceptor::from(mesh.server()).accept(io).await.unwrap()
}

async fn rustls_client(mesh: &Mesh, io: DuplexStream) -> tokio_rustls::client::TlsStream<DuplexStream> {
    tokio_rustls::TlsConnector::from(mesh.client()).connect(name(), io).await.unwrap()
}

#[tokio::test]
async fn bytes_come_out_as_they_went_in() {
    let mesh = Mesh::new();
    let (mut client, mut server) = mesh.meet().await;
    for size in [1, 100, 16_383, 16_384, 16_385, 70_000, 300_000] {
        let bytes = noise(size.max(1000) * 3);
        carry(&mut client, &mut server, &bytes, size).await;
        carry(&mut server, &mut client, &bytes, size).await;
    }
    for end in [&client, &server] {
        assert_eq!((end.held.capacity(), end.opened.len(), end.unsent.len()), (0, 0, 0), "buffers at rest");
    }
}

#[tokio::test]
async fn every_cipher_suite_is_understood_by_rustls() {
    for suite in &provider().cipher_suites {
        let rsa = format!("{:?}", suite.suite()).contains("RSA");
        if rsa {
            continue;
        }
        let mesh = Mesh::new().with_suite(*suite);
        let (c, s) = tokio::io::duplex(PIPE);
        let (client, mut theirs) = tokio::join!(connect(mesh.client(), name(), c), rustls_server(&mesh, s));
        let (mut client, _) = client.unwrap();
        carry(&mut client, &mut theirs, &noise(100_000), 20_000).await;
        carry(&mut theirs, &mut client, &noise(100_000), 20_000).await;

        let (c, s) = tokio::io::duplex(PIPE);
        let (mut theirs, server) = tokio::join!(rustls_client(&mesh, c), accept(mesh.server(), s));
        let (mut server, _) = server.unwrap();
        carry(&mut theirs, &mut server, &noise(100_000), 20_000).await;
        carry(&mut server, &mut theirs, &noise(100_000), 20_000).await;
    }
}

#[tokio::test]
async fn both_ends_know_each_other() {
    let mesh = Mesh::new();
    let (c, s) = tokio::io::duplex(PIPE);
    let (client, server) = tokio::join!(connect(mesh.client(), name(), c), accept(mesh.server(), s));
    let account = |session: &Session| leno_identity::peer_identity(&session.certificates).unwrap().account;
    let (of_server, of_client) = (client.unwrap().1, server.unwrap().1);
    assert_eq!((account(&of_server).as_str(), account(&of_client).as_str()), ("cart", "web"));
    assert_eq!((&of_server.alpn[..], &of_client.alpn[..]), (ALPN[0], ALPN[0]));
}

#[tokio::test]
async fn a_session_is_resumed() {
    let mesh = Mesh::new();
    let (client, server) = (mesh.client(), mesh.server());
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let (c, s) = tokio::io::duplex(PIPE);
        let met = tokio::join!(connect(Arc::clone(&client), name(), c), accept(Arc::clone(&server), s));
        let ((mut c, of_server), (mut s, of_client)) = (met.0.unwrap(), met.1.unwrap());
        // The session's ticket comes before the data.
        carry(&mut s, &mut c, b"hello", 5).await;
        assert_eq!(of_server.resumed, of_client.resumed);
        assert_eq!(leno_identity::peer_identity(&of_client.certificates).unwrap().account, "web");
        kinds.push(of_client.resumed);
    }
    assert_eq!(kinds, [false, true, true]);
}

#[tokio::test]
async fn a_handshake_in_single_bytes_with_data_right_behind_it() {
    let mesh = Mesh::new();
    // Nothing comes whole. The client's data lies behind its Finished.
    let (c, s) = tokio::io::duplex(PIPE);
    let (c, s) = (Drip(c), Drip(s));
    let client = async {
        let (mut client, _) = connect(mesh.client(), name(), c).await.unwrap();
        client.write_all(b"at once").await.unwrap();
        client.flush().await.unwrap();
        let mut got = [0; 2];
        client.read_exact(&mut got).await.unwrap();
        got
    };
    let server = async {
        let (mut server, _) = accept(mesh.server(), s).await.unwrap();
        let mut got = [0; 7];
        server.read_exact(&mut got).await.unwrap();
        server.write_all(b"ok").await.unwrap();
        server.flush().await.unwrap();
        got
    };
    let met = tokio::time::timeout(LONG, async { tokio::join!(client, server) }).await.expect("in time");
    assert_eq!((&met.0, &met.1), (b"ok", b"at once"));
}

/// A stream that gives one byte at a time.
struct Drip(DuplexStream);

impl AsyncRead for Drip {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut one = [0];
        let mut byte = ReadBuf::new(&mut one);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut byte))?;
        into.put_slice(byte.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Drip {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

const ALPN: &[&[u8]] = &[b"leno-h2"];
const PIPE: usize = 50_000;
const LONG: Duration = Duration::from_secs(20);
