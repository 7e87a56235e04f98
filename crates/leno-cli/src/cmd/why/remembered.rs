//! Requests that failed lately, as the sidecars remember them, and what would become of the same request now.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use leno_core::names::port;
use leno_core::tap::{Failures, Peer, Remembered};
use leno_core::why::{Asked, Spoken, Trace};
use leno_viz::model::{Kind, Resource};
use serde::Serialize;

use super::mesh::Mesh;
use super::question::Question;
use super::{Answer, Args, judge, name_of, print};
use crate::access::{self, Access};
use crate::cmd::Output;
use crate::table::Screen;

/// A failure, and the sidecar that remembers it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    /// `POD.NAMESPACE` of the sidecar.
    pub(super) by: String,
    /// What it remembers.
    #[serde(flatten)]
    pub(super) failure: Remembered,
}

/// What is said for machines.
#[derive(Debug, Serialize)]
struct Said<'a> {
    /// What the sidecars remember of it, the caller's first.
    remembered: &'a [Seen],
    /// What would become of the same request now; nothing where the caller is no pod that runs.
    now: Option<Answer<'a>>,
}

/// Runs it.
///
/// # Errors
/// When nobody remembers such a request.
pub(super) fn run(args: &Args, running: &dyn Access) -> anyhow::Result<ExitCode> {
    let memory = gather(running)?;
    let all = &memory.failures;
    let found = match (&args.request_id, &args.last_failure) {
        (Some(id), _) => by_id(all, id),
        (None, Some(resource)) => last(&memory, resource, &args.namespace),
        (None, None) => bail!("give --request-id or --last-failure"),
    };
    let Some(first) = found.first() else {
        let what = args.request_id.as_ref().map_or_else(
            || args.last_failure.as_ref().map(|r| format!("{}/{}", r.kind, r.name)).unwrap_or_default(),
            |id| format!("request {id}"),
        );
        bail!(
            "no sidecar remembers a failure of {what}: each keeps its last 256 failures since it started, and nothing of \
             requests that got through, by a retry too (`leno viz tap` shows those as they end); {} failures are remembered in \
             all, {} of them tries that a retry made good",
            all.len(),
            all.iter().filter(|seen| memory.was_made_good(seen)).count()
        );
    };
    let mesh = Mesh::running(running.objects()?)?;
    let again = again(&mesh, running, &first.failure)?;
    let now = again.as_ref().map(|(from, asked, trace)| Answer { from, asked, name: "", trace });
    if !args.output.print(&Said {
        remembered: &found,
        now: again.as_ref().map(|(from, asked, trace)| Answer { from, asked, name: "", trace }),
    })? {
        print!("{}", text(&found, now.as_ref(), args.output == Output::Wide));
    }
    Ok(ExitCode::FAILURE)
}

/// What all sidecars remember.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The newest first.
    pub(super) failures: Vec<Seen>,
    /// `POD.NAMESPACE` of the sidecars that answered, and since when each has forgotten nothing, milliseconds since 1970.
    whole: BTreeMap<String, u64>,
}

impl Memory {
    /// Whether this is what a callee saw of a try that the caller's sidecar repeated, and the request did not fail: that
    /// sidecar remembers the failures of the time, and not this one. So it is for copies, whose answers nobody waits for.
    fn was_made_good(&self, seen: &Seen) -> bool {
        let request = &seen.failure.request;
        let caller = format!("{}.{}", request.source.pod, request.source.namespace);
        // Plaintext may have passed by the caller's sidecar.
        let told = request.inbound && request.secured && !request.request_id.is_empty();
        if !told || self.whole.get(&caller).is_none_or(|since| request.at_ms < *since) {
            return false;
        }
        let of_caller = |s: &&Seen| s.by == caller && !s.failure.request.inbound;
        !self.failures.iter().filter(of_caller).any(|s| s.failure.request.request_id == request.request_id)
    }
}

