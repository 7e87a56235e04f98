//! One destination: its pods, which of them take requests, and how each is to prove who it is.

use std::net::SocketAddr;
use std::sync::Arc;

use super::outbound::{Walk, host_of};
use super::{Arriving, Asked, Backend, Branch, Candidate, Failure, Found, Spoken, State, Step, words};
use crate::Reason;
use crate::decide::balance::{HashRing, request_hash};
use crate::decide::cluster::{self, Plan, Proof};
use crate::id::SpiffeId;
use crate::model::Workload;
use crate::model::route::{HeaderEdit, WeightedBackend};
use crate::model::traffic::{Balancer, ClientTls, ConnectionPool, OutlierDetection};

/// How the destination is reached.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// The application chose the pod itself.
    pub(super) pinned: bool,
    /// As bytes, not as requests.
    pub(super) opaque: bool,
}

/// The destination that a rule, or the address, names.
pub(super) fn service(
    walk: &Walk<'_>,
    of: Backend<'_>,
    weighted: Option<&WeightedBackend>,
    share: f64,
    target: &Target,
) -> Branch {
    let mut branch = Branch {
        share,
        weight: weighted.map(|w| w.weight),
        service: Some(of.service.clone()),
        port: of.port,
        subset: of.subset.map(str::to_owned),
        steps: Vec::new(),
        candidates: Vec::new(),
        stopped: None,
    };
    if let Err(failure) = fill(walk, of, weighted, target, &mut branch) {
        if let Some(last) = branch.steps.last_mut() {
            last.stops = true;
        }
        branch.stopped = Some(if target.opaque { Failure { status: 0, ..failure } } else { failure });
    }
    branch
}

fn fill(
    walk: &Walk<'_>,
    of: Backend<'_>,
    weighted: Option<&WeightedBackend>,
    target: &Target,
    branch: &mut Branch,
) -> Result<(), Failure> {
    if weighted.is_some_and(|w| w.invalid) {
        branch
            .steps
            .push(Step::new("subset", format!("the route names {} and may not, or cannot, send there", of.service)));
        return Err(Failure::of(Reason::InvalidBackend, of.service.to_string()));
    }
    let view = match walk.known.service(of.service) {
        Found::Found(view) => view,
        Found::Absent => {
            branch.steps.push(Step::new("subset", format!("there is no service {}", of.service)));
            return Err(Failure::of(Reason::ClusterNotFound, format!("service {}", of.service)));
        }
        Found::Unknown => {
            branch.steps.push(Step::new(
                "subset",
                format!("the control plane has not told this sidecar of service {}", of.service),
            ));
            return Err(Failure::of(Reason::NotReady, format!("service {}", of.service)));
        }
    };
    let rule = view.rule.as_deref();
    let plan = cluster::plan(&view.service, rule, of.subset, of.port);
    let origin = rule.map(|r| &r.origin);
    exists(&plan, of, branch, origin)?;
    let members: Vec<_> = cluster::members(&view.endpoints, plan.subset, of.port).collect();
    let state = |addr: SocketAddr, ready: bool| match (ready, walk.known.is_ejected(of, addr)) {
        (false, _) => State::Unready,
        (true, true) => State::Ejected,
        (true, false) => State::Ready,
    };
    let mut asked = walk.asked.clone();
    if let Some(weighted) = weighted {
        edit(&mut asked, &weighted.headers.request);
    }
    limits(&plan, branch, origin, target);
    let caller = Hop { walk, asked: &asked, opaque: target.opaque };
    branch.candidates = members
        .iter()
        .map(|(addr, endpoint)| {
            let sni = sni(&plan, of, *addr);
            caller.candidate(*addr, &endpoint.workload, state(*addr, endpoint.ready), plan.policy.tls.as_ref(), sni)
        })
        .collect();
    shares(walk, &plan, target, branch, &asked)
}

