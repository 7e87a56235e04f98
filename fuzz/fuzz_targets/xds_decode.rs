//! Resources of all kinds, and the messages that carry them, from any bytes.
#![no_main]

use leno_xds::proto::discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use leno_xds::snapshot::Snapshot;
use leno_xds::wire::{Resource, ResourceKind, ResourceName};
use leno_xds::{client, server};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    for kind in ResourceKind::ALL {
        if let Ok(resource) = Resource::decode(kind, bytes) {
            // What was understood can be said again, and means the same.
            let again = Resource::decode(kind, &resource.encode()).expect("what was decoded encodes to something decodable");
            assert_eq!(resource, again);
        }
    }
    if let Ok(response) = DeltaDiscoveryResponse::decode(bytes) {
        let mut session = client::DeltaSession::default();
        for resource in &response.resources {
            for kind in ResourceKind::ALL {
                session.subscribe(&ResourceName::new(kind, resource.name.as_str()));
            }
        }
        session.connect();
        session.on_response(response);
        session.changes();
    }
    if let Ok(request) = DeltaDiscoveryRequest::decode(bytes) {
        let mut session = server::DeltaSession::default();
        let snapshot = Snapshot::default();
        if session.on_request(&request, &snapshot).is_ok() {
            session.resync(&snapshot);
        }
        if let Some(node) = &request.node {
            let _ = client::Node::from_proto(node);
        }
    }
});