/// What all sidecars remember.
///
/// # Errors
/// When there are too many, or none answers.
pub(super) fn gather(running: &dyn Access) -> anyhow::Result<Memory> {
    let meshed: Vec<access::Pod> = running.pods()?.into_iter().filter(|p| p.meshed && !p.ended).collect();
    if meshed.is_empty() {
        bail!("no pod has a sidecar");
    }
    if meshed.len() > MOST {
        eprintln!("only {MOST} of {} sidecars are asked", meshed.len());
    }
    let mut memory = Memory::default();
    for pod in meshed.iter().take(MOST) {
        let failures = access::pod_json(running, pod, port::ADMIN, "/leno/v1/failures")
            .and_then(|v| serde_json::from_value::<Failures>(v).context("the sidecar's answer"));
        match failures {
            Ok(found) => {
                let by = format!("{}.{}", pod.name, pod.namespace);
                let oldest = found.failures.iter().map(|f| f.request.at_ms).min().unwrap_or_default();
                memory.whole.insert(by.clone(), if found.forgotten > 0 { oldest } else { 0 });
                memory.failures.extend(found.failures.into_iter().map(|failure| Seen { by: by.clone(), failure }));
            }
            Err(error) => eprintln!("{}.{}: {error:#}", pod.name, pod.namespace),
        }
    }
    memory.failures.sort_by_key(|s| std::cmp::Reverse(s.failure.request.at_ms));
    Ok(memory)
}

fn by_id(all: &[Seen], id: &str) -> Vec<Seen> {
    let mut found: Vec<Seen> = all.iter().filter(|s| s.failure.request.request_id == id).cloned().collect();
    found.sort_by_key(|s| (s.failure.request.inbound, s.failure.request.at_ms));
    found
}

/// The newest one, with what other sidecars remember of the same request.
fn last(memory: &Memory, resource: &Resource, namespace: &str) -> Vec<Seen> {
    let failed = |s: &&Seen| is_of(&s.failure, resource, namespace) && !memory.was_made_good(s);
    let Some(newest) = memory.failures.iter().find(failed) else { return Vec::new() };
    match newest.failure.request.request_id.as_str() {
        "" => vec![newest.clone()],
        id => by_id(&memory.failures, id),
    }
}

fn is_of(failure: &Remembered, resource: &Resource, namespace: &str) -> bool {
    let namespace = resource.namespace.as_deref().unwrap_or(namespace);
    let request = &failure.request;
    let end = |peer: &Peer| match resource.kind {
        Kind::Namespace => peer.namespace == resource.name,
        Kind::Pod => peer.pod == resource.name && peer.namespace == namespace,
        kind => peer.workload == resource.name && peer.namespace == namespace && peer.kind == kind.as_str(),
    };
    match resource.kind {
        Kind::Service => request.service == format!("{}.{namespace}", resource.name),
        _ => end(&request.source) || end(&request.destination),
    }
}

/// The same request, asked again of the mesh as it is now; header values are not remembered.
fn again(mesh: &Mesh, running: &dyn Access, failure: &Remembered) -> anyhow::Result<Option<(String, Asked, Trace)>> {
    let request = &failure.request;
    let Some(caller) = mesh.world.pods().get(&request.source.namespace, &request.source.pod) else { return Ok(None) };
    let Ok(dialled) = failure.dialled.parse() else { return Ok(None) };
    // What the callee saw was dialled by the caller's sidecar; the application dialled what it named.
    let named = Question::of(&request.method, &request.authority, &request.path).filter(|_| request.inbound);
    let named = named.and_then(|q| Some(SocketAddr::new(mesh.resolve(&q, caller).ok()?.address, q.port)));
    let dialled = named.unwrap_or(dialled);
    let client = caller.facts.ips.first().copied();
    let asked = Asked {
        method: request.method.clone(),
        authority: request.authority.clone(),
        path: request.path.clone(),
        headers: Vec::new(),
        spoken: if request.method.is_empty() { Spoken::Opaque } else { Spoken::Http1 },
        dialled,
        client: client.unwrap_or(std::net::IpAddr::from([0, 0, 0, 0])),
        bypass: None,
    };
    let trace = judge(mesh, Some(running), caller, &asked)?;
    Ok(Some((name_of(caller), asked, trace)))
}