fn exists(
    plan: &Plan<'_>,
    of: Backend<'_>,
    branch: &mut Branch,
    origin: Option<&crate::id::Origin>,
) -> Result<(), Failure> {
    if plan.exists {
        if let Some(subset) = plan.subset {
            let says = format!("{}: pods with {}", subset.name, words::labels(&subset.labels));
            branch.steps.push(Step::new("subset", says).by(origin, 0));
        }
        return Ok(());
    }
    let says = match (of.subset, plan.subset) {
        (Some(name), None) if origin.is_none() => {
            format!("no DestinationRule for {} is seen here, so it has no subset {name}", of.service)
        }
        (Some(name), None) => format!("the DestinationRule has no subset {name}"),
        _ => format!("service {} has no port {}", of.service, of.port),
    };
    branch.steps.push(Step::new("subset", says.clone()).by(origin, 0));
    Err(Failure::of(Reason::ClusterNotFound, says))
}

fn limits(plan: &Plan<'_>, branch: &mut Branch, origin: Option<&crate::id::Origin>, target: &Target) {
    let policy = &plan.policy;
    if let Some(text) = policy.pool.as_ref().map(pool).filter(|t| !t.is_empty()) {
        branch.steps.push(Step::new("limits", text).by(origin, 0));
    }
    if let Some(outlier) = &policy.outlier {
        branch.steps.push(Step::new("limits", ejection(outlier)).by(origin, 0));
    }
    let balancer = policy.balancer.clone().unwrap_or_default();
    let says = if target.pinned {
        "the pod that the application dialled itself".to_owned()
    } else {
        words::balancer(&balancer)
    };
    branch.steps.push(Step::new("balancer", says).by(policy.balancer.as_ref().and(origin), 0));
}

fn pool(pool: &ConnectionPool) -> String {
    let limit = |what: &str, value: Option<u32>| value.filter(|n| *n > 0).map(|n| format!("{what} {n}"));
    let all = [
        limit("connections", pool.max_connections),
        limit("waiting", pool.http1_max_pending),
        limit("requests in flight", pool.http2_max_requests),
        limit("retries in flight", pool.max_retries),
        pool.connect_timeout.map(|t| format!("connect within {}", words::time(t))),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    if all.is_empty() { String::new() } else { format!("at most: {}", all.join(", ")) }
}

fn ejection(outlier: &OutlierDetection) -> String {
    let mut after = Vec::new();
    if outlier.consecutive_5xx > 0 {
        after.push(format!("{} 5xx", outlier.consecutive_5xx));
    }
    if outlier.consecutive_gateway > 0 {
        after.push(format!("{} of 502, 503, 504", outlier.consecutive_gateway));
    }
    let after = if after.is_empty() { "never".to_owned() } else { format!("after {} in a row", after.join(" or ")) };
    format!(
        "a pod is left out {after}, for {}, at most {} % of them",
        words::time(outlier.base_ejection),
        outlier.max_ejection_percent
    )
}

/// What each pod gets. Chance is not drawn: where the balancer does not decide, the usable ones are alike.
fn shares(
    walk: &Walk<'_>,
    plan: &Plan<'_>,
    target: &Target,
    branch: &mut Branch,
    asked: &Asked,
) -> Result<(), Failure> {
    let dialled = walk.asked.dialled;
    if target.pinned {
        let exact = branch.candidates.iter().position(|c| c.address == dialled);
        if let Some(at) = exact.or_else(|| branch.candidates.iter().position(|c| c.address.ip() == dialled.ip())) {
            branch.candidates[at].share = 1.0;
            return Ok(());
        }
    }
    let ready: Vec<usize> =
        (0..branch.candidates.len()).filter(|i| branch.candidates[*i].state != State::Unready).collect();
    let mut usable: Vec<usize> =
        ready.iter().copied().filter(|i| branch.candidates[*i].state == State::Ready).collect();
    let least = plan.policy.outlier.as_ref().map_or(0, |o| o.min_health_percent as usize);
    if usable.len() * 100 < least * ready.len() {
        let says = format!("fewer than {least} % are healthy: all are used, the ejected ones too");
        branch.steps.push(Step::new("balancer", says));
        usable.clone_from(&ready);
    }
    if usable.is_empty() {
        let count = branch.candidates.len();
        let why = match (count, ready.len()) {
            (0, _) if plan.subset.is_some() => "no pod has the subset's labels".to_owned(),
            (0, _) => "the service has no pod".to_owned(),
            (_, 0) => format!("none of its {count} pods is ready"),
            _ => "all its ready pods are ejected".to_owned(),
        };
        branch.steps.push(Step::new("candidates", why.clone()));
        return Err(Failure::of(Reason::NoHealthyUpstream, why));
    }
    if let Some(Balancer::ConsistentHash { key, minimum_ring_size }) = &plan.policy.balancer
        && !target.opaque
    {
        let query = asked.path.split_once('?').map_or("", |(_, q)| q);
        let header = |name: &str| asked.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| &**v);
        let hash = request_hash(key, asked.client, query, |n| header(n).map(str::as_bytes), header("cookie"));
        let ring = HashRing::new(ready.iter().map(|i| branch.candidates[*i].address.to_string()), *minimum_ring_size);
        if let Some(at) = hash.and_then(|h| ring.lookup(h, |i| usable.contains(&ready[i]))) {
            branch.candidates[ready[at]].share = 1.0;
            return Ok(());
        }
        let says = format!("the request has no {}: at random", words::hash_key(key));
        branch.steps.push(Step::new("balancer", says));
    }
    for at in &usable {
        #[expect(clippy::cast_precision_loss)]
        let each = 1.0 / usable.len() as f64;
        branch.candidates[*at].share = each;
    }
    Ok(())
}

