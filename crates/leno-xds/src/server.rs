//! The control plane's half of delta xDS: what one proxy wants, what it has, what to send it next.
//!
//! No socket and no clock: requests and changes go in, responses come out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as Envelope};
use crate::proto::leno::Refusals;
use crate::proto::protobuf::Any;
use crate::proto::rpc;
use crate::snapshot::{Encoded, Snapshot, Version};
use crate::wire::{ResourceKind, ResourceName};

mod subscriptions;
#[cfg(test)]
mod tests;

use subscriptions::Subscriptions;

/// Names that one proxy may subscribe to, all kinds together; a limit for broken or hostile clients.
pub const MAX_SUBSCRIPTIONS: usize = 200_000;
/// Length of a name; Kubernetes' own limits stay below (two DNS labels of 63 and 253).
pub const MAX_NAME: usize = 512;
/// Responses of one kind that a proxy may leave unanswered before the oldest is forgotten.
const MAX_IN_FLIGHT: usize = 4096;
/// Size after which a response is cut and the rest goes into the next one. The gRPC library keeps a stream's last large
/// buffer for as long as the stream lives, so this bounds what every proxy's stream holds.
const RESPONSE_BYTES: usize = 16 << 10;

/// State of one proxy's stream.
#[derive(Debug, Default)]
pub struct DeltaSession {
    kinds: [KindState; ResourceKind::ALL.len()],
    last_nonce: u64,
}

/// What to do after a request.
#[derive(Debug, Default)]
pub struct Handled {
    /// To be sent, in order.
    pub responses: Vec<DeltaDiscoveryResponse>,
    /// The response that the request accepted or refused.
    pub settled: Option<Settled>,
}

/// A response that the proxy has dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Kind of its resources.
    pub kind: ResourceKind,
    /// Its nonce.
    pub nonce: String,
    /// `(key, reason)` of what the proxy refused; empty for an ACK.
    pub refused: Vec<(Arc<str>, String)>,
}

/// A request that cannot be served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    /// Of a kind this control plane does not know; the stream can go on without it.
    #[error("unknown resource type `{0}`")]
    UnknownType(String),
    /// Too much is asked for.
    #[error("more than {MAX_SUBSCRIPTIONS} subscriptions, or a name longer than {MAX_NAME} bytes")]
    TooMuch,
}

/// How far a proxy has come with one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindStatus {
    /// Names it wants.
    pub subscribed: usize,
    /// Resources and removals sent to it.
    pub sent: u64,
    /// Of these, those that it accepted or refused.
    pub acked: u64,
    /// Responses it has not answered yet.
    pub in_flight: usize,
    /// What it refused and has not accepted since: key and reason.
    pub refused: BTreeMap<Arc<str>, String>,
}

impl KindStatus {
    /// Whether it has accepted all that it was sent.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.in_flight == 0 && self.refused.is_empty()
    }
}

impl DeltaSession {
    /// Takes a request in.
    ///
    /// # Errors
    /// See [`RequestError`]; the session is as before.
    pub fn on_request(&mut self, req: &DeltaDiscoveryRequest, snapshot: &Snapshot) -> Result<Handled, RequestError> {
        let kind = self.admit(req)?;
        let keys = req.resource_names_subscribe.iter().map(|name| snapshot.share_key(kind, name)).collect();
        Ok(self.take(kind, req, keys, snapshot))
    }

    /// Takes a request in that was admitted as being about `kind`. `keys`: the names that it subscribes to, in its order, as
    /// all sessions share them.
    pub fn take(
        &mut self,
        kind: ResourceKind,
        req: &DeltaDiscoveryRequest,
        keys: Vec<Arc<str>>,
        snapshot: &Snapshot,
    ) -> Handled {
        let state = &mut self.kinds[kind.index()];
        let settled = state.settle(kind, &req.response_nonce, req.error_detail.as_ref());
        state.subscribed.remove(&req.resource_names_unsubscribe);
        for name in &req.resource_names_unsubscribe {
            state.refused.remove(name.as_str());
        }
        state.subscribed.put(keys.iter().map(|key| {
            // A name that is subscribed to again is asked for anew: the proxy has dropped what it had.
            let has = req.initial_resource_versions.get(&**key).and_then(|v| v.parse().ok());
            (Arc::clone(key), Subscription::new(has))
        }));
        Handled { responses: self.respond(kind, keys, snapshot), settled }
    }