fn text(found: &[Seen], now: Option<&Answer<'_>>, wide: bool) -> String {
    let mut out = String::new();
    for seen in found {
        let r = &seen.failure.request;
        let what = if r.method.is_empty() {
            "connection".to_owned()
        } else {
            format!("{} {}{}", r.method, r.authority, r.path)
        };
        let side = if r.inbound { "as its callee saw it" } else { "as its caller saw it" };
        out.push_str(&format!("{what}, {} ago, {side} ({})\n", ago(r.at_ms), seen.by));
        let mut item = |label: &str, text: String| {
            if !text.is_empty() {
                out.push_str(&format!("{label:<16}{text}\n"));
            }
        };
        item("id", r.request_id.clone());
        item("from", end(&r.source));
        item("to", join(&[&r.service, &seen.failure.cluster, &end(&r.destination)]));
        item("dialled", seen.failure.dialled.clone());
        item("route", r.route.clone());
        item(
            "tries",
            format!("{} in {:.1} ms, {}", r.attempts, r.latency_ms, if r.secured { "mutual TLS" } else { "plaintext" }),
        );
        let status = if r.status == 0 { "no answer".to_owned() } else { r.status.to_string() };
        let words = match r.reason.as_str() {
            "via_upstream" => "the application's own answer".to_owned(),
            reason if r.words.is_empty() => reason.to_owned(),
            _ => r.words.clone(),
        };
        let detail = if seen.failure.detail.is_empty() { String::new() } else { format!(": {}", seen.failure.detail) };
        item("=>", format!("{status}: {words}{detail} ({})", r.flags));
    }
    match now {
        None => out.push_str("\nWhat would become of it now cannot be said: its caller is no pod that runs.\n"),
        Some(now) => {
            out.push_str("\nThe same request now (values of headers and of the query are not remembered):\n");
            out.push_str(&print::text(now, &Screen::stdout(), wide));
        }
    }
    out
}

fn join(parts: &[&str]) -> String {
    parts.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join(", ")
}

fn end(peer: &Peer) -> String {
    let who = if peer.pod.is_empty() { String::new() } else { format!("{}.{} ", peer.pod, peer.namespace) };
    format!("{who}{}", peer.address).trim().to_owned()
}

fn ago(at_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let past = now.saturating_sub(u128::from(at_ms)) / 1000;
    crate::cmd::proxy_config::short_time(u64::try_from(past).unwrap_or(u64::MAX))
}

/// Sidecars that are asked at most.
const MOST: usize = 200;

#[cfg(test)]
mod tests {
    use leno_core::tap::Tapped;

    use super::*;

    /// As a callee (`inbound`) or its caller saw it.
    fn seen(id: &str, inbound: bool, at_ms: u64) -> Seen {
        let peer = |name: &str| Peer {
            namespace: "shop".to_owned(),
            pod: format!("{name}-1"),
            kind: "deployment".to_owned(),
            workload: name.to_owned(),
            ..Peer::default()
        };
        let request = Tapped {
            at_ms,
            inbound,
            request_id: id.to_owned(),
            source: peer("web"),
            destination: peer("pay"),
            service: "pay.shop".to_owned(),
            secured: true,
            ..Tapped::default()
        };
        let by = if inbound { "pay-1.shop" } else { "web-1.shop" }.to_owned();
        Seen { by, failure: Remembered { request, ..Remembered::default() } }
    }

    fn memory(failures: Vec<Seen>, web_since: Option<u64>) -> Memory {
        let whole = web_since.map(|since| ("web-1.shop".to_owned(), since)).into_iter().collect();
        Memory { failures, whole }
    }

    fn last_of_pay(memory: &Memory) -> Vec<u64> {
        let pay: Resource = "svc/pay".parse().expect("a resource");
        last(memory, &pay, "shop").iter().map(|s| s.failure.request.at_ms).collect()
    }

    #[test]
    fn a_try_that_a_retry_made_good_is_not_the_last_failure() {
        let failures = || vec![seen("mended", true, 30), seen("bad", true, 20), seen("bad", false, 19)];
        assert_eq!(last_of_pay(&memory(failures(), Some(0))), [19, 20], "the caller's first");
        // Who has forgotten, or does not answer, does not say that it went well.
        assert_eq!(last_of_pay(&memory(failures(), Some(31))), [30]);
        assert_eq!(last_of_pay(&memory(failures(), None)), [30]);
        assert!(last_of_pay(&memory(vec![seen("mended", true, 30)], Some(0))).is_empty());
    }
}