/// The dialled address itself, with or without a pod behind it.
pub(super) fn address(walk: &Walk<'_>, workload: Option<&Arc<Workload>>, opaque: bool) -> Branch {
    let dialled = walk.asked.dialled;
    let nobody = Arc::default();
    let own = walk.caller.own.contains(&dialled.ip());
    let hop = Hop { walk, asked: &walk.asked, opaque };
    let mut only = hop.candidate(dialled, workload.filter(|_| !own).unwrap_or(&nobody), State::Ready, None, None);
    only.share = 1.0;
    Branch {
        share: 1.0,
        weight: None,
        service: None,
        port: 0,
        subset: None,
        steps: Vec::new(),
        candidates: vec![only],
        stopped: None,
    }
}

/// From the caller's sidecar to a pod.
struct Hop<'w> {
    walk: &'w Walk<'w>,
    asked: &'w Asked,
    opaque: bool,
}

impl Hop<'_> {
    fn candidate(
        &self,
        address: SocketAddr,
        workload: &Arc<Workload>,
        state: State,
        tls: Option<&ClientTls>,
        sni: Option<String>,
    ) -> Candidate {
        let own = self.walk.caller.own.contains(&address.ip());
        let proof = if own { Proof::Plain } else { cluster::proof(workload, address.port(), tls) };
        let me = self.walk.caller.workload.identity.clone();
        let (says, stopped) = match proof {
            Proof::Plain if own => ("plaintext: the caller's own pod, no sidecar is crossed".to_owned(), None),
            Proof::Plain if workload.pod.is_empty() => {
                ("as the application speaks: the address is not in the mesh".to_owned(), None)
            }
            Proof::Plain if workload.identity.is_none() => ("plaintext: the pod has no sidecar".to_owned(), None),
            Proof::Plain if tls.is_some() => ("plaintext: the DestinationRule says DISABLE".to_owned(), None),
            Proof::Plain => ("plaintext: the pod's PeerAuthentication says DISABLE for the port".to_owned(), None),
            Proof::Identity(id) => (format!("mutual TLS; must be {id}"), None),
            Proof::Nobody => {
                let why = "the DestinationRule asks for mutual TLS, and the pod has no sidecar".to_owned();
                (why.clone(), Some(Failure::of(Reason::TlsFailure, why)))
            }
            Proof::Names(names) => by_name(names, workload.identity.as_ref()),
        };
        let mut step = Step::new("mtls", says);
        if stopped.is_some() {
            step = step.stopping();
        }
        let arrives = workload.identity.is_some() && stopped.is_none() && !own;
        Candidate {
            address,
            namespace: workload.namespace.clone(),
            pod: workload.pod.clone(),
            identity: workload.identity.as_ref().map(ToString::to_string),
            state,
            share: 0.0,
            secured: proof.is_mutual(),
            steps: vec![step],
            stopped,
            arriving: arrives.then(|| self.arriving(address, me.filter(|_| proof.is_mutual()), sni)),
            inbound: None,
        }
    }

    fn arriving(&self, dialled: SocketAddr, peer: Option<SpiffeId>, sni: Option<String>) -> Arriving {
        let asked = self.asked;
        let spoken = match (self.opaque, peer.is_some()) {
            // Inside of mutual TLS opaque bytes are opaque, whatever they are.
            (true, true) => Spoken::Opaque,
            (true, false) | (false, _) => asked.spoken,
        };
        let sni = match (peer.is_some(), asked.spoken) {
            (true, _) => sni,
            (false, Spoken::Tls) => Some(host_of(&asked.authority).to_owned()),
            (false, _) => None,
        };
        arriving(asked, dialled, spoken, peer, sni)
    }
}

