//! `leno viz tap`: requests as they end, from the sidecars' own admin ports.

pub(super) mod line;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use leno_core::names::port;
use leno_core::tap::{Peer, Tapped, Taps};
use leno_viz::model::{Kind, Resource, parse_duration};

use crate::access::{self, Access, Pod};

/// Shows requests live, as the sidecars see them end.
///
/// It reads the sidecars' loopback through a port-forward: who may tap is who may port-forward to the pods
/// (`pods/portforward`). Of a query only the keys are shown, and no header.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    of: Of,
    /// At most so many a second; the others are counted.
    #[arg(long, default_value_t = 100)]
    max_rps: u32,
    /// Form of the output: a line each, more of it, or an object of JSON a line.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Which requests.
#[derive(clap::Args)]
pub(super) struct Of {
    /// ns, deploy, sts, ds, job or pod, or KIND/NAME.
    kind: String,
    /// Only this one.
    name: Option<String>,
    /// Namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Only requests from here: KIND/NAME[.NAMESPACE].
    #[arg(long)]
    from: Option<Resource>,
    /// Only requests to here: KIND/NAME[.NAMESPACE].
    #[arg(long)]
    to: Option<Resource>,
    /// Only of this method.
    #[arg(long)]
    method: Option<String>,
    /// Only where the path begins so.
    #[arg(long)]
    path: Option<String>,
    /// Only of this host, with or without port.
    #[arg(long)]
    authority: Option<String>,
    /// Only with this status: 503, or 5xx.
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// Only what took at least so long: 100ms, 2s.
    #[arg(long, value_parser = parse_duration)]
    min_latency: Option<Duration>,
    /// End after so long: 10s, 1m. Without it, until Ctrl-C.
    #[arg(long = "for", value_parser = parse_duration)]
    duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    #[default]
    Table,
    Wide,
    Json,
}

/// Lowest and highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status(u16, u16);

fn status(text: &str) -> Result<Status, String> {
    let class = text.strip_suffix("xx").and_then(|c| c.parse::<u16>().ok()).filter(|c| (1..=5).contains(c));
    let one = text.parse::<u16>().ok().filter(|s| *s == 0 || (100..600).contains(s));
    match (class, one) {
        (Some(class), _) => Ok(Status(class * 100, class * 100 + 99)),
        (None, Some(one)) => Ok(Status(one, one)),
        (None, None) => Err(format!("`{text}` is no status such as 503 or 5xx; 0 is for a client that got none")),
    }
}

/// A sidecar and how far it was read.
struct Source {
    pod: Pod,
    next: Option<u64>,
}

