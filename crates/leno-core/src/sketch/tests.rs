use std::time::Duration;

use proptest::prelude::*;

use super::Sketch;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn of(durations: impl IntoIterator<Item = Duration>) -> Sketch {
    let mut sketch = Sketch::new();
    durations.into_iter().for_each(|d| sketch.record(d));
    sketch
}

fn near(found: Duration, expected: Duration) -> bool {
    (found.as_secs_f64() / expected.as_secs_f64() - 1.0).abs() <= 0.025
}

#[test]
fn quantiles_of_an_empty_sketch_are_unknown() {
    assert_eq!(Sketch::new().quantile(0.5), None);
    assert!(Sketch::new().is_empty());
}

#[test]
fn quantiles_are_found() {
    let sketch = of((1..=1000).map(ms));
    for (q, expected) in [(0.0, 1), (0.5, 500), (0.95, 950), (0.99, 990), (1.0, 1000)] {
        assert!(near(sketch.quantile(q).unwrap(), ms(expected)), "{q}: {:?}", sketch.quantile(q));
    }
    assert_eq!(sketch.count(), 1000);
}

#[test]
fn the_range_is_bounded() {
    let sketch = of([Duration::ZERO, Duration::from_nanos(1), Duration::MAX]);
    assert!(near(sketch.quantile(0.5).unwrap(), Duration::from_micros(1)));
    assert!(near(sketch.quantile(1.0).unwrap(), Duration::from_secs(3600)));
    assert!(near(of([Duration::from_secs(3600)]).quantile(1.0).unwrap(), Duration::from_secs(3600)));
    let all = of((0..20_000).map(|i| Duration::from_micros(1).mul_f64(1.01f64.powi(i.min(2300)))));
    assert!(all.to_pairs().len() <= 450);
}

#[test]
fn a_window_is_the_difference_of_two_states() {
    let earlier = of([ms(1), ms(1), ms(5)]);
    let mut later = earlier.clone();
    later.record(ms(5));
    later.record(ms(70));
    assert_eq!(later.subtract(&earlier), of([ms(5), ms(70)]));
    assert_eq!(later.subtract(&later), Sketch::new());
    let restarted = of([ms(1)]);
    assert_eq!(restarted.subtract(&earlier), restarted, "a process that began anew");
}

#[test]
fn it_travels_as_pairs() {
    let sketch = of([ms(1), ms(1), ms(9)]);
    assert_eq!(Sketch::from_pairs(sketch.to_pairs()), sketch);
    let json = serde_json::to_string(&sketch).unwrap();
    assert_eq!(serde_json::from_str::<Sketch>(&json).unwrap(), sketch);
    assert_eq!(
        serde_json::from_str::<Sketch>("[[5,1],[3,2],[5,1],[65535,1],[9,0]]").unwrap().to_pairs(),
        [(3, 2), (5, 2), (449, 1)]
    );
}

proptest! {
    #[test]
    fn every_quantile_is_within_two_and_a_half_percent(
        mut micros in prop::collection::vec(1u64..3_600_000_000, 1..200), q in 0.0..=1.0f64,
    ) {
        let sketch = of(micros.iter().map(|m| Duration::from_micros(*m)));
        micros.sort_unstable();
        let rank = ((q * micros.len() as f64).ceil() as usize).clamp(1, micros.len());
        let (found, expected) = (sketch.quantile(q).unwrap(), Duration::from_micros(micros[rank - 1]));
        prop_assert!(near(found, expected), "{:?} for {:?}", found, expected);
    }

    #[test]
    fn merging_is_recording_all(a in prop::collection::vec(0u64..10_000_000, 0..50), b in prop::collection::vec(0u64..10_000_000, 0..50)) {
        let durations = |v: &[u64]| v.iter().map(|m| Duration::from_micros(*m)).collect::<Vec<_>>();
        let mut merged = of(durations(&a));
        merged.merge(&of(durations(&b)));
        let all = of(durations(&a).into_iter().chain(durations(&b)));
        prop_assert_eq!(&merged, &all);
        prop_assert_eq!(merged.subtract(&of(durations(&a))), of(durations(&b)));
    }
}