/// What arrives at a pod's sidecar.
pub(super) fn arriving(
    asked: &Asked,
    dialled: SocketAddr,
    spoken: Spoken,
    peer: Option<SpiffeId>,
    sni: Option<String>,
) -> Arriving {
    let mut headers = asked.headers.clone();
    if spoken.is_http() && !headers.iter().any(|(n, _)| n == "x-forwarded-proto") {
        headers.push(("x-forwarded-proto".to_owned(), "http".to_owned()));
    }
    Arriving {
        peer,
        sni,
        spoken,
        client: asked.client,
        dialled,
        method: asked.method.clone(),
        authority: asked.authority.clone(),
        path: asked.path.clone(),
        headers,
    }
}

fn by_name(names: &[String], identity: Option<&SpiffeId>) -> (String, Option<Failure>) {
    let wanted = names.join(", ");
    match identity.map(ToString::to_string) {
        None => {
            let why = format!("the DestinationRule asks for mutual TLS with {wanted}, and the pod has no sidecar");
            (why.clone(), Some(Failure::of(Reason::TlsFailure, why)))
        }
        Some(id) if names.contains(&id) => (format!("mutual TLS; must be {wanted}, and is"), None),
        Some(id) => {
            let why = format!("mutual TLS; the DestinationRule wants {wanted}, and the pod is {id}");
            (why.clone(), Some(Failure::of(Reason::IdentityMismatch, why)))
        }
    }
}

fn sni(plan: &Plan<'_>, of: Backend<'_>, _addr: SocketAddr) -> Option<String> {
    let own = plan.policy.tls.as_ref().and_then(|t| t.sni.clone());
    Some(
        own.unwrap_or_else(|| {
            format!("outbound_.{}_.{}_.{}", of.port, of.subset.unwrap_or_default(), of.service.host())
        }),
    )
}

/// Changes a request's headers as a rule says: remove, then set, then add.
pub(super) fn edit(asked: &mut Asked, edit: &HeaderEdit) {
    // Only HTTP/1.1 has its authority in a header.
    let authority = asked.spoken == Spoken::Http1;
    let authority = |name: &str| authority && name == "host";
    asked.headers.retain(|(name, _)| !edit.remove.contains(name));
    for (name, value) in &edit.set {
        if authority(name) {
            asked.authority.clone_from(value);
            continue;
        }
        asked.headers.retain(|(n, _)| n != name);
        asked.headers.push((name.clone(), value.clone()));
    }
    for (name, value) in edit.add.iter().filter(|(n, _)| !authority(n)) {
        match asked.headers.iter_mut().find(|(n, _)| n == name) {
            // As decisions see a header that is repeated.
            Some((_, have)) => *have = format!("{have},{value}"),
            None => asked.headers.push((name.clone(), value.clone())),
        }
    }
}