/// Runs it.
pub(super) fn run(args: &Args, mesh: &dyn Access) -> anyhow::Result<ExitCode> {
    let mut pace = Pace::new(args.max_rps);
    let missed = watch(&args.of, mesh, |found, _| {
        let mut out = std::io::stdout().lock();
        for tapped in found.iter().filter(|_| pace.may(Instant::now())) {
            let line = match args.output {
                Form::Json => serde_json::to_string(tapped)?,
                form => line::line(tapped, form == Form::Wide),
            };
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    })?;
    if missed + pace.held > 0 {
        let all = missed + pace.held;
        eprintln!("{all} were not shown: {} beyond --max-rps, {missed} faster than they could be read", pace.held);
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives what ended to `show`, twice a second, until it is time: how many the sidecars could not keep.
pub(super) fn watch(
    of: &Of,
    mesh: &dyn Access,
    mut show: impl FnMut(&[Tapped], u64) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut sources = sources(of, mesh)?;
    let end = of.duration.map(|d| Instant::now() + d);
    let mut missed = 0;
    eprintln!("Tapping {} until Ctrl-C or its end.", count(sources.len(), "sidecar"));
    loop {
        let mut found = Vec::new();
        // One that ended in the meantime is no reason to stop.
        sources.retain_mut(|source| match fetch(mesh, source) {
            Ok(taps) => {
                missed += taps.missed;
                found.extend(taps.requests.into_iter().filter(|tapped| wanted(of, tapped)));
                true
            }
            Err(error) => {
                eprintln!("{}: {error:#}", source.pod.name);
                false
            }
        });
        if sources.is_empty() {
            bail!("no sidecar is left to tap");
        }
        found.sort_by_key(|tapped| tapped.at_ms);
        show(&found, missed)?;
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(missed);
        }
        std::thread::sleep(PERIOD);
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn sources(args: &Of, mesh: &dyn Access) -> anyhow::Result<Vec<Source>> {
    let (kind, name) = match args.kind.split_once('/') {
        Some((kind, name)) => (kind, Some(name)),
        None => (args.kind.as_str(), args.name.as_deref()),
    };
    let kind: Kind = kind.parse().map_err(|e| anyhow::anyhow!("{e}"))?;
    if kind == Kind::Service {
        bail!(
            "a service has no sidecar: tap what calls it with `--to svc/{}`, or the workload behind it",
            name.unwrap_or("NAME")
        );
    }
    let namespace = if kind == Kind::Namespace { name.unwrap_or(&args.namespace) } else { &args.namespace };
    let pods: Vec<Pod> =
        mesh.pods()?.into_iter().filter(|p| p.namespace == namespace && !p.ended && is_of(p, kind, name)).collect();
    let what = format!("{kind} {} in namespace {namespace}", name.unwrap_or("of any name"));
    if pods.is_empty() {
        bail!("no pod runs of {what}");
    }
    let meshed: Vec<Source> = pods.into_iter().filter(|p| p.meshed).map(|pod| Source { pod, next: None }).collect();
    if meshed.is_empty() {
        bail!("no pod of {what} has a sidecar");
    }
    if meshed.len() > MOST {
        bail!(
            "{what}: {} sidecars are too many to watch at a time (at most {MOST}): name a workload or a pod",
            meshed.len()
        );
    }
    Ok(meshed)
}

fn is_of(pod: &Pod, kind: Kind, name: Option<&str>) -> bool {
    let named = |n: &str| name.is_none_or(|name| name == n);
    match kind {
        Kind::Namespace => true,
        Kind::Pod => named(&pod.name),
        kind => pod.owner.split_once('/').is_some_and(|(k, n)| k.eq_ignore_ascii_case(kind.as_str()) && named(n)),
    }
}

fn fetch(mesh: &dyn Access, source: &mut Source) -> anyhow::Result<Taps> {
    let path = source.next.map_or_else(|| "/leno/v1/tap".to_owned(), |next| format!("/leno/v1/tap?from={next}"));
    let value = access::pod_json(mesh, &source.pod, port::ADMIN, &path)?;
    let taps: Taps = serde_json::from_value(value).context("the sidecar's answer")?;
    source.next = Some(taps.next);
    Ok(taps)
}

fn wanted(args: &Of, t: &Tapped) -> bool {
    let host = |h: &str| t.authority == h || t.authority.rsplit_once(':').is_some_and(|(name, _)| name == h);
    args.from.as_ref().is_none_or(|r| is(r, &t.source, "", &args.namespace))
        && args.to.as_ref().is_none_or(|r| is(r, &t.destination, &t.service, &args.namespace))
        && args.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(&t.method))
        && args.path.as_ref().is_none_or(|p| t.path.starts_with(p.as_str()))
        && args.authority.as_ref().is_none_or(|a| host(a))
        && args.status.is_none_or(|s| (s.0..=s.1).contains(&t.status))
        && args.min_latency.is_none_or(|least| t.latency_ms >= least.as_secs_f64() * 1000.0)
}

fn is(resource: &Resource, peer: &Peer, service: &str, namespace: &str) -> bool {
    let namespace = resource.namespace.as_deref().unwrap_or(namespace);
    let name = &resource.name;
    match resource.kind {
        Kind::Namespace => peer.namespace == *name,
        Kind::Service => service == format!("{name}.{namespace}"),
        Kind::Pod => peer.pod == *name && peer.namespace == namespace,
        kind => {
            peer.workload == *name
                && peer.namespace == namespace
                && (peer.kind.is_empty() || peer.kind == kind.as_str())
        }
    }
}

/// So many a second, and how many were held back.
struct Pace {
    limit: u32,
    second: Instant,
    used: u32,
    held: u64,
}

impl Pace {
    fn new(limit: u32) -> Self {
        Self { limit, second: Instant::now(), used: 0, held: 0 }
    }

    fn may(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.used) = (now, 0);
        }
        let may = self.used < self.limit;
        self.used += u32::from(may);
        self.held += u64::from(!may);
        may
    }
}

const PERIOD: Duration = Duration::from_millis(500);
const MOST: usize = 50;

#[cfg(test)]
pub(super) mod tests;
