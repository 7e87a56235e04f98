//! The proxy's half of delta xDS.
//!
//! [`DeltaSession`] knows what is wanted and what is held, without a socket or a clock; [`Client`] runs it over gRPC.

mod runner;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message;

pub use runner::{Client, Config, Node, TokenSource};

use crate::proto::core;
use crate::proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use crate::proto::leno::{Refusal, Refusals};
use crate::proto::protobuf::Any;
use crate::proto::rpc;
use crate::server::REFUSALS_URL;
use crate::snapshot::decode_named;
use crate::wire::{Interner, Resource, ResourceKind, ResourceName};

/// `google.rpc.Code.INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 3;

/// What a proxy learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A resource exists, with this value and version.
    Update(ResourceName, Resource, String),
    /// A resource does not exist (any more).
    Absent(ResourceName),
    /// A new value was refused because it could not be read; the last good one, if any, stays in force.
    Refused(ResourceName, String),
    /// A stream to the control plane is open.
    Connected,
    /// It ended, or could not be opened, for this reason. What is held stays in force.
    Disconnected(String),
}

/// What is wanted and what is held, across connections.
#[derive(Debug, Default)]
pub struct DeltaSession {
    kinds: [KindState; ResourceKind::ALL.len()],
    interner: Interner,
    node: core::Node,
    /// The node goes with the first request of a stream only.
    node_sent: bool,
}

#[derive(Debug, Default)]
struct KindState {
    wanted: BTreeMap<Arc<str>, Held>,
    /// Wanted or dropped since the last request.
    subscribe: BTreeSet<Arc<str>>,
    unsubscribe: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Absent,
    /// Version of the last good value.
    Version(String),
}

/// What to do after a response.
#[derive(Debug)]
pub struct Handled {
    /// News, in order.
    pub events: Vec<Event>,
    /// The ACK or NACK, to be sent.
    pub answer: DeltaDiscoveryRequest,
}

impl DeltaSession {
    /// A session of the proxy `node`, which wants nothing yet.
    #[must_use]
    pub fn new(node: core::Node) -> Self {
        Self { node, ..Self::default() }
    }

    /// Wants `name` from now on; `false` if it did already.
    pub fn subscribe(&mut self, name: &ResourceName) -> bool {
        let state = &mut self.kinds[name.kind.index()];
        if state.wanted.contains_key(&name.key) {
            return false;
        }
        state.wanted.insert(name.key.clone(), Held::Nothing);
        state.unsubscribe.remove(&name.key);
        state.subscribe.insert(name.key.clone());
        true
    }

    /// Wants `name` no more.
    pub fn unsubscribe(&mut self, name: &ResourceName) {
        let state = &mut self.kinds[name.kind.index()];
        if state.wanted.remove(&name.key).is_some() && !state.subscribe.remove(&name.key) {
            state.unsubscribe.insert(name.key.clone());
        }
    }

    /// The requests that open a stream: everything wanted, with the versions held.
    pub fn connect(&mut self) -> Vec<DeltaDiscoveryRequest> {
        self.node_sent = false;
        let mut requests = Vec::new();
        for kind in ResourceKind::ALL {
            let state = &mut self.kinds[kind.index()];
            state.subscribe.clear();
            state.unsubscribe.clear();
            if state.wanted.is_empty() {
                continue;
            }
            let held = |(key, held): (&Arc<str>, &Held)| match held {
                Held::Version(v) => Some((key.to_string(), v.clone())),
                Held::Nothing | Held::Absent => None,
            };
            requests.push(DeltaDiscoveryRequest {
                type_url: kind.type_url().to_owned(),
                resource_names_subscribe: state.wanted.keys().map(ToString::to_string).collect(),
                initial_resource_versions: state.wanted.iter().filter_map(held).collect(),
                ..DeltaDiscoveryRequest::default()
            });
        }
        requests.into_iter().map(|r| self.with_node(r)).collect()
    }

    /// The requests for what was wanted or dropped since the last call, on an open stream.
    pub fn changes(&mut self) -> Vec<DeltaDiscoveryRequest> {
        let mut requests = Vec::new();
        for kind in ResourceKind::ALL {
            let state = &mut self.kinds[kind.index()];
            if state.subscribe.is_empty() && state.unsubscribe.is_empty() {
                continue;
            }
            let names = |set| std::mem::take::<BTreeSet<Arc<str>>>(set).iter().map(ToString::to_string).collect();
            requests.push(DeltaDiscoveryRequest {
                type_url: kind.type_url().to_owned(),
                resource_names_subscribe: names(&mut state.subscribe),
                resource_names_unsubscribe: names(&mut state.unsubscribe),
                ..DeltaDiscoveryRequest::default()
            });
        }
        requests.into_iter().map(|r| self.with_node(r)).collect()
    }

    /// Takes a response in. Resources that cannot be read are refused by name and what is held stays; the others count.
    pub fn on_response(&mut self, response: DeltaDiscoveryResponse) -> Handled {
        let DeltaDiscoveryResponse { resources, type_url, nonce, removed_resources, .. } = response;
        let mut events = Vec::new();
        let mut refusals = Vec::new();
        if let Some(kind) = ResourceKind::from_type_url(&type_url) {
            for envelope in resources {
                let name = ResourceName::new(kind, envelope.name);
                let Some(held) = self.kinds[kind.index()].wanted.get_mut(&name.key) else { continue };
                let value = envelope.resource.unwrap_or_default().value;
                match decode_named(&name, &value, &mut self.interner) {
                    Ok(resource) => {
                        *held = Held::Version(envelope.version.clone());
                        events.push(Event::Update(name, resource, envelope.version));
                    }
                    Err(e) => {
                        refusals.push(Refusal { name: name.key.to_string(), error: e.to_string() });
                        events.push(Event::Refused(name, e.to_string()));
                    }
                }
            }
            for key in removed_resources {
                let name = ResourceName::new(kind, key);
                match self.kinds[kind.index()].wanted.get_mut(&name.key) {
                    None | Some(Held::Absent) => {}
                    Some(held) => {
                        *held = Held::Absent;
                        events.push(Event::Absent(name));
                    }
                }
            }
        }
        let answer = DeltaDiscoveryRequest {
            type_url,
            response_nonce: nonce,
            error_detail: nack(refusals),
            ..DeltaDiscoveryRequest::default()
        };
        Handled { events, answer: self.with_node(answer) }
    }

    fn with_node(&mut self, mut request: DeltaDiscoveryRequest) -> DeltaDiscoveryRequest {
        if !std::mem::replace(&mut self.node_sent, true) {
            request.node = Some(self.node.clone());
        }
        request
    }
}

/// The error of a NACK: words for people, details for the control plane. `None` for an ACK.
fn nack(refusals: Vec<Refusal>) -> Option<rpc::Status> {
    if refusals.is_empty() {
        return None;
    }
    let message: Vec<String> = refusals.iter().map(|r| format!("{}: {}", r.name, r.error)).collect();
    let details = Refusals { refusals }.encode_to_vec().into();
    Some(rpc::Status {
        code: INVALID_ARGUMENT,
        message: message.join("; "),
        details: vec![Any { type_url: REFUSALS_URL.to_owned(), value: details }],
    })
}
