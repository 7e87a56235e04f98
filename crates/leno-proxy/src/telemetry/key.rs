//! How a request finds its series: by numbers and addresses, without looking at a single text.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use leno_core::Reason;
use leno_core::id::{Direction, SpiffeId};
use leno_core::model::{Policies, Workload};

use super::record::{PeerInfo, ReqProtocol, RequestRecord, ServiceRef, TcpLabels};

/// What a request's series depends on. Addresses stand for what they point at, which is sound as long as the entry
/// under the key keeps it alive ([`Kept`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    addresses: [usize; 6],
    grpc: Option<u32>,
    status: u16,
    protocol: Protocol,
    direction: Direction,
    reason: Reason,
    mtls: bool,
    /// Address and index of the policy.
    policy: (usize, usize),
    /// Hash of the labels that the Telemetry API adds; 0 without any.
    tags: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Protocol {
    Http,
    Grpc,
    Tcp,
}

/// Keeps alive what a [`Key`] holds the addresses of, so that nothing else can come to live there.
#[derive(Debug)]
#[expect(dead_code, reason = "held, never read")]
pub(super) struct Kept {
    workloads: [Option<Arc<Workload>>; 2],
    principals: [Option<Arc<SpiffeId>>; 2],
    service: Option<Arc<ServiceRef>>,
    route: Arc<str>,
    policies: Option<Arc<Policies>>,
}

impl Key {
    pub(super) fn of_request(record: &RequestRecord, tags: u64) -> Self {
        Self {
            tags,
            addresses: addresses(&record.source, &record.destination, record.service.as_ref(), &record.route_name),
            grpc: record.grpc_status,
            status: record.status,
            protocol: match record.protocol {
                ReqProtocol::Http => Protocol::Http,
                ReqProtocol::Grpc => Protocol::Grpc,
            },
            direction: record.direction,
            reason: record.reason,
            mtls: record.mtls,
            policy: record.policy.as_ref().map_or((0, 0), |p| (Arc::as_ptr(&p.among).addr(), p.index)),
        }
    }

    pub(super) fn of_tcp(labels: &TcpLabels, reason: Reason, tags: u64) -> Self {
        Self {
            tags,
            addresses: addresses(&labels.source, &labels.destination, labels.service.as_ref(), ""),
            grpc: None,
            status: 0,
            protocol: Protocol::Tcp,
            direction: labels.direction,
            reason,
            mtls: labels.mtls,
            policy: (0, 0),
        }
    }
}

impl Kept {
    pub(super) fn of_request(record: &RequestRecord) -> Self {
        Self {
            policies: record.policy.as_ref().map(|policy| Arc::clone(&policy.among)),
            ..Self::new(&record.source, &record.destination, &record.service, &record.route_name)
        }
    }

    pub(super) fn of_tcp(labels: &TcpLabels) -> Self {
        Self::new(&labels.source, &labels.destination, &labels.service, &Arc::default())
    }

    fn new(source: &PeerInfo, destination: &PeerInfo, service: &Option<Arc<ServiceRef>>, route: &Arc<str>) -> Self {
        Self {
            workloads: [source.workload.clone(), destination.workload.clone()],
            principals: [source.principal.clone(), destination.principal.clone()],
            service: service.clone(),
            route: Arc::clone(route),
            policies: None,
        }
    }
}

fn addresses(source: &PeerInfo, destination: &PeerInfo, service: Option<&Arc<ServiceRef>>, route: &str) -> [usize; 6] {
    [
        address(source.workload.as_ref()),
        address(destination.workload.as_ref()),
        address(source.principal.as_ref()),
        address(destination.principal.as_ref()),
        address(service),
        // Empty names may lie anywhere and are all the same.
        if route.is_empty() { 0 } else { route.as_ptr().addr() },
    ]
}

fn address<T>(shared: Option<&Arc<T>>) -> usize {
    shared.map_or(0, |s| Arc::as_ptr(s).addr())
}

/// Multiplies and rotates: keys are addresses of our own, so nobody can choose them to collide.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AddressHasher(u64);

pub(super) type ByAddress = BuildHasherDefault<AddressHasher>;

impl AddressHasher {
    const fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        // The table takes the top bits for one purpose and the low ones for another.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(n.into());
    }

    fn write_u16(&mut self, n: u16) {
        self.mix(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }
}
