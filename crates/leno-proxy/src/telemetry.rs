//! What this proxy saw: Istio's standard metrics, the access log, and the samples of the live window.

pub mod record;

use std::sync::Arc;

use leno_core::Reason;
use leno_core::model::{MeshConfig, Workload};

pub use record::{HttpVersion, PeerInfo, ReqProtocol, RequestRecord, ServiceRef, TcpLabels};

/// The one sink of everything the data path reports. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    own: std::sync::Mutex<Arc<Workload>>,
}

impl Telemetry {
    /// Starts empty. `own` is what is known of this pod so far (namespace and pod name from the settings).
    #[must_use]
    pub fn new(own: Arc<Workload>) -> Self {
        Self { inner: Arc::new(Inner { own: std::sync::Mutex::new(own) }) }
    }

    /// Replaces what is known of this pod, once the control plane has told.
    pub fn set_own(&self, own: Arc<Workload>) {
        if let Ok(mut slot) = self.inner.own.lock() {
            *slot = own;
        }
    }

    /// Takes over the access log settings; call at every change of the mesh's settings.
    pub fn configure(&self, _mesh: &MeshConfig) {}

    /// Counts and logs one request.
    pub fn request(&self, _record: &RequestRecord) {}

    /// Counts one opaque connection as open; the guard counts its bytes and its end.
    #[must_use]
    pub fn tcp_open(&self, labels: TcpLabels) -> TcpGuard {
        TcpGuard { _telemetry: self.clone(), labels }
    }
}

/// An opaque connection while it is open. Dropping it without [`TcpGuard::close`] counts it as closed normally.
#[derive(Debug)]
pub struct TcpGuard {
    _telemetry: Telemetry,
    labels: TcpLabels,
}

impl TcpGuard {
    /// Bytes sent to the client (Istio's `istio_tcp_sent_bytes_total`: response direction).
    pub fn add_sent(&self, _bytes: u64) {}

    /// Bytes received from the client.
    pub fn add_received(&self, _bytes: u64) {}

    /// Learned after opening: which endpoint it reached and by which local address.
    pub fn set_upstream(&mut self, addr: std::net::SocketAddr, local: Option<std::net::SocketAddr>) {
        self.labels.upstream_addr = Some(addr);
        self.labels.upstream_local = local;
    }

    /// Counts the end. `detail` adds words for the log (the error's text); may be empty.
    pub fn close(self, _reason: Reason, _detail: &str) {}
}
