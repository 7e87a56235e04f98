//! What the control plane takes while nothing changes.

use std::time::{Duration, Instant};

use super::plane::Plane;
use super::source::Source;

/// A control plane that is left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// Cores that it takes: mostly answers to the proxies' pings.
    pub(crate) cores: f64,
    /// Whether it has calmed down. If not, the cores are those of the last look, and no figure of what a change costs.
    pub(crate) calm: bool,
}

impl Rest {
    /// CPU time, in ms, that it takes in that time whatever else it does: none where that is not known, so that a change is
    /// said to cost too much rather than too little.
    pub(crate) fn beside(&self, time: Duration) -> f64 {
        if self.calm { self.cores * time.as_secs_f64() * 1000.0 } else { 0.0 }
    }
}

/// Waits until it has calmed down: the leader first writes into each object in how many proxies it lives, some of them at a
/// time. That can take minutes, at a pace that is as even as rest is.
pub(crate) async fn at_rest(source: &Source, plane: &Plane) -> anyhow::Result<Rest> {
    let mut looks: Vec<Look> = Vec::with_capacity(LOOKS);
    let mut versions = source.versions().await?;
    while looks.len() < LOOKS {
        let (start, cpu) = (Instant::now(), plane.cpu()?);
        tokio::time::sleep(LOOK).await;
        let cores = plane.cpu()?.saturating_sub(cpu).as_secs_f64() / start.elapsed().as_secs_f64();
        let now = source.versions().await?;
        looks.push(Look { cores, wrote: now != versions });
        versions = now;
        if let Some(cores) = calm(&looks) {
            return Ok(Rest { cores, calm: true });
        }
    }
    let cores = looks.last().map_or(f64::NAN, |look| look.cores);
    eprintln!("the control plane did not calm down in {:.0?}: {cores:.3} cores", LOOK * LOOKS as u32);
    Ok(Rest { cores, calm: false })
}

/// What was seen in one look.
#[derive(Clone, Copy, Debug)]
struct Look {
    cores: f64,
    /// The leader wrote to an object.
    wrote: bool,
}

/// The cores at rest, where the last two looks saw nothing written and agree.
fn calm(looks: &[Look]) -> Option<f64> {
    let [.., before, last] = looks else { return None };
    let alike = (last.cores - before.cores).abs() < 0.002 + 0.1 * last.cores;
    (alike && !before.wrote && !last.wrote).then(|| f64::midpoint(before.cores, last.cores))
}

/// For how long it is watched at a time. Proxies send a ping in 10 s, and those that came together send it together.
const LOOK: Duration = Duration::from_secs(10);
/// At most so many times: of 5,000 services the leader writes to a thousand objects, 50 in some 10 s.
const LOOKS: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(seen: &[(f64, bool)]) -> Vec<Look> {
        seen.iter().map(|(cores, wrote)| Look { cores: *cores, wrote: *wrote }).collect()
    }

    #[test]
    fn rest_is_two_looks_that_agree() {
        assert_eq!(calm(&[]), None);
        assert_eq!(calm(&looks(&[(0.004, false)])), None);
        assert_eq!(calm(&looks(&[(0.3, true), (0.004, false), (0.004, false)])), Some(0.004));
        assert_eq!(calm(&looks(&[(0.030, false), (0.004, false)])), None, "the first one was busy");
    }

    #[test]
    fn what_is_not_known_is_not_taken_off() {
        let beside = |calm| Rest { cores: 0.01, calm }.beside(Duration::from_secs(2));
        assert_eq!((beside(true), beside(false)), (20.0, 0.0));
    }

    #[test]
    fn an_even_pace_of_writing_is_no_rest() {
        assert_eq!(calm(&looks(&[(0.013, true), (0.013, true)])), None);
        assert_eq!(calm(&looks(&[(0.013, true), (0.013, false)])), None);
    }
}
