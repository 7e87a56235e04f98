//! `leno why`: where a request goes, and what becomes of it, by the sidecars' own decisions.
//!
//! [`question`] reads what is asked, [`mesh`] holds the objects it is asked of, [`materialise`] makes pods of workloads in
//! files, [`live`] asks the sidecars, [`mod@print`] says the answer. [`remembered`] asks about requests that failed, [`diff`] about
//! a change that is not made yet.

mod diff;
mod live;
mod materialise;
mod mesh;
mod print;
mod question;
mod remembered;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use leno_control::imagine::{self, Place};
use leno_control::world::Pod;
use leno_core::why::{self as decide, Asked, Trace};
use leno_viz::model::{Resource, parse_duration};
use serde::Serialize;

use super::{Globals, Output};
use crate::access::{self, Access};
use crate::table::Screen;
use mesh::Mesh;
use question::Question;

/// Says where a request would go and what would come back, step by step, by the sidecars' own decisions.
///
/// The caller's sidecar is asked what it would do, and the sidecars of the pods that it may choose what they would; nothing is
/// sent. With --file nothing needs to run: the answer is worked out from objects, by the same functions. Where chance decides
/// (weights, faults, pods), all alternatives are told with their shares.
///
/// Exit code 0 when the application would answer, 1 when some or all such requests would fail in the mesh.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// `[METHOD] URL`: GET where there is none. `http://`, `grpc://`, `https://` (TLS of the application's own) or
    /// `tcp://HOST:PORT`.
    #[arg(value_name = "[METHOD] URL", num_args = 1..=2, required_unless_present_any = ["request_id", "last_failure", "diff"])]
    request: Vec<String>,
    /// The caller: deploy/NAME, sts/NAME, ds/NAME, job/NAME, cronjob/NAME or a pod's name; a namespace may follow (`NAME.NS`).
    #[arg(long, value_name = "WORKLOAD")]
    from: Option<String>,
    /// Namespace of the caller.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// A header, as curl takes it. May be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The application speaks HTTP/2 in plaintext, as gRPC does.
    #[arg(long)]
    http2: bool,
    /// Files and folders of YAML or JSON instead of what runs; `-` for standard input. Pods, addresses and endpoints that they do
    /// not have are made up: each workload has its replicas, all ready.
    #[arg(short = 'f', long = "file", value_name = "FILE", num_args = 1.., conflicts_with_all = ["request_id", "last_failure"])]
    files: Vec<PathBuf>,
    /// A real request that failed lately, by its `x-request-id` (in the access log and the answer's page).
    #[arg(long, value_name = "ID", conflicts_with_all = ["request", "last_failure", "diff"])]
    request_id: Option<String>,
    /// The last request that failed, to svc/NAME[.NAMESPACE], or of deploy/NAME[.NAMESPACE] and the like.
    #[arg(long, value_name = "KIND/NAME", conflicts_with_all = ["request", "diff"])]
    last_failure: Option<Resource>,
    /// Which requests would go elsewhere if these files were applied: the one that is asked about, else what the sidecars see
    /// while this watches, and what they remember of failures.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    diff: Vec<PathBuf>,
    /// How long --diff watches.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    watch: Duration,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  leno why GET http://catalog:8080/items --from deploy/web -n shop
  leno why POST http://pay.shop:8080/charge --from deploy/cart -n shop -H 'x-user: jason'
  leno why tcp://db:5432 --from deploy/cart -n shop -o json
  leno why http://catalog:8080/ --from deploy/web -n shop --file samples/istio my-canary.yaml
  leno why --last-failure svc/catalog.shop
  leno why --request-id 6f0b3a52-0c3e-4a0f-9a52-3f2f7c0b6c11
  leno why --diff my-canary.yaml --for 30s";

/// An answer for machines.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    /// `POD.NAMESPACE` of the caller.
    from: &'a str,
    /// The request.
    asked: &'a Asked,
    /// What the name stands for.
    name: &'a str,
    #[serde(flatten)]
    trace: &'a Trace,
}

/// Runs it.
pub(crate) fn run(args: &Args, globals: &Globals) -> anyhow::Result<ExitCode> {
    if args.request_id.is_some() || args.last_failure.is_some() {
        return remembered::run(args, access::connect(globals)?.as_ref());
    }
    if !args.diff.is_empty() {
        return diff::run(args, globals);
    }
    let question = Question::read(args)?;
    let (mesh, running) = if args.files.is_empty() {
        let running = access::connect(globals)?;
        (Mesh::running(running.objects()?)?, Some(running))
    } else {
        (Mesh::of_files(&args.files, &args.namespace)?, None)
    };
    let caller = mesh.caller(from(args)?, &args.namespace)?;
    let target = mesh.resolve(&question, caller)?;
    let asked = question.asked(caller, &target, mesh.bypass_outbound(caller, target.address, question.port));
    let trace = judge(&mesh, running.as_deref(), caller, &asked)?;
    let who = name_of(caller);
    let answer = Answer { from: &who, asked: &asked, name: &target.says, trace: &trace };
    if !args.output.print(&answer)? {
        print!("{}", print::text(&answer, &Screen::stdout(), args.output == Output::Wide));
    }
    Ok(exit_code(&trace))
}

fn from(args: &Args) -> anyhow::Result<&str> {
    args.from
        .as_deref()
        .context("name the caller, such as --from deploy/web -n shop: rules and policies depend on who asks")
}

fn name_of(pod: &Pod) -> String {
    format!("{}.{}", pod.facts.name, pod.facts.namespace)
}

fn exit_code(trace: &Trace) -> ExitCode {
    let fails = trace.outcomes.iter().any(|o| o.reason.is_failure() && o.share > 0.0);
    if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Both sides' decisions: the sidecars' own where they run, else worked out from objects.
///
/// # Errors
/// When the caller's sidecar does not answer.
fn judge(mesh: &Mesh, running: Option<&dyn Access>, caller: &Pod, asked: &Asked) -> anyhow::Result<Trace> {
    let mut trace = match running {
        Some(running) if caller.facts.meshed => live::outbound(running, caller, asked)?,
        _ => decide::outbound(&Place { world: &mesh.world, pod: caller }, asked),
    };
    answer_of_callees(mesh, running, &mut trace);
    decide::conclude(&mut trace);
    mesh.name_sources(&mut trace);
    Ok(trace)
}

/// What the sidecar of each pod that may be chosen decides.
fn answer_of_callees(mesh: &Mesh, running: Option<&dyn Access>, trace: &mut Trace) {
    let mut asked = 0;
    for candidate in trace.branches.iter_mut().flat_map(|b| &mut b.candidates) {
        let Some(arriving) = &candidate.arriving else { continue };
        if candidate.share <= 0.0 {
            continue;
        }
        if let Some(passes) = mesh.bypass_inbound(arriving, candidate.secured) {
            candidate.inbound = Some(passes);
            continue;
        }
        let by_sidecar = running.filter(|_| asked < live::MOST).and_then(|running| {
            asked += 1;
            live::inbound(running, &candidate.namespace, &candidate.pod, arriving)
        });
        candidate.inbound =
            by_sidecar.or_else(|| imagine::inbound(&mesh.world, arriving, mesh.is_opaque(arriving.dialled)));
    }
}
