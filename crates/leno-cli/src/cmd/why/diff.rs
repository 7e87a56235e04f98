//! What a change would do that is not made yet: requests are judged by the objects as they are, and as they would be.
//!
//! Which requests: the one that is asked about; else those that the sidecars see while this watches (each kind of request once:
//! caller, method, host and path), and those that they remember as failed. Headers of seen requests are not known: rules that
//! match headers are judged as if there were none, and that is said.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use leno_control::world::Pod;
use leno_core::names::port;
use leno_core::tap::{Tapped, Taps};
use leno_core::why::words::percent;
use leno_core::why::{Outcome, Trace};
use serde::Serialize;
use serde_json::Value;

use super::mesh::Mesh;
use super::question::Question;
use super::{Args, from, judge, name_of, remembered};
use crate::access::{self, Access};
use crate::cmd::Globals;
use crate::cmd::local::read::read;

/// A kind of request and what would change for it.
#[derive(Debug, Serialize)]
struct Changed {
    /// `POD.NAMESPACE` of a caller.
    from: String,
    /// Method, host and path.
    request: String,
    /// How many were seen.
    seen: usize,
    /// Where it goes now, and what comes back.
    now: Vec<String>,
    /// The same once the files are applied.
    then: Vec<String>,
}

/// Everything that is said.
#[derive(Debug, Serialize)]
struct Report {
    /// Kinds of requests that were judged.
    judged: usize,
    /// Requests that could not be judged, as their caller or host is not known.
    unknown: usize,
    /// Those that would go elsewhere, or end otherwise.
    changed: Vec<Changed>,
}

/// Runs it.
///
/// # Errors
/// A file cannot be read, or nothing runs to be compared with.
pub(super) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    let running = if args.files.is_empty() { Some(access::connect(globals)?) } else { None };
    let base = match &running {
        Some(running) => Mesh::objects_of(running.objects()?),
        None => Mesh::read_files(&args.files, &args.namespace)?,
    };
    let (files, findings) = read(&args.diff, Some(&args.namespace))?;
    let problems: Vec<String> = findings.iter().filter(|d| d.is_error()).map(ToString::to_string).collect();
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    let same =
        |a: &leno_config::Object, b: &leno_config::Object| a.describe() == b.describe() && a.group() == b.group();
    let mut after = base.clone();
    after.retain(|o| !files.iter().any(|f| same(o, f)));
    after.extend(files);
    let (now, then) = (Mesh::of_objects(base)?, Mesh::of_objects(after)?);
    let kinds = match (args.request.is_empty(), &running) {
        (false, _) => vec![Kind { question: Question::read(args)?, pod: None, seen: 1 }],
        (true, Some(running)) => seen(args, running.as_ref())?,
        (true, None) => bail!("with --file, say which request: --diff alone looks at what runs"),
    };
    let report = compare(args, &now, &then, kinds)?;
    if !args.output.print(&report)? {
        print!("{}", text(&report));
    }
    Ok(ExitCode::SUCCESS)
}

/// Requests that are alike.
struct Kind {
    question: Question,
    /// Namespace and name of a pod that asked; `None`: as `--from` says.
    pod: Option<(String, String)>,
    seen: usize,
}

fn compare(args: &Args, now: &Mesh, then: &Mesh, kinds: Vec<Kind>) -> anyhow::Result<Report> {
    let mut report = Report { judged: 0, unknown: 0, changed: Vec::new() };
    for kind in kinds {
        let caller = match &kind.pod {
            Some((namespace, name)) => now.world.pods().get(namespace, name),
            None => Some(now.caller(from(args)?, &args.namespace)?),
        };
        let before = caller.map(|c| one(now, c, &kind.question));
        let before = if kind.pod.is_none() { before.transpose()?.map(Ok) } else { before };
        let Some((caller, Ok(before))) = caller.zip(before) else {
            report.unknown += 1;
            continue;
        };
        report.judged += 1;
        let now = ends(&before);
        let then = match then
            .world
            .pods()
            .get(&caller.facts.namespace, &caller.facts.name)
            .map(|c| one(then, c, &kind.question))
        {
            Some(Ok(trace)) => ends(&trace),
            Some(Err(error)) => vec![format!("{error:#}")],
            None => vec!["its caller would be gone".to_owned()],
        };
        if now != then {
            let (from, request) = (name_of(caller), kind.question.words());
            report.changed.push(Changed { from, request, seen: kind.seen, now, then });
        }
    }
    Ok(report)
}

fn one(mesh: &Mesh, caller: &Pod, question: &Question) -> anyhow::Result<Trace> {
    let target = mesh.resolve(question, caller)?;
    let asked = question.asked(caller, &target, mesh.bypass_outbound(caller, target.address, question.port));
    judge(mesh, None, caller, &asked)
}

