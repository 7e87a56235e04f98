//! How much the series themselves may take: who asks whom, with which outcome.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use leno_core::samples::{PeerLabels, RequestLabels, TcpLabels};

/// Room for series, of which labels are the most.
pub(super) struct Room {
    room: usize,
    pub(super) used: usize,
    pub(super) left_out: u64,
}

/// Labels, shared with earlier frames where they are known, and the last counts.
pub(super) type Placed<'k, L, V> = (Arc<L>, Option<&'k V>);

impl Room {
    /// With so many bytes.
    pub(super) const fn new(room: usize) -> Self {
        Self { room, used: 0, left_out: 0 }
    }

    /// A series that is new only where there is room for it.
    pub(super) fn place<'k, L: Eq + Hash, V>(
        &mut self,
        known: &'k HashMap<Arc<L>, V>,
        labels: L,
        size: impl Fn(&L) -> usize,
        more: usize,
        requests: u64,
    ) -> Option<Placed<'k, L, V>> {
        let size = size(&labels) + more;
        let found = known.get_key_value(&labels);
        if found.is_none() && self.used + size > self.room {
            self.left_out += requests;
            return None;
        }
        self.used += size;
        Some(found.map_or_else(|| (Arc::new(labels), None), |(labels, value)| (Arc::clone(labels), Some(value))))
    }
}

/// Bytes of a series' labels and its place in a map.
pub(super) fn size_of_requests(labels: &RequestLabels) -> usize {
    let RequestLabels { source, destination, service, route, reason, .. } = labels;
    let service = service.as_ref().map_or(0, |s| s.namespace.len() + s.name.len());
    size_of::<RequestLabels>() + PLACE + of_peer(source) + of_peer(destination) + service + route.len() + reason.len()
}

pub(super) fn size_of_tcp(labels: &TcpLabels) -> usize {
    size_of::<TcpLabels>() + PLACE + of_peer(&labels.source) + of_peer(&labels.destination)
}

fn of_peer(peer: &PeerLabels) -> usize {
    let PeerLabels { namespace, workload, kind, pod, principal } = peer;
    [namespace, workload, kind, pod, principal].map(|text| text.len() + ALLOCATION).iter().sum()
}

/// A map's place for a series, and what is allocated for its counts.
const PLACE: usize = 96;
/// What an allocation takes beside its content, about.
const ALLOCATION: usize = 12;
