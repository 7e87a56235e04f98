//! A caller whose connection crosses no sidecar of its own: Kubernetes chooses the pod, and it speaks plaintext.

use std::net::SocketAddr;

use super::branch::arriving;
use super::outbound::Walk;
use super::{Branch, Candidate, Failure, Found, State, Step};
use crate::Reason;
use crate::decide::cluster;
use crate::decide::destination::{self, Meaning};
use crate::model::Workload;

pub(super) fn run(walk: &mut Walk<'_>) -> Result<(), Failure> {
    let says = match &walk.asked.bypass {
        Some(why) => format!("none: {why}; so no route rule, no retry and no mutual TLS of the mesh applies"),
        None => "none: the caller has no sidecar; so no route rule, no retry and no mutual TLS applies".to_owned(),
    };
    walk.step(Step::new("interception", says));
    let at = walk.asked.dialled;
    let own = walk.caller.own.contains(&at.ip());
    let address = match walk.known.address(at.ip()) {
        Found::Found(address) => Some(address),
        Found::Absent | Found::Unknown => None,
    };
    // Without a sidecar nobody refuses what the mesh does not know.
    match destination::meaning(at, own, address.as_deref(), true) {
        Ok(Meaning::Service(id)) => {
            let Found::Found(view) = walk.known.service(id) else {
                return Err(Failure::closed(Reason::ClusterNotFound, format!("service {id}")));
            };
            if view.service.port(at.port()).is_none() {
                walk.step(Step::new("destination", format!("{at} is service {id}, which has no port {}", at.port())));
                return Err(Failure::closed(
                    Reason::ClusterNotFound,
                    format!("service {id} has no port {}", at.port()),
                ));
            }
            walk.step(Step::new(
                "destination",
                format!("{at} is service {id}: Kubernetes gives it to a ready pod at random"),
            ));
            let members: Vec<_> = cluster::members(&view.endpoints, None, at.port()).filter(|(_, e)| e.ready).collect();
            if members.is_empty() {
                walk.step(Step::new("candidates", "none of its pods is ready"));
                return Err(Failure::closed(Reason::NoHealthyUpstream, "none of its pods is ready"));
            }
            #[expect(clippy::cast_precision_loss)]
            let each = 1.0 / members.len() as f64;
            let candidates = members.iter().map(|(addr, e)| candidate(walk, *addr, &e.workload, each)).collect();
            let branch = Branch { service: Some(id.clone()), port: at.port(), candidates, ..empty() };
            walk.trace.branches.push(branch);
        }
        Ok(Meaning::Pod { workload, .. }) => {
            walk.step(Step::new("destination", format!("{at} is pod {}/{}", workload.namespace, workload.pod)));
            let only = candidate(walk, at, workload, 1.0);
            walk.trace.branches.push(Branch { candidates: vec![only], ..empty() });
        }
        Ok(Meaning::Itself | Meaning::Outside) | Err(_) => {
            walk.step(Step::new("destination", format!("{at} is not in the mesh")));
            let only = candidate(walk, at, &Workload::default(), 1.0);
            walk.trace.branches.push(Branch { candidates: vec![only], ..empty() });
        }
    }
    Ok(())
}

fn candidate(walk: &Walk<'_>, address: SocketAddr, workload: &Workload, share: f64) -> Candidate {
    let asked = &walk.asked;
    Candidate {
        address,
        namespace: workload.namespace.clone(),
        pod: workload.pod.clone(),
        identity: workload.identity.as_ref().map(ToString::to_string),
        state: State::Ready,
        share,
        secured: false,
        steps: vec![Step::new("mtls", "plaintext: the caller has no sidecar on this way")],
        stopped: None,
        arriving: workload.identity.is_some().then(|| arriving(asked, address, asked.spoken, None, None)),
        inbound: None,
    }
}

fn empty() -> Branch {
    Branch {
        share: 1.0,
        weight: None,
        service: None,
        port: 0,
        subset: None,
        steps: Vec::new(),
        candidates: Vec::new(),
        stopped: None,
    }
}
