//! `leno viz tap`: requests as they end, from the sidecars' own admin ports.

pub(super) mod line;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use leno_core::names::port;
use leno_core::tap::{Tapped, Taps};
use leno_viz::model::{Kind, Resource, parse_duration};
use leno_viz::tap::{DEFAULT_PACE, Filter, MOST_SIDECARS, Pace, Status};
use leno_viz::window::ProxyId;

use crate::access::{self, Access, Pod};

/// Shows requests live, as the sidecars see them end.
///
/// It reads the sidecars' loopback through a port-forward: who may tap is who may port-forward to the pods
/// (`pods/portforward`). Of a query only the keys are shown; headers only where asked for, without what may be secret.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    of: Of,
    /// At most so many a second; the others are counted.
    #[arg(long, default_value_t = DEFAULT_PACE)]
    max_rps: u32,
    /// With the headers of requests and answers. Values that may be secret (authorization, cookies, tokens, keys …) never
    /// leave the sidecar.
    #[arg(long)]
    headers: bool,
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
    #[arg(long)]
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

impl Of {
    fn filter(&self) -> Filter {
        Filter {
            from: self.from.clone(),
            to: self.to.clone(),
            namespace: Some(self.namespace.clone()),
            method: self.method.clone(),
            path: self.path.clone(),
            authority: self.authority.clone(),
            status: self.status,
            min_latency: self.min_latency,
        }
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
    let mut watch = Watch::begin(&args.of, args.headers, mesh)?;
    loop {
        let found = watch.fetch(mesh)?;
        watch.notes.drain(..).for_each(|note| eprintln!("{note}"));
        let mut out = std::io::stdout().lock();
        for tapped in found.iter().filter(|_| pace.may(Instant::now())) {
            let line = match args.output {
                Form::Json => serde_json::to_string(tapped)?,
                form => line::line(tapped, form == Form::Wide) + &line::headers(tapped),
            };
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        drop(out);
        if watch.is_over() {
            break;
        }
        std::thread::sleep(PERIOD);
    }
    let all = watch.missed + pace.held;
    if all > 0 {
        let (paced, missed) = (pace.held, watch.missed);
        eprintln!("{all} were not shown: {paced} beyond --max-rps, {missed} faster than they could be read");
    }
    Ok(ExitCode::SUCCESS)
}

/// Sidecars that are asked again and again what ended.
pub(super) struct Watch {
    sources: Vec<Source>,
    filter: Filter,
    headers: bool,
    end: Option<Instant>,
    /// How many the sidecars could not keep.
    pub(super) missed: u64,
    /// What to tell of sidecars that went away.
    pub(super) notes: Vec<String>,
}

impl Watch {
    /// Finds them, and says how many there are.
    pub(super) fn begin(of: &Of, headers: bool, mesh: &dyn Access) -> anyhow::Result<Self> {
        let sources = sources(of, mesh)?;
        eprintln!("Tapping {} until Ctrl-C or its end.", count(sources.len(), "sidecar"));
        let end = of.duration.map(|d| Instant::now() + d);
        Ok(Self { sources, filter: of.filter(), headers, end, missed: 0, notes: Vec::new() })
    }

    /// What ended since the last time and is wanted, in order.
    ///
    /// # Errors
    /// When no sidecar is left.
    pub(super) fn fetch(&mut self, mesh: &dyn Access) -> anyhow::Result<Vec<Tapped>> {
        let Self { sources, filter, headers, missed, notes, .. } = self;
        let mut found = Vec::new();
        // One that ended in the meantime is no reason to stop.
        sources.retain_mut(|source| match fetch(mesh, source, *headers) {
            Ok(taps) => {
                *missed += taps.missed;
                found.extend(taps.requests.into_iter().filter(|tapped| filter.takes(tapped)));
                true
            }
            Err(error) => {
                notes.push(format!("{}: {error:#}", source.pod.name));
                false
            }
        });
        if self.sources.is_empty() {
            bail!("no sidecar is left to tap ({})", self.notes.join("; "));
        }
        found.sort_by_key(|tapped| tapped.at_ms);
        Ok(found)
    }

    /// The sidecars that are asked.
    pub(super) fn sidecars(&self) -> BTreeSet<ProxyId> {
        let id = |s: &Source| ProxyId { namespace: s.pod.namespace.clone(), pod: s.pod.name.clone() };
        self.sources.iter().map(id).collect()
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
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
    if meshed.len() > MOST_SIDECARS {
        bail!(
            "{what}: {} sidecars are too many to watch at a time (at most {MOST_SIDECARS}): name a workload or a pod",
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

fn fetch(mesh: &dyn Access, source: &mut Source, headers: bool) -> anyhow::Result<Taps> {
    let from = source.next.map(|next| format!("&from={next}")).unwrap_or_default();
    let path = format!("/leno/v1/tap?headers={}{from}", u8::from(headers));
    let value = access::pod_json(mesh, &source.pod, port::ADMIN, &path)?;
    let taps: Taps = serde_json::from_value(value).context("the sidecar's answer")?;
    source.next = Some(taps.next);
    Ok(taps)
}

/// Between two questions.
pub(super) const PERIOD: Duration = Duration::from_millis(500);

#[cfg(test)]
pub(super) mod tests;