    /// Whether a request can be served, and the kind that it is about.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn admit(&self, req: &DeltaDiscoveryRequest) -> Result<ResourceKind, RequestError> {
        let kind = ResourceKind::from_type_url(&req.type_url)
            .ok_or_else(|| RequestError::UnknownType(req.type_url.clone()))?;
        let subscribed: usize = self.kinds.iter().map(|k| k.subscribed.len()).sum();
        let names = &req.resource_names_subscribe;
        if subscribed + names.len() > MAX_SUBSCRIPTIONS || names.iter().any(|n| n.len() > MAX_NAME) {
            return Err(RequestError::TooMuch);
        }
        Ok(kind)
    }

    /// What the proxy wants of one kind.
    pub fn wanted(&self, kind: ResourceKind) -> impl Iterator<Item = &str> {
        self.kinds[kind.index()].subscribed.keys().map(|key| &**key)
    }

    /// What to send after `changed` took the values that they have in `snapshot`.
    pub fn on_change<'n>(
        &mut self,
        changed: impl IntoIterator<Item = &'n ResourceName>,
        snapshot: &Snapshot,
    ) -> Vec<DeltaDiscoveryResponse> {
        let mut wanted: [Vec<Arc<str>>; ResourceKind::ALL.len()] = Default::default();
        for name in changed {
            if let Some((key, _)) = self.kinds[name.kind.index()].subscribed.get(&name.key) {
                wanted[name.kind.index()].push(key.clone());
            }
        }
        ResourceKind::ALL.into_iter().zip(wanted).flat_map(|(kind, keys)| self.respond(kind, keys, snapshot)).collect()
    }

    /// What to send when it is not known what changed.
    pub fn resync(&mut self, snapshot: &Snapshot) -> Vec<DeltaDiscoveryResponse> {
        ResourceKind::ALL
            .into_iter()
            .flat_map(|kind| {
                let all = self.kinds[kind.index()].subscribed.keys().cloned().collect();
                self.respond(kind, all, snapshot)
            })
            .collect()
    }

    /// How far the proxy has come with `kind`.
    #[must_use]
    pub fn status(&self, kind: ResourceKind) -> KindStatus {
        let state = &self.kinds[kind.index()];
        KindStatus {
            subscribed: state.subscribed.len(),
            sent: state.sent,
            acked: state.acked,
            in_flight: state.in_flight.len(),
            refused: state.refused.clone(),
        }
    }

    /// Whether the proxy wants `name`.
    #[must_use]
    pub fn wants(&self, name: &ResourceName) -> bool {
        self.kinds[name.kind.index()].subscribed.get(&name.key).is_some()
    }

    /// Whether the proxy has accepted what `snapshot` says of `name`; `None` where it does not want it.
    #[must_use]
    pub fn lives_by(&self, name: &ResourceName, snapshot: &Snapshot) -> Option<bool> {
        let state = &self.kinds[name.kind.index()];
        let (_, subscription) = state.subscribed.get(&name.key)?;
        let newest = match snapshot.get(name) {
            Some(now) => subscription.has(now.version),
            None => subscription.sent == Sent::Absent,
        };
        Some(newest && subscription.unanswered == 0 && !state.refused.contains_key(&name.key))
    }

    /// Responses with those of `keys` that differ from what the proxy has.
    fn respond(&mut self, kind: ResourceKind, keys: Vec<Arc<str>>, snapshot: &Snapshot) -> Vec<DeltaDiscoveryResponse> {
        let state = &mut self.kinds[kind.index()];
        let mut responses = Vec::new();
        let mut draft = Draft::default();
        for key in keys {
            let Some(subscription) = state.subscribed.get_mut(&key) else { continue };
            match snapshot.get_key(kind, &key) {
                Some(now) if subscription.has(now.version) => continue,
                None if subscription.sent == Sent::Absent => continue,
                Some(now) => {
                    subscription.send(Sent::Present, now.version);
                    draft.add(kind, &key, now);
                }
                None => {
                    subscription.send(Sent::Absent, Version(0));
                    draft.remove(&key);
                }
            }
            if draft.bytes >= RESPONSE_BYTES {
                responses.push(state.send(kind, std::mem::take(&mut draft), &mut self.last_nonce));
            }
        }
        if !draft.keys.is_empty() {
            responses.push(state.send(kind, draft, &mut self.last_nonce));
        }
        responses
    }
}

