//! Requests that failed lately, as the sidecars remember them, and what would become of the same request now.

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
    let all = gather(running)?;
    let found = match (&args.request_id, &args.last_failure) {
        (Some(id), _) => by_id(&all, id),
        (None, Some(resource)) => last(&all, resource, &args.namespace),
        (None, None) => bail!("give --request-id or --last-failure"),
    };
    let Some(first) = found.first() else {
        let what = args.request_id.as_ref().map_or_else(
            || args.last_failure.as_ref().map(|r| format!("{}/{}", r.kind, r.name)).unwrap_or_default(),
            |id| format!("request {id}"),
        );
        bail!(
            "no sidecar remembers a failure of {what}: each keeps its last 256 failures since it started, and nothing of \
             requests that got through (`leno viz tap` shows those as they end); {} failures are remembered in all",
            all.len()
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

/// What all sidecars remember, the newest first.
///
/// # Errors
/// When there are too many, or none answers.
pub(super) fn gather(running: &dyn Access) -> anyhow::Result<Vec<Seen>> {
    let meshed: Vec<access::Pod> = running.pods()?.into_iter().filter(|p| p.meshed && !p.ended).collect();
    if meshed.is_empty() {
        bail!("no pod has a sidecar");
    }
    if meshed.len() > MOST {
        eprintln!("only {MOST} of {} sidecars are asked", meshed.len());
    }
    let mut all = Vec::new();
    for pod in meshed.iter().take(MOST) {
        let failures = access::pod_json(running, pod, port::ADMIN, "/leno/v1/failures")
            .and_then(|v| serde_json::from_value::<Failures>(v).context("the sidecar's answer"));
        match failures {
            Ok(found) => {
                let by = format!("{}.{}", pod.name, pod.namespace);
                all.extend(found.failures.into_iter().map(|failure| Seen { by: by.clone(), failure }));
            }
            Err(error) => eprintln!("{}.{}: {error:#}", pod.name, pod.namespace),
        }
    }
    all.sort_by_key(|s| std::cmp::Reverse(s.failure.request.at_ms));
    Ok(all)
}

fn by_id(all: &[Seen], id: &str) -> Vec<Seen> {
    let mut found: Vec<Seen> = all.iter().filter(|s| s.failure.request.request_id == id).cloned().collect();
    found.sort_by_key(|s| (s.failure.request.inbound, s.failure.request.at_ms));
    found
}

/// The newest one, with what other sidecars remember of the same request.
fn last(all: &[Seen], resource: &Resource, namespace: &str) -> Vec<Seen> {
    let Some(newest) = all.iter().find(|s| is_of(&s.failure, resource, namespace)) else { return Vec::new() };
    match newest.failure.request.request_id.as_str() {
        "" => vec![newest.clone()],
        id => by_id(all, id),
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
