//! `leno-shop call` and `leno-shop load`: HTTP clients that count and time.

use std::cell::{Cell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use crate::client::{Client, Received, RequestArgs, Target};
use crate::report::Report;
use crate::server::asked_to_end;
use crate::units::duration;

/// Sends a few requests and prints the answer, or for several requests a summary.
///
/// Fails (exit 1) when a request had no full answer, or a 5xx.
#[derive(clap::Args)]
pub(crate) struct CallArgs {
    /// `http://HOST[:PORT]/PATH`
    url: String,
    /// How many requests.
    #[arg(short, long, default_value_t = 1)]
    number: u64,
    /// How many at a time.
    #[arg(short, long, default_value_t = 1)]
    concurrency: usize,
    /// Print the summary as JSON, for one request too.
    #[arg(long)]
    json: bool,
    /// Print status line and headers, for one request.
    #[arg(short, long)]
    include: bool,
    #[command(flatten)]
    request: RequestArgs,
}

/// Generates load and prints success, counts and exact latency percentiles.
///
/// With --rps the load is open: request i is due at i/rps, and its latency counts from then even if all connections were
/// busy, so a stalled server cannot hide its stall. Without --rps each connection sends as fast as answers come.
/// SIGTERM and Ctrl-C end the run early, with its report. Exit 1 only when no request succeeded, or --success is missed.
#[derive(clap::Args)]
pub(crate) struct LoadArgs {
    /// Addresses, taken in turn.
    #[arg(required = true)]
    urls: Vec<String>,
    /// Requests each second, over all connections.
    #[arg(long)]
    rps: Option<f64>,
    /// Connections (with --h2: streams) at most.
    #[arg(short, long, default_value_t = 16)]
    concurrency: usize,
    /// How long [default: until told to end].
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    /// Stop after so many requests.
    #[arg(short, long)]
    number: Option<u64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Print a line so often while running.
    #[arg(long, value_parser = duration)]
    every: Option<Duration>,
    /// Exit 1 when the success rate is lower (0..1).
    #[arg(long)]
    success: Option<f64>,
    #[command(flatten)]
    request: RequestArgs,
}

/// Runs `call`.
pub(crate) async fn call(args: CallArgs) -> anyhow::Result<ExitCode> {
    let target = Target::new(&args.url, &args.request)?;
    if args.number == 1 && !args.json {
        let (outcome, answer) = Client::default().send(&target).await;
        match answer {
            Some(answer) => show(&answer, args.include),
            None => eprintln!("{}: {}", outcome.error.unwrap_or("error"), outcome.detail),
        }
        return Ok(if outcome.good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let pace = Pace { rps: None, limit: Some(args.number), length: None };
    let run = run(vec![target], args.concurrency, pace, None).await;
    print(&run, args.json);
    Ok(if run.report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs `load`.
pub(crate) async fn load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let targets = args.urls.iter().map(|url| Target::new(url, &args.request)).collect::<Result<Vec<_>, _>>()?;
    let pace = Pace { rps: args.rps.filter(|rps| *rps > 0.0), limit: args.number, length: args.duration };
    let run = run(targets, args.concurrency, pace, args.every).await;
    print(&run, args.json);
    let (requests, failed) = (run.report.requests(), run.report.failed());
    #[allow(clippy::cast_precision_loss)]
    let rate = if requests == 0 { 1.0 } else { 1.0 - failed as f64 / requests as f64 };
    let bad = requests > 0 && failed == requests || args.success.is_some_and(|least| rate < least);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(answer: &Received, include: bool) {
    if include {
        println!("{:?} {}", answer.head.version, answer.head.status);
        for (name, value) in answer.head.headers.iter().chain(&answer.trailers) {
            println!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        println!();
    }
    print!("{}", String::from_utf8_lossy(&answer.body));
}

fn print(run: &Run, json: bool) {
    let seconds = run.elapsed.as_secs_f64();
    if json {
        println!("{}", run.report.json(seconds));
    } else {
        print!("{}", run.report.text(seconds));
    }
}

struct Pace {
    rps: Option<f64>,
    limit: Option<u64>,
    length: Option<Duration>,
}

impl Pace {
    /// When request `i` is due after the start; `None` when the run is over before it.
    fn due(&self, i: u64, elapsed: Duration) -> Option<Duration> {
        if self.limit.is_some_and(|limit| i >= limit) {
            return None;
        }
        #[allow(clippy::cast_precision_loss)]
        let due = self.rps.map_or(elapsed, |rps| Duration::from_secs_f64(i as f64 / rps));
        self.length.is_none_or(|length| due < length && elapsed < length + OVERTIME).then_some(due)
    }
}

struct Run {
    report: Report,
    elapsed: Duration,
}

/// What the workers of one run share. All run on one thread.
struct Shared {
    targets: Vec<Target>,
    pace: Pace,
    start: Instant,
    next: Cell<u64>,
    report: RefCell<Report>,
}

async fn run(targets: Vec<Target>, concurrency: usize, pace: Pace, every: Option<Duration>) -> Run {
    let shared = Rc::new(Shared {
        targets,
        pace,
        start: Instant::now(),
        next: Cell::new(0),
        report: RefCell::new(Report::default()),
    });
    let local = LocalSet::new();
    let workers = async {
        let mut workers = JoinSet::new();
        for _ in 0..concurrency.max(1) {
            workers.spawn_local(worker(shared.clone()));
        }
        while workers.join_next().await.is_some() {}
    };
    let ticker = async {
        let Some(every) = every else { return std::future::pending().await };
        let mut interval = tokio::time::interval_at(shared.start + every, every);
        loop {
            interval.tick().await;
            let elapsed = shared.start.elapsed().as_secs_f64();
            let report = shared.report.borrow();
            println!("{elapsed:.0}s: {} requests, {} failed", report.requests(), report.failed());
        }
    };
    local
        .run_until(async {
            tokio::select! {
                () = workers => {}
                () = ticker => {}
                () = asked_to_end() => {}
            }
        })
        .await;
    let elapsed = shared.start.elapsed();
    Run { report: shared.report.take(), elapsed }
}

async fn worker(shared: Rc<Shared>) {
    let mut clients: Vec<Client> = shared.targets.iter().map(|_| Client::default()).collect();
    loop {
        let i = shared.next.get();
        shared.next.set(i + 1);
        let elapsed = shared.start.elapsed();
        let Some(due) = shared.pace.due(i, elapsed) else { return };
        let mut from = shared.start + due;
        if due > elapsed {
            tokio::time::sleep_until(from).await;
            // A timer wakes up to a millisecond late; that is this program's delay, not the server's.
            let now = Instant::now();
            if now - from < TIMER_SLACK {
                from = now;
            }
        }
        let which = usize::try_from(i % shared.targets.len() as u64).unwrap_or(0);
        let (outcome, _) = clients[which].send(&shared.targets[which]).await;
        let latency = from.elapsed();
        let pause = outcome.error.is_some() && shared.pace.rps.is_none();
        shared.report.borrow_mut().add(outcome, latency, shared.start.elapsed());
        if pause {
            // A closed loop against a dead server would spin.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// How late a timer may wake without it being counted as latency.
const TIMER_SLACK: Duration = Duration::from_millis(2);

/// An overloaded open loop stops this long after its end, with requests that were due left unsent.
const OVERTIME: Duration = Duration::from_secs(5);
