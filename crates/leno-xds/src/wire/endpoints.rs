//! `Endpoints`, grouped: what a service's pods have in common travels and is encoded once.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use leno_core::model::{Endpoint, Endpoints, Workload};

use super::common::{At, DecodeError, Wire, each, ip, ip_bytes, port, service_id};
use crate::proto::leno as pb;

/// Shares equal workloads between resources, as long as somebody holds them.
#[derive(Debug, Default)]
pub struct Interner {
    known: HashMap<u64, Weak<Workload>>,
    hasher: RandomState,
    /// Size at which the dead are swept next.
    sweep_at: usize,
}

impl Interner {
    /// The one `Arc` for `workload`.
    pub fn workload(&mut self, workload: Workload) -> Arc<Workload> {
        let hash = self.hasher.hash_one(&workload);
        if let Some(same) = self.known.get(&hash).and_then(Weak::upgrade).filter(|w| **w == workload) {
            return same;
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, w| w.strong_count() > 0);
            self.sweep_at = (self.known.len() * 2).max(64);
        }
        let new = Arc::new(workload);
        self.known.insert(hash, Arc::downgrade(&new));
        new
    }
}

pub(super) fn decode(p: pb::Endpoints, interner: &mut Interner) -> Result<Endpoints, DecodeError> {
    let mut endpoints = Vec::new();
    for (i, group) in p.groups.into_iter().enumerate() {
        let at = format!("groups[{i}]");
        decode_group(group, interner, &mut endpoints).at(&at)?;
    }
    Ok(Endpoints { service: service_id(&p.service, "service")?, endpoints })
}

fn decode_group(p: pb::EndpointGroup, interner: &mut Interner, out: &mut Vec<Endpoint>) -> Result<(), DecodeError> {
    let common = p.workload.ok_or_else(DecodeError::missing).and_then(Workload::from_wire).at("workload")?;
    let ports = each(p.ports, "ports", |m| Ok((port(m.port, "port")?, port(m.target, "target")?)))?;
    out.reserve(p.members.len());
    for (i, m) in p.members.into_iter().enumerate() {
        let workload = interner.workload(Workload { pod: m.pod, node: m.node, ..common.clone() });
        let ip = ip(&m.ip).at("ip").at(&format!("members[{i}]"))?;
        out.push(Endpoint { ip, ports: ports.clone(), ready: !m.not_ready, workload });
    }
    Ok(())
}

impl Wire for Endpoints {
    type Proto = pb::Endpoints;

    fn to_wire(&self) -> pb::Endpoints {
        let mut groups: Vec<pb::EndpointGroup> = Vec::new();
        let mut leader: Option<&Endpoint> = None;
        for e in &self.endpoints {
            let member = pb::Member {
                ip: ip_bytes(e.ip),
                pod: e.workload.pod.clone(),
                node: e.workload.node.clone(),
                not_ready: !e.ready,
            };
            match groups.last_mut() {
                Some(group) if leader.is_some_and(|l| alike(l, e)) => group.members.push(member),
                _ => groups.push(pb::EndpointGroup {
                    workload: Some(pb::Workload { pod: String::new(), node: String::new(), ..e.workload.to_wire() }),
                    ports: e
                        .ports
                        .iter()
                        .map(|(p, t)| pb::PortMapping { port: (*p).into(), target: (*t).into() })
                        .collect(),
                    members: vec![member],
                }),
            }
            leader = Some(e);
        }
        pb::Endpoints { service: self.service.to_string(), groups }
    }

    fn from_wire(p: pb::Endpoints) -> Result<Self, DecodeError> {
        decode(p, &mut Interner::default())
    }
}

/// Whether two endpoints differ in name, node, address and readiness only.
fn alike(a: &Endpoint, b: &Endpoint) -> bool {
    let (x, y) = (&*a.workload, &*b.workload);
    a.ports == b.ports
        && x.namespace == y.namespace
        && x.name == y.name
        && x.kind == y.kind
        && x.account == y.account
        && x.labels == y.labels
        && x.identity == y.identity
        && x.plaintext_ports == y.plaintext_ports
}
