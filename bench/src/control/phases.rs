//! What is done to a running mesh, and what is seen of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::task::JoinSet;

use super::deliveries::{Deliveries, Delivery};
use super::fleet::{Fleet, Part, Plan};
use super::mesh::{MASKS, ROUTED};
use super::plane::Plane;
use super::rest::Rest;
use super::source::Source;

/// Longest wait for a change to arrive: longer than any goal.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two changes that are looked at one by one: each is alone.
const PAUSE: Duration = Duration::from_millis(200);

/// A kind of change, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alone {
    /// Time until the last proxy concerned had it, for each change, sorted.
    pub(crate) last: [f64; 2],
    /// CPU time of the control plane per change, ms, without what it takes at rest, where that is known.
    pub(crate) cpu: f64,
    /// Bytes of resources per change, sent to all proxies together.
    pub(crate) pushed: f64,
    /// Proxies concerned by a change, on average.
    pub(crate) concerned: f64,
}

/// What is changed.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// A route's weight.
    Route,
    /// Endpoints.
    Endpoints,
    /// Endpoints of the service that one proxy alone subscribes to.
    Lone,
}

/// One change after another, `count` of them.
pub(crate) async fn alone(
    change: Change,
    (count, rest): (usize, Rest),
    plan: Plan,
    (source, plane): (&Source, &Plane),
    fleet: &mut Fleet,
    values: &mut Values,
) -> anyhow::Result<Alone> {
    let (pushed, start) = (plane.pushed().await?, Instant::now());
    let cpu = plane.cpu()?;
    let (mut delays, mut concerned) = (Vec::with_capacity(count), 0);
    for n in 0..count {
        let service = match change {
            Change::Route => n * ROUTED % plan.watched().next_multiple_of(ROUTED),
            Change::Endpoints => n * 7 % plan.watched(),
            Change::Lone => plan.lone(),
        };
        let part = if matches!(change, Change::Route) { Part::Routes } else { Part::Endpoints };
        let waiting = plan.concerned(service);
        concerned += waiting;
        let value = values.next(service, part);
        let done = write(source, service, part, value).await?;
        let last = all_have_it(fleet, (service, part, value), waiting).await?;
        delays.push(last.saturating_duration_since(done));
        tokio::time::sleep(PAUSE).await;
    }
    // Less than nothing is an error of measuring, and is to be seen as one.
    let cpu = millis(plane.cpu()?.saturating_sub(cpu)) - rest.beside(start.elapsed());
    let pushed = plane.pushed().await? - pushed;
    let count = count as f64;
    Ok(Alone {
        last: percentiles(&mut delays),
        cpu: cpu / count,
        pushed: pushed / count,
        concerned: concerned as f64 / count,
    })
}

async fn all_have_it(fleet: &mut Fleet, what: (usize, Part, u32), mut waiting: usize) -> anyhow::Result<Instant> {
    let until = Instant::now() + PATIENCE;
    let mut last = Instant::now();
    while waiting > 0 {
        let seen = fleet.next(until).await?;
        let seen = seen.ok_or_else(|| anyhow::anyhow!("{waiting} proxies have not heard of {what:?}"))?;
        if (seen.service, seen.part, seen.value) == what {
            waiting -= 1;
            last = seen.at;
        }
    }
    Ok(last)
}

/// Many changes of endpoints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Churn {
    /// From the change to a proxy, p50 and p99 over all changes and proxies concerned, ms.
    pub(crate) delivery: [f64; 2],
    /// Cores that the control plane took.
    pub(crate) cores: f64,
    /// Changes a second that were really made.
    pub(crate) rate: f64,
    /// The share of deliveries that a later change of the same service has made, from 0 to 1.
    pub(crate) overtaken: f64,
}

/// `rate` changes a second, evenly, for a time.
pub(crate) async fn churn(
    rate: u32,
    time: Duration,
    plan: Plan,
    (source, plane): (&Arc<Source>, &Plane),
    fleet: &mut Fleet,
    values: &mut Values,
) -> anyhow::Result<Churn> {
    let count = rate as usize * usize::try_from(time.as_secs())?;
    let mut changes = (0..count).map(|n| n % plan.watched());
    let (start, cpu) = (Instant::now(), plane.cpu()?);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut writes: JoinSet<anyhow::Result<((usize, usize), Instant)>> = JoinSet::new();
    let mut deliveries = Deliveries::default();
    let (mut spent, mut until) = (Duration::ZERO, start + time + PATIENCE);
    let mut writing = true;
    while writing || deliveries.waiting() > 0 {
        tokio::select! {
            _ = ticks.tick(), if writing => {
                if let Some(service) = changes.next() {
                    let value = values.next(service, Part::Endpoints);
                    let change = deliveries.give(service, value, plan.concerned(service));
                    let source = Arc::clone(source);
                    writes.spawn(async move {
                        let at = write(&source, service, Part::Endpoints, value).await?;
                        Ok(((service, change), at))
                    });
                } else {
                    (writing, spent, until) = (false, start.elapsed(), Instant::now() + PATIENCE);
                }
            }
            seen = fleet.next(until) => {
                let seen = seen?.ok_or_else(|| anyhow::anyhow!("{} changes did not arrive", deliveries.waiting()))?;
                deliveries.arrive(seen.proxy, seen.service, seen.value, seen.at);
            }
        }
    }
    let cores = plane.cpu()?.saturating_sub(cpu).as_secs_f64() / start.elapsed().as_secs_f64();
    let mut written = HashMap::new();
    while let Some(write) = writes.join_next().await {
        let (what, at) = write??;
        written.insert(what, at);
    }
    let delay = |d: &Delivery| Some(d.at.saturating_duration_since(*written.get(&(d.service, d.change))?));
    let mut delays: Vec<Duration> = deliveries.done().iter().filter_map(delay).collect();
    Ok(Churn {
        delivery: percentiles(&mut delays),
        cores,
        rate: count as f64 / spent.as_secs_f64(),
        overtaken: deliveries.overtaken(),
    })
}

fn write(source: &Source, service: usize, part: Part, value: u32) -> BoxFuture<'_, anyhow::Result<Instant>> {
    match part {
        Part::Routes => Box::pin(source.write_route(service, value)),
        Part::Endpoints => Box::pin(source.write_endpoints(service, value)),
    }
}

/// The values that each part of each service has been given, so that the next one is another.
#[derive(Default)]
pub(crate) struct Values(HashMap<(usize, Part), u32>);

impl Values {
    /// A new one.
    fn next(&mut self, service: usize, part: Part) -> u32 {
        let start = if part == Part::Routes { 50 } else { MASKS };
        let value = self.0.entry((service, part)).or_insert(start);
        // A weight from 1 to 99, or a set of endpoints that is not empty.
        let most = if part == Part::Routes { 99 } else { MASKS };
        *value = *value % most + 1;
        *value
    }
}

/// p50 and p99 in ms.
fn percentiles(delays: &mut [Duration]) -> [f64; 2] {
    delays.sort_unstable();
    [50, 99].map(|percent| {
        let at = (delays.len() * percent).div_ceil(100).saturating_sub(1);
        delays.get(at).map_or(f64::NAN, |d| millis(*d))
    })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
