//! The aggregated discovery service: one task for each proxy, between its stream and the hub.

use std::collections::VecDeque;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures::{Stream, StreamExt};
use leno_kit::Drain;
use leno_xds::client::Node;
use leno_xds::proto::discovery::aggregated_discovery_service_server::AggregatedDiscoveryService;
use leno_xds::proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse};
use leno_xds::server::{Handled, RequestError, Settled};
use leno_xds::wire::ResourceKind;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::auth::{Authenticator, Caller};
use super::proxies::{Listed, Proxies, Proxy};
use crate::hub::Hub;
use crate::hub::interest::{Listener, News};
use crate::metrics::Trigger;

#[cfg(test)]
mod tests;

/// Responses that wait for a slow proxy before its task does.
const QUEUE: usize = 8;
/// Pushes that a proxy may leave unanswered before the oldest counts in no statistics.
const MAX_IN_FLIGHT: usize = 1024;

/// The service.
#[derive(Clone, Debug)]
pub struct Ads {
    /// What is in force.
    pub hub: Arc<Hub>,
    /// Knows the callers.
    pub auth: Authenticator,
    /// Lists them.
    pub proxies: Arc<Proxies>,
    /// Ends their streams.
    pub drain: Drain,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("leno-control speaks the delta variant of xDS: DeltaAggregatedResources"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let caller = self.auth.check(&request, &self.hub.metrics).await?;
        let (responses, outbox) = mpsc::channel(QUEUE);
        let stream = ProxyStream { ads: self.clone(), responses, in_flight: VecDeque::new() };
        tokio::spawn(stream.run(caller, request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }
}

struct ProxyStream {
    ads: Ads,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    /// Nonces of pushes, and when the source learned of what they hold.
    in_flight: VecDeque<(ResourceKind, String, Instant)>,
}

impl ProxyStream {
    async fn run(mut self, caller: Caller, mut requests: Streaming<DeltaDiscoveryRequest>) {
        let drain = self.ads.drain.clone();
        let end = tokio::select! {
            end = self.serve(&caller, &mut requests) => end,
            () = drain.started() => Err(Status::unavailable("the control plane is shutting down")),
        };
        if let Err(status) = end {
            // The proxy may be gone already.
            let _ = self.responses.send(Err(status)).await;
        }
    }

    /// Serves until the proxy goes (`Ok`) or must be sent away.
    async fn serve(&mut self, caller: &Caller, requests: &mut Streaming<DeltaDiscoveryRequest>) -> Result<(), Status> {
        let Some(Ok(first)) = requests.next().await else { return Ok(()) };
        let node = identify(&first, caller)?;
        self.same_pod(&node, caller)?;
        tracing::info!(pod = node.pod, namespace = node.namespace, version = node.version, "a proxy connected");
        let proxy = Connected::new(&self.ads.hub, &self.ads.proxies, Proxy::new(node));
        let end = async {
            self.on_request(&proxy, &first).await?;
            loop {
                tokio::select! {
                    // Endpoints that went away before the next question about them.
                    biased;
                    news = proxy.listener.news() => self.on_news(&proxy, &news).await?,
                    request = requests.next() => match request {
                        Some(Ok(request)) => self.on_request(&proxy, &request).await?,
                        Some(Err(_)) | None => return Ok(()),
                    },
                }
            }
        }
        .await;
        tracing::info!(pod = proxy.node.pod, namespace = proxy.node.namespace, "a proxy disconnected");
        end
    }

    /// A token outlives its pod by the time for which its review is remembered: another pod of that name is another.
    fn same_pod(&self, node: &Node, caller: &Caller) -> Result<(), Status> {
        let Some(uid) = &caller.pod_uid else { return Ok(()) };
        let state = self.ads.hub.state();
        let known = state.world.pods().get(&node.namespace, &node.pod).map(|p| p.facts.uid.as_str());
        match known.filter(|k| !k.is_empty() && k != uid) {
            None => Ok(()),
            // The control plane may be the one that is late: asked again, it will know.
            Some(known) => Err(Status::unavailable(format!(
                "the token is of the pod {}.{} with uid {uid}, but the one known by that name has uid {known}",
                node.pod, node.namespace
            ))),
        }
    }

    async fn on_request(&mut self, proxy: &Connected, request: &DeltaDiscoveryRequest) -> Result<(), Status> {
        let begun = Instant::now();
        let handled = proxy.on_request(request, &self.ads.hub);
        match handled {
            Ok(handled) => {
                if let Some(settled) = handled.settled {
                    self.settle(proxy, &settled);
                }
                if !handled.responses.is_empty() {
                    self.ads.hub.metrics.triggered(Trigger::Request);
                }
                self.send(handled.responses, begun, None).await
            }
            Err(error @ RequestError::UnknownType(_)) => {
                // A newer proxy can do without, or waits; its other subscriptions go on.
                tracing::warn!(pod = proxy.node.pod, %error, "a request is ignored");
                Ok(())
            }
            Err(error @ RequestError::TooMuch) => Err(Status::resource_exhausted(error.to_string())),
        }
    }

    async fn on_news(&mut self, proxy: &Proxy, news: &News) -> Result<(), Status> {
        let begun = Instant::now();
        let snapshot = self.ads.hub.snapshot();
        let responses = if news.everything {
            proxy.session().resync(&snapshot)
        } else {
            proxy.session().on_change(&news.names, &snapshot)
        };
        self.send(responses, begun, Some(news.at)).await
    }

    /// `begun`: when they were begun to be made. `at`: when the source learned of what is in them, for changes.
    async fn send(
        &mut self,
        responses: Vec<DeltaDiscoveryResponse>,
        begun: Instant,
        at: Option<Instant>,
    ) -> Result<(), Status> {
        for response in responses {
            let kind = ResourceKind::from_type_url(&response.type_url);
            let bytes = response.resources.iter().filter_map(|r| r.resource.as_ref()).map(|r| r.value.len()).sum();
            if let (Some(kind), Some(at)) = (kind, at) {
                if self.in_flight.len() >= MAX_IN_FLIGHT {
                    self.in_flight.pop_front();
                }
                self.in_flight.push_back((kind, response.nonce.clone(), at));
            }
            if self.responses.send(Ok(response)).await.is_err() {
                return Err(Status::cancelled("the proxy is gone"));
            }
            if let Some(kind) = kind {
                self.ads.hub.metrics.pushed(kind, bytes, begun.elapsed());
            }
        }
        Ok(())
    }

    fn settle(&mut self, proxy: &Proxy, settled: &Settled) {
        let metrics = &self.ads.hub.metrics;
        let is_it =
            |(kind, nonce, _): &(ResourceKind, String, Instant)| *kind == settled.kind && *nonce == settled.nonce;
        if let Some(at) = self.in_flight.iter().position(is_it) {
            // The proxy answers in order: what came before and was never answered will not be.
            if let Some((_, _, since)) = self.in_flight.drain(..=at).next_back()
                && settled.refused.is_empty()
            {
                metrics.converged(since.elapsed());
            }
        }
        if !settled.refused.is_empty() {
            metrics.rejected(settled.kind);
        }
        for (name, reason) in &settled.refused {
            tracing::error!(pod = proxy.node.pod, namespace = proxy.node.namespace, resource = %format_args!("{} {name}", settled.kind), %reason, "a proxy refused a resource");
        }
    }
}

/// A proxy with its place among those that are connected and among those that hear of changes; it gives both up when dropped.
struct Connected {
    proxy: Arc<Proxy>,
    listener: Listener,
    _listed: Listed,
}

impl Connected {
    fn new(hub: &Hub, proxies: &Arc<Proxies>, proxy: Proxy) -> Self {
        let proxy = Arc::new(proxy);
        Self { listener: hub.listen(), _listed: proxies.enter(Arc::clone(&proxy)), proxy }
    }

    fn on_request(&self, request: &DeltaDiscoveryRequest, hub: &Hub) -> Result<Handled, RequestError> {
        let mut session = self.session();
        // What is refused leaves nothing behind: what is heard of is what the session holds, and is given up with it.
        let kind = session.admit(request)?;
        // Before the snapshot is read: what changes in between is heard of.
        self.listener.forget(kind, request.resource_names_unsubscribe.iter().map(String::as_str));
        let keys = self.listener.want(kind, request.resource_names_subscribe.iter().map(String::as_str));
        Ok(session.take(kind, request, keys, &hub.snapshot()))
    }
}

impl Deref for Connected {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let session = self.proxy.session();
        for kind in ResourceKind::ALL {
            self.listener.forget(kind, session.wanted(kind));
        }
    }
}

/// The node that the first request names, which must be the caller.
fn identify(first: &DeltaDiscoveryRequest, caller: &Caller) -> Result<Node, Status> {
    let caller = &caller.identity;
    let node = first.node.as_ref().ok_or_else(|| Status::invalid_argument("the first request names no node"))?;
    let node = Node::from_proto(node)
        .ok_or_else(|| Status::invalid_argument("the node's id is not of the form POD.NAMESPACE"))?;
    let pod_fits = caller.pod.as_ref().is_none_or(|pod| *pod == node.pod);
    if node.namespace != caller.namespace || !pod_fits {
        let pod = caller.pod.as_deref().unwrap_or("*");
        return Err(Status::permission_denied(format!(
            "the node is {}.{}, but its token is for {pod}.{}",
            node.pod, node.namespace, caller.namespace
        )));
    }
    Ok(node)
}
