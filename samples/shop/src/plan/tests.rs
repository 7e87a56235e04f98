use super::Plan;
use std::time::Duration;

fn plan(path: &str, query: &str) -> Plan {
    Plan::read(path, query, [0.4, 0.5]).expect("a good plan")
}

#[test]
fn paths_and_queries_ask_for_behaviour() {
    assert_eq!(plan("/", ""), Plan::default());
    assert_eq!(plan("/status/503", "").status, 503);
    assert_eq!(
        plan("/any", "status=404&delay=20ms"),
        Plan { status: 404, delay: Duration::from_millis(20), ..Plan::default() }
    );
    assert!(plan("/hang", "").hang);
    assert!(plan("/reset", "").reset);
    assert_eq!(plan("/stream", "n=3&every=5ms").pieces, Some((3, Duration::from_millis(5))));
    assert_eq!(plan("/bytes/1000", "").bytes, Some(1000));
}

#[test]
fn a_flaky_path_fails_its_share() {
    assert_eq!(plan("/flaky", "fail=0.3").status, 200);
    assert_eq!(plan("/flaky", "fail=0.5").status, 503);
    assert_eq!(plan("/flaky", "fail=1&status=500").status, 500);
    assert_eq!(plan("/flaky", "fail=0&status=500").status, 200);
}

#[test]
fn latencies_are_log_normal_about_their_median() {
    let mut all: Vec<Duration> = (0..10_000)
        .map(|i| {
            let draws = [(f64::from(i % 100) + 0.5) / 100.0, (f64::from(i / 100) + 0.5) / 100.0];
            Plan::read("/latency", "median=20ms&sigma=0.5", draws).expect("a good plan").delay
        })
        .collect();
    all.sort();
    let (p50, p99) = (all[5_000].as_secs_f64(), all[9_900].as_secs_f64());
    assert!((p50 - 0.020).abs() < 0.001, "{p50}");
    assert!((p99 - 0.020 * (2.33_f64 * 0.5).exp()).abs() < 0.004, "{p99}");
}

#[test]
fn latencies_are_uniform_where_a_minimum_is_given() {
    assert_eq!(plan("/latency", "min=20ms&max=120ms").delay, Duration::from_millis(70));
}

#[test]
fn nonsense_is_refused() {
    for (path, query) in [("/status/99", ""), ("/delay/x", ""), ("/", "fail=often"), ("/bytes/-1", "")] {
        assert!(Plan::read(path, query, [0.0, 0.0]).is_err(), "{path}?{query}");
    }
}
