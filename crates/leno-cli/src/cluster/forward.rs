//! A port of a pod through the API server (`pods/portforward`): reaches the pod's loopback too, and needs no way to its node.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::{Cluster, error};

/// A connection to a port of a pod.
pub(crate) struct PodStream {
    stream: DuplexStream,
    /// What the kubelet says when the port cannot be reached: it comes after the connection seemed open.
    failure: Option<Failure>,
    read_any: bool,
    _forwarder: Portforwarder,
}

type Failure = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

impl Cluster {
    /// Connects to a port inside a pod.
    ///
    /// # Errors
    /// When the pod is not there or the server refuses. That nobody listens there shows as an error of the first read.
    pub(crate) async fn port_forward(&self, namespace: &str, pod: &str, port: u16) -> anyhow::Result<PodStream> {
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let opened = pods.portforward(pod, &[port]).await.map_err(|e| error::plain(&e));
        let mut forwarder = opened.with_context(|| format!("port {port} of pod {namespace}/{pod}"))?;
        let stream = forwarder.take_stream(port).context("the port-forward has no stream")?;
        let failure = forwarder.take_error(port).map(|f| Box::pin(f) as Failure);
        Ok(PodStream { stream, failure, read_any: false, _forwarder: forwarder })
    }
}

impl AsyncRead for PodStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before || buf.remaining() == 0 {
            self.read_any = true;
            return Poll::Ready(Ok(()));
        }
        // An end before the first byte is most often a failure, and its reason is on the other channel.
        if !self.read_any
            && let Some(failure) = &mut self.failure
        {
            let said = ready!(failure.as_mut().poll(cx));
            self.failure = None;
            if let Some(text) = said {
                return Poll::Ready(Err(io::Error::other(text.trim().to_owned())));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PodStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
