//! `leno-bench control`: what a change costs the control plane, and how long it takes to reach all proxies concerned.
//!
//! The control plane is the program that users run. It follows a real kube-apiserver, or a folder. The proxies are many in
//! this process, each with the sidecar's own client code, a token and a certificate.

mod apiserver;
mod deliveries;
mod fleet;
mod goals;
mod mesh;
mod phases;
mod plane;
mod report;
mod rest;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use fleet::{Fleet, Plan, Subscribed};
use goals::Goal;
use phases::{Change, Values, alone, churn};
use plane::Plane;
use report::Row;
use rest::at_rest;
use source::Source;

/// What is measured.
#[derive(Args)]
pub(crate) struct Options {
    /// 1,000 services and 10 and 100 proxies only: some 5 minutes, since each row takes one at least.
    #[arg(long)]
    quick: bool,
    /// Where changes come from; without it a kube-apiserver where `make cluster` has built one, else files.
    #[arg(long)]
    source: Option<Kind>,
    /// Numbers of services.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000, 5000])]
    services: Vec<usize>,
    /// Numbers of proxies.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 500])]
    proxies: Vec<usize>,
    /// Services that each proxy subscribes to: numbers, or `all`.
    #[arg(long, value_delimiter = ',', default_values = ["20", "all"])]
    subscribed: Vec<String>,
    /// Seconds of 50 changes a second.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Rows of earlier runs in the JSON file stay and are judged along.
    #[arg(long)]
    keep: bool,
    /// The JSON file.
    #[arg(long, default_value = "target/bench-control.json")]
    json: PathBuf,
    /// The control plane's program; without it the one beside this.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// A kind of source.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A kube-apiserver.
    Kube,
    /// A folder of files.
    Files,
}

/// Measures, prints, and says by its code whether all goals hold.
pub(crate) fn run(mut options: Options) -> anyhow::Result<ExitCode> {
    if options.quick {
        (options.services, options.proxies, options.seconds) = (vec![1000], vec![10, 100], 10);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut failed = false;
    let rows = runtime.block_on(measure(&options, &mut failed))?;
    let rows = report::keep(&options.json, rows, options.keep)?;
    let goals = goals::judge(&rows);
    print!("{}\n{}", report::text(&rows), goals::text(&goals));
    let all = goals.iter().all(Goal::held);
    Ok(if all && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Rows of all that could be measured; `failed` when something could not.
async fn measure(options: &Options, failed: &mut bool) -> anyhow::Result<Vec<Row>> {
    let kind = options.source.unwrap_or(if apiserver::program().is_some() { Kind::Kube } else { Kind::Files });
    let program = match &options.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("leno-control"),
    };
    anyhow::ensure!(program.exists(), "{} is not built", program.display());
    let mut rows = Vec::new();
    for services in options.services.iter().copied() {
        let start = Instant::now();
        let source = Arc::new(if kind == Kind::Kube { Source::cluster().await? } else { Source::files()? });
        source.fill(services + 1, options.proxies.iter().copied().max().unwrap_or_default()).await?;
        eprintln!("{services} services are written, {:.0?}", start.elapsed());
        let mut values = Values::default();
        for subscribed in &options.subscribed {
            let subscribed = if subscribed == "all" { Subscribed::All } else { Subscribed::Some(subscribed.parse()?) };
            for proxies in options.proxies.iter().copied() {
                let plan = Plan { services, proxies, subscribed };
                if plan.names_in_all() > MOST {
                    eprintln!("left out: {plan}: {} subscriptions are too many for one process", plan.names_in_all());
                    continue;
                }
                let start = Instant::now();
                let row = one(plan, options.seconds, kind, &program, &source, &mut values).await;
                match row {
                    Ok(row) => {
                        eprintln!("{plan}: {:.0?}", start.elapsed());
                        rows.push(row);
                    }
                    // What was measured before took half an hour, and what comes may be lighter.
                    Err(error) => {
                        eprintln!("failed: {plan}: {error:#}; the control plane's log ends with:\n{}", source.log());
                        *failed = true;
                    }
                }
            }
        }
    }
    Ok(rows)
}

async fn one(
    plan: Plan,
    seconds: u64,
    kind: Kind,
    program: &std::path::Path,
    source: &Arc<Source>,
    values: &mut Values,
) -> anyhow::Result<Row> {
    let plane = Plane::start(program, source).await?;
    tokio::time::sleep(SETTLE).await;
    let (rss_alone, _) = plane.memory()?;
    let (mut fleet, sync) = Fleet::start(plan, source, plane.xds).await?;
    tokio::time::sleep(STATUS).await;
    let rest = at_rest(source, &plane).await?;
    let (rss_synced, _) = plane.memory()?;
    let at = (&**source, &plane);
    let lone = alone(Change::Lone, (CHANGES, rest), plan, at, &mut fleet, values).await?;
    let endpoint = alone(Change::Endpoints, (CHANGES, rest), plan, at, &mut fleet, values).await?;
    // The last: the leader goes on writing to the status of routes for some seconds.
    let route = alone(Change::Route, (CHANGES, rest), plan, at, &mut fleet, values).await?;
    let time = Duration::from_secs(seconds);
    let churn = churn(RATE, time, plan, (source, &plane), &mut fleet, values).await?;
    let (rss, rss_peak) = plane.memory()?;
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(Row {
        source: if kind == Kind::Kube { "kube" } else { "files" }.to_owned(),
        services: plan.services,
        proxies: plan.proxies,
        subscribed: if let Subscribed::Some(n) = plan.subscribed { Some(n) } else { None },
        ready_ms: millis(plane.ready),
        sync_ms: millis(sync),
        rest_cores: rest.cores,
        calm: rest.calm,
        route_ms: route.last,
        route_cpu_ms: route.cpu,
        route_concerned: route.concerned,
        route_pushed: route.pushed,
        endpoint_ms: endpoint.last,
        endpoint_cpu_ms: endpoint.cpu,
        endpoint_concerned: endpoint.concerned,
        endpoint_pushed: endpoint.pushed,
        lone_cpu_ms: lone.cpu,
        churn_ms: churn.delivery,
        churn_cores: churn.cores,
        churn_rate: churn.rate,
        churn_overtaken: churn.overtaken,
        rss_alone,
        rss,
        rss_peak,
        held: rss_synced.saturating_sub(rss_alone) as f64 / plan.proxies as f64,
    })
}

/// Changes of each kind that are looked at one by one.
const CHANGES: usize = 40;
/// For memory that only the start needed to be given back.
const SETTLE: Duration = Duration::from_secs(3);
/// For the leader to begin to write that proxies have come: an object is written at most once in so long.
const STATUS: Duration = Duration::from_secs(10);
/// Changes a second under churn.
const RATE: u32 = 50;
/// Subscriptions of all proxies together that fit into this process: each holds some 300 bytes on the proxies' side.
const MOST: usize = 12_000_000;
