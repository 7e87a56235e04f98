//! One sidecar that is tapped, over one connection that is kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use leno_core::tap::Taps;
use leno_identity::peer_identity;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::window::ProxyId;

/// A sidecar and how far it was read.
#[derive(Debug)]
pub(super) struct Sidecar {
    pub(super) id: ProxyId,
    address: SocketAddr,
    next: Option<u64>,
    open: Option<Open>,
    /// Why it did not answer, since it last did.
    pub(super) problem: Option<String>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Empty<Bytes>>,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sidecar {
    pub(super) const fn new(id: ProxyId, address: SocketAddr) -> Self {
        Self { id, address, next: None, open: None, problem: None }
    }

    /// What ended since the last time, or nothing where it does not answer.
    pub(super) async fn fetch(&mut self, config: &Arc<ClientConfig>, headers: bool) -> Taps {
        let asked = tokio::time::timeout(PATIENCE, self.ask(config, headers)).await;
        match asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}"))) {
            Ok(taps) => {
                (self.next, self.problem) = (Some(taps.next), None);
                taps
            }
            Err(why) => {
                (self.open, self.problem) = (None, Some(why));
                Taps::default()
            }
        }
    }

    async fn ask(&mut self, config: &Arc<ClientConfig>, headers: bool) -> Result<Taps, String> {
        if self.open.as_ref().is_none_or(|open| open.sender.is_closed()) {
            self.open = Some(connect(config, self.address, &self.id.namespace).await?);
        }
        let Some(open) = &mut self.open else { return Err("no connection".to_owned()) };
        let from = self.next.map(|next| format!("&from={next}")).unwrap_or_default();
        let path = format!("/leno/v1/tap?headers={}{from}", u8::from(headers));
        let request =
            Request::get(path).header(header::HOST, "sidecar").body(Empty::new()).map_err(|e| e.to_string())?;
        let answer = open.sender.send_request(request).await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await.map_err(|e| e.to_string())?.to_bytes();
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|e| format!("its answer: {e}")),
            StatusCode::NOT_FOUND => Err("its version has no tap for leno-viz: restart the pod".to_owned()),
            status => Err(format!("{status}: {}", String::from_utf8_lossy(&body).trim())),
        }
    }
}

async fn connect(config: &Arc<ClientConfig>, address: SocketAddr, namespace: &str) -> Result<Open, String> {
    let words = |e: std::io::Error| e.to_string();
    let stream = TcpStream::connect(address).await.map_err(words)?;
    let name = ServerName::from(address.ip());
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(words)?;
    let peer = peer_identity(stream.get_ref().1.peer_certificates().unwrap_or_default()).map_err(|e| e.to_string())?;
    // An address may have gone to somebody else's pod meanwhile.
    if peer.namespace != namespace {
        return Err(format!("{address} is {peer}, not of namespace {namespace}"));
    }
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let task = tokio::spawn(async move {
        // Told by the next request.
        let _ = connection.await;
    });
    Ok(Open { sender, task })
}

/// For one answer, connecting included.
const PATIENCE: Duration = Duration::from_secs(2);
/// A sidecar keeps 1,024 requests, with headers up to some 20 KiB each.
const MAX_BODY: usize = 32 * 1024 * 1024;
