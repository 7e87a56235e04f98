//! How much memory the live window takes: `make viz-memory`, or `cargo run -p leno-viz --example memory [WORKLOADS EDGES]`.
//!
//! It fills the real window with half an hour of figures in steps of five seconds, as scrapes would, and prints what the
//! process holds then. It fails above 256 MiB.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use leno_core::id::{Direction, ServiceId};
use leno_core::samples::{PeerLabels, RequestLabels, RequestSample, Samples};
use leno_core::sketch::Sketch;
use leno_kit::process::resident_bytes;
use leno_viz::model::{Kind, Question};
use leno_viz::rules::Rules;
use leno_viz::window::Window;
use leno_viz::{graph, query};

/// Milliseconds.
const STEP: u64 = 5000;
const STEPS: u64 = 360;
const BEGIN: u64 = 1_000_000;
/// Requests of one edge in one step: five a second.
const REQUESTS: u64 = 25;
/// Distributions of latency that edges have.
const KINDS: usize = 16;
const GOAL: u64 = 256 << 20;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let (workloads, edges) = (numbers.next().unwrap_or(1000), numbers.next().unwrap_or(5000));
    let idle = resident_bytes();
    let mut window = Window::new(Duration::from_secs(STEPS * STEP / 1000), BEGIN);
    let mut totals = vec![Sketch::new(); KINDS];
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let began = Instant::now();
    for step in 1..=STEPS {
        for (kind, sketch) in totals.iter_mut().enumerate() {
            (0..REQUESTS).for_each(|_| sketch.record(chance.latency(kind)));
        }
        for workload in 0..workloads {
            window.record(samples(workload, (workloads, edges), step, &totals), BEGIN + step * STEP + workload as u64);
        }
    }
    let resident = resident_bytes();
    let now = BEGIN + (STEPS + 1) * STEP;
    let took = |ask: &dyn Fn()| {
        let began = Instant::now();
        ask();
        began.elapsed()
    };
    let minute = took(&|| drop(query::stat(&window, &Question::new(Kind::Deployment), now)));
    let map = took(&|| drop(graph::graph(&window, &Rules::default(), None, Duration::from_secs(60), now)));
    let (frames, series) = window.size();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("{workloads} workloads, {edges} edges, {STEPS} steps of 5 s (filled in {:.0?})", began.elapsed());
    println!("FIGURE memory of the window: {:.0} MiB (goal: at most {:.0} MiB)", mib(resident), mib(GOAL));
    println!(
        "  idle {:.0} MiB; by account frames {:.0}, series {:.0}",
        mib(idle),
        mib(frames as u64),
        mib(series as u64)
    );
    println!("  left out: {:?}", window.left_out());
    println!("  stat of a minute {minute:.0?}, map of a minute {map:.0?}");
    if resident > GOAL { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What the sidecar of a workload has counted: each edge is told by both of its ends.
fn samples(workload: usize, (workloads, edges): (usize, usize), step: u64, totals: &[Sketch]) -> Samples {
    let mut requests = Vec::new();
    let each = edges / workloads;
    for at in 0..each {
        requests.push(sample(Direction::Outbound, workload, (workload + at * 7 + 1) % workloads, step, totals));
        let caller = (workload + 2 * workloads - at * 7 - 1) % workloads;
        requests.push(sample(Direction::Inbound, caller, workload, step, totals));
    }
    Samples {
        namespace: namespace(workload),
        pod: pod(workload),
        workload: name(workload),
        kind: "deployment".to_owned(),
        version: "0.1.0".to_owned(),
        started_ms: BEGIN + 1,
        requests,
        tcp: Vec::new(),
    }
}

fn sample(direction: Direction, from: usize, to: usize, step: u64, totals: &[Sketch]) -> RequestSample {
    let labels = RequestLabels {
        direction,
        source: peer(from),
        destination: peer(to),
        service: Some(ServiceId::new(namespace(to), name(to))),
        route: "default".to_owned(),
        mtls: true,
        status: 200,
        grpc: None,
        reason: "answered".to_owned(),
        policy: String::new(),
    };
    let count = step * REQUESTS;
    let sketch = totals[(from + to) % totals.len()].clone();
    RequestSample { labels, flags: "-".to_owned(), count, tries: count, retries: 0, sketch }
}

fn peer(workload: usize) -> PeerLabels {
    PeerLabels {
        namespace: namespace(workload),
        workload: name(workload),
        kind: "deployment".to_owned(),
        pod: pod(workload),
        principal: format!("spiffe://cluster.local/ns/{}/sa/{}", namespace(workload), name(workload)),
    }
}

fn namespace(workload: usize) -> String {
    format!("team-{}", workload % 40)
}

fn name(workload: usize) -> String {
    format!("some-service-{workload}")
}

fn pod(workload: usize) -> String {
    format!("some-service-{workload}-5d4c8f7b9-x{workload:04}")
}

/// Numbers by chance, the same in each run (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Some milliseconds, with a long tail.
    fn latency(&mut self, kind: usize) -> Duration {
        let spread = self.next() + self.next() + self.next() - 1.5;
        Duration::from_secs_f64(0.002 * (1.0 + kind as f64) * (1.2 * spread).exp())
    }
}
