//! The callee's sidecar: whether the connection may come in, and whether the request may.

use super::{Arriving, Failure, Inbound, Spoken, Step, words};
use crate::Reason;
use crate::decide::authn::{self, Arrival};
use crate::decide::authz::{self, AuthzFacts, AuthzVerdict, HttpFacts};
use crate::model::{MtlsMode, Policies, Protocol, Workload, WorkloadPort};

/// A pod that is asked, and what holds for it.
#[derive(Clone, Copy, Debug)]
pub struct Callee<'a> {
    /// The pod.
    pub workload: &'a Workload,
    /// Its ports that services name.
    pub ports: &'a [WorkloadPort],
    /// Policies of its namespace and of the root namespace.
    pub policies: [&'a Policies; 2],
    /// The root namespace.
    pub root_namespace: &'a str,
    /// Whether the pod says that this port is opaque.
    pub opaque: bool,
}

/// Judges what arrives, as the callee's sidecar does.
#[must_use]
pub fn inbound(callee: Callee<'_>, arriving: &Arriving) -> Inbound {
    let mut answer = Inbound::default();
    answer.stopped = judge(callee, arriving, &mut answer.steps).err();
    if let (Some(_), Some(last)) = (&answer.stopped, answer.steps.last_mut()) {
        last.stops = true;
    }
    answer
}

fn judge(callee: Callee<'_>, arriving: &Arriving, steps: &mut Vec<Step>) -> Result<(), Failure> {
    let port = arriving.dialled.port();
    let declared = match callee.opaque {
        true => Protocol::Tcp,
        false => callee.ports.iter().find(|p| p.port == port).map_or(Protocol::Auto, |p| p.protocol),
    };
    admit(callee, arriving, steps)?;
    let plain = arriving.peer.is_none();
    if plain && arriving.spoken == Spoken::Tls && declared.is_http() {
        let detail = "TLS of the application's own, to a port that is declared as HTTP";
        steps.push(Step::new("protocol", detail));
        return Err(Failure::closed(Reason::ClientProtocol, detail));
    }
    // Between sidecars the client's sidecar says what is inside; in plaintext the declaration may make it opaque.
    let http = arriving.spoken.is_http() && !(plain && matches!(declared, Protocol::Tcp | Protocol::Tls));
    authorize(callee, arriving, http, steps)
}

fn admit(callee: Callee<'_>, arriving: &Arriving, steps: &mut Vec<Step>) -> Result<(), Failure> {
    let Workload { namespace, labels, .. } = callee.workload;
    let port = arriving.dialled.port();
    let (mode, origin) = authn::effective_mtls(&callee.policies, namespace, labels, port, callee.root_namespace);
    let arrival = if arriving.peer.is_some() { Arrival::MeshTls } else { Arrival::Plain };
    let name = match mode {
        MtlsMode::Strict => "STRICT",
        MtlsMode::Permissive => "PERMISSIVE",
        MtlsMode::Disable => "DISABLE",
        MtlsMode::Unset => "UNSET",
    };
    let by = if origin.is_some() { "" } else { " (the default)" };
    let client = match &arriving.peer {
        Some(peer) => format!("the client proves {peer}"),
        None => "the client speaks plaintext".to_owned(),
    };
    steps.push(Step::new("mtls", format!("{name}{by}; {client}")).by(origin, 0));
    let detail = || origin.map(ToString::to_string).unwrap_or_default();
    authn::admit(mode, arrival).map_err(|reason| Failure::closed(reason, detail()))
}

fn authorize(callee: Callee<'_>, arriving: &Arriving, http: bool, steps: &mut Vec<Step>) -> Result<(), Failure> {
    let facts = AuthzFacts {
        peer: arriving.peer.as_ref(),
        source_ip: arriving.client,
        destination_ip: arriving.dialled.ip(),
        destination_port: arriving.dialled.port(),
        sni: arriving.sni.as_deref(),
        http: http.then_some(HttpFacts {
            method: &arriving.method,
            path: &arriving.path,
            host: &arriving.authority,
            headers: &arriving.headers,
        }),
    };
    let Workload { namespace, labels, .. } = callee.workload;
    let applicable = || authz::applicable(&callee.policies, namespace, labels, callee.root_namespace);
    let verdicts = authz::each(applicable(), &facts);
    let lines: Vec<String> = verdicts.iter().map(|v| format!("{}: {}", v.policy.origin, words::policy(v))).collect();
    match authz::authorize(applicable(), &facts) {
        AuthzVerdict::Allow { by } => {
            let says = match by {
                Some(policy) => format!("allowed by {}/{}", policy.namespace, policy.name),
                None if verdicts.is_empty() => "allowed: no policy selects this pod".to_owned(),
                None => "allowed: no policy denies it, and no ALLOW policy selects this pod".to_owned(),
            };
            steps.push(Step::new("authorization", says).by(by, 0).with(lines));
            Ok(())
        }
        AuthzVerdict::Deny { by, rule, why } => {
            let rule = rule.map(|r| format!(" (rule {})", r + 1)).unwrap_or_default();
            let policy = by.map_or_else(|| "no policy".to_owned(), |p| format!("{}/{}{rule}", p.namespace, p.name));
            steps.push(
                Step::new("authorization", format!("denied: {policy}: {}", why.sentence())).by(by, 0).with(lines),
            );
            let detail = by.map_or_else(|| "no policy".to_owned(), ToString::to_string);
            let detail = format!("{detail}: {}", why.sentence());
            Err(if http {
                Failure::of(Reason::PolicyDenied, detail)
            } else {
                Failure::closed(Reason::PolicyDenied, detail)
            })
        }
    }
}