/// Where it goes and what comes back, in comparable words.
fn ends(trace: &Trace) -> Vec<String> {
    let to = trace.branches.iter().map(|b| {
        let service = b.service.as_ref().map_or_else(|| "the address itself".to_owned(), ToString::to_string);
        let subset = b.subset.as_ref().map(|s| format!(" subset {s}")).unwrap_or_default();
        let port = if b.port == 0 { String::new() } else { format!(":{}", b.port) };
        format!("{} to {service}{port}{subset}", percent(b.share))
    });
    let rest = trace.outcomes.iter().filter(|o| o.reason != leno_core::Reason::Answered).map(|o: &Outcome| {
        let status = o.status.filter(|s| *s > 0).map_or_else(|| "no answer".to_owned(), |s| s.to_string());
        format!("{} {status}: {}", percent(o.share), o.words)
    });
    let rules = trace
        .steps
        .iter()
        .filter(|s| matches!(s.what.as_str(), "timeout" | "retries" | "rewrite" | "fault" | "mirror"));
    to.chain(rest).chain(rules.map(|s| format!("{}: {}", s.what, s.says))).collect()
}

/// What the sidecars see while this watches, and what they remember.
fn seen(args: &Args, running: &dyn Access) -> anyhow::Result<Vec<Kind>> {
    let pods: Vec<access::Pod> = running.pods()?.into_iter().filter(|p| p.meshed && !p.ended).collect();
    if pods.len() > MOST {
        bail!(
            "{} sidecars are too many to watch (at most {MOST}): say which request, with its URL and --from",
            pods.len()
        );
    }
    let fetch = |pod: &access::Pod, next: Option<u64>| -> anyhow::Result<Taps> {
        let query = next.map(|n| format!("?from={n}")).unwrap_or_default();
        let value: Value = access::pod_json(running, pod, port::ADMIN, &format!("/leno/v1/tap{query}"))?;
        Ok(serde_json::from_value(value)?)
    };
    let mut found: BTreeMap<(String, String, String, String, String), usize> = BTreeMap::new();
    let mut note = |t: &Tapped| {
        if t.inbound || t.method.is_empty() {
            return;
        }
        let path = t.path.split('?').next().unwrap_or("/").to_owned();
        let key = (t.source.namespace.clone(), t.source.pod.clone(), t.method.clone(), t.authority.clone(), path);
        *found.entry(key).or_default() += 1;
    };
    for one in remembered::gather(running)?.failures {
        note(&one.failure.request);
    }
    let mut next: Vec<Option<u64>> = pods.iter().map(|p| fetch(p, None).ok().map(|t| t.next)).collect();
    eprintln!("Watching {} sidecars for {}s.", pods.len(), args.watch.as_secs());
    let end = Instant::now() + args.watch;
    while Instant::now() < end {
        std::thread::sleep(PERIOD.min(end.saturating_duration_since(Instant::now())));
        for (pod, next) in pods.iter().zip(&mut next) {
            let Ok(taps) = fetch(pod, *next) else { continue };
            *next = Some(taps.next);
            taps.requests.iter().for_each(&mut note);
        }
    }
    let kind =
        |((namespace, pod, method, authority, path), seen): ((String, String, String, String, String), usize)| {
            let question = Question::of(&method, &authority, &path)?;
            Some(Kind { question, pod: Some((namespace, pod)), seen })
        };
    Ok(found.into_iter().filter_map(kind).collect())
}

fn text(report: &Report) -> String {
    let mut out = format!(
        "{} kinds of requests were judged, {} would go elsewhere or end otherwise.\n",
        report.judged,
        report.changed.len()
    );
    if report.unknown > 0 {
        out.push_str(&format!("{} could not be judged: their caller or host is not known any more.\n", report.unknown));
    }
    for changed in &report.changed {
        out.push_str(&format!("\n{} from {} ({} seen)\n", changed.request, changed.from, changed.seen));
        let common = |line: &&String| !(changed.now.contains(line) && changed.then.contains(line));
        for (label, lines) in [("now", &changed.now), ("then", &changed.then)] {
            for (at, line) in lines.iter().filter(common).enumerate() {
                out.push_str(&format!("  {:<6}{line}\n", if at == 0 { label } else { "" }));
            }
        }
    }
    if report.judged > 0 {
        out.push_str(
            "\nRules that match headers were judged as the question has them; seen requests as if they had none.\n",
        );
    }
    out
}

/// Sidecars that are watched at most.
const MOST: usize = 50;
const PERIOD: std::time::Duration = std::time::Duration::from_millis(500);