#[derive(Debug, Default)]
struct KindState {
    subscribed: Subscriptions,
    in_flight: VecDeque<InFlight>,
    sent: u64,
    acked: u64,
    refused: BTreeMap<Arc<str>, String>,
}

/// There are as many as all proxies have subscriptions: 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Subscription {
    /// Of what was sent, where that is [`Sent::Present`].
    version: Version,
    /// Responses with this resource that the proxy has not answered yet.
    unanswered: u32,
    sent: Sent,
}

impl Subscription {
    /// `has`: the version that the proxy brings along.
    fn new(has: Option<Version>) -> Self {
        let sent = if has.is_some() { Sent::Present } else { Sent::Nothing };
        Self { version: has.unwrap_or(Version(0)), unanswered: 0, sent }
    }

    fn has(&self, version: Version) -> bool {
        self.sent == Sent::Present && self.version == version
    }

    const fn send(&mut self, sent: Sent, version: Version) {
        (self.sent, self.version) = (sent, version);
        self.unanswered += 1;
    }
}

/// The newest state of a resource that the proxy was told, on this stream or (by its own word) on an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    Absent,
    Present,
}

#[derive(Debug)]
struct InFlight {
    nonce: String,
    keys: Vec<Arc<str>>,
}

impl KindState {
    fn send(&mut self, kind: ResourceKind, draft: Draft, last_nonce: &mut u64) -> DeltaDiscoveryResponse {
        *last_nonce += 1;
        let nonce = last_nonce.to_string();
        self.sent += draft.keys.len() as u64;
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            self.in_flight.pop_front();
        }
        self.in_flight.push_back(InFlight { nonce: nonce.clone(), keys: draft.keys });
        DeltaDiscoveryResponse {
            system_version_info: String::new(),
            resources: draft.resources,
            type_url: kind.type_url().to_owned(),
            nonce,
            removed_resources: draft.removed,
        }
    }

    fn settle(&mut self, kind: ResourceKind, nonce: &str, error: Option<&rpc::Status>) -> Option<Settled> {
        let at = self.in_flight.iter().position(|f| f.nonce == nonce)?;
        let InFlight { nonce, keys } = self.in_flight.remove(at)?;
        self.acked += keys.len() as u64;
        let refused = error.map(|e| refusals(e, &keys)).unwrap_or_default();
        for key in &keys {
            self.refused.remove(key);
            if let Some(subscription) = self.subscribed.get_mut(key) {
                // A name that was dropped and taken up again has answers of its former life still to come.
                subscription.unanswered = subscription.unanswered.saturating_sub(1);
            }
        }
        self.refused.extend(refused.iter().filter(|(k, _)| self.subscribed.get(k).is_some()).cloned());
        Some(Settled { kind, nonce, refused })
    }
}

/// Which of `keys` a NACK refuses: those it names in its details, all of them where it names none (other clients).
fn refusals(error: &rpc::Status, keys: &[Arc<str>]) -> Vec<(Arc<str>, String)> {
    let named: Vec<(Arc<str>, String)> = error
        .details
        .iter()
        .filter(|d| d.type_url == REFUSALS_URL)
        .filter_map(|d| Refusals::decode(d.value.clone()).ok())
        .flat_map(|r| r.refusals)
        .filter_map(|r| Some((keys.iter().find(|k| ***k == *r.name)?.clone(), r.error)))
        .collect();
    if named.is_empty() { keys.iter().map(|k| (k.clone(), error.message.clone())).collect() } else { named }
}

/// Type of the details in a NACK that name what is refused.
pub(crate) const REFUSALS_URL: &str = "type.leno.dev/leno.v1.Refusals";

#[derive(Default)]
struct Draft {
    keys: Vec<Arc<str>>,
    resources: Vec<Envelope>,
    removed: Vec<String>,
    bytes: usize,
}

impl Draft {
    fn add(&mut self, kind: ResourceKind, key: &Arc<str>, now: &Encoded) {
        let value: Bytes = now.bytes.clone();
        self.bytes += value.len() + key.len();
        self.resources.push(Envelope {
            version: now.version.to_string(),
            resource: Some(Any { type_url: kind.type_url().to_owned(), value }),
            name: key.to_string(),
            aliases: Vec::new(),
        });
        self.keys.push(key.clone());
    }

    fn remove(&mut self, key: &Arc<str>) {
        self.bytes += key.len();
        self.removed.push(key.to_string());
        self.keys.push(key.clone());
    }
}
