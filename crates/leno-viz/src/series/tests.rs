use leno_core::id::Direction;
use leno_core::samples::{PeerLabels, RequestLabels, RequestSample, Samples};

use super::*;
use crate::model::Kind;

const BEGIN: u64 = 1_000_000;

/// `web` answers 10 requests a second, from second 30 on half of them by 503.
fn window() -> Window {
    let mut window = Window::new(Duration::from_secs(600), BEGIN);
    let web = PeerLabels {
        namespace: "a".to_owned(),
        workload: "web".to_owned(),
        kind: "deployment".to_owned(),
        pod: "web-1".to_owned(),
        ..PeerLabels::default()
    };
    let labels = |status| RequestLabels {
        direction: Direction::Inbound,
        source: PeerLabels::default(),
        destination: web.clone(),
        service: None,
        route: String::new(),
        mtls: true,
        status,
        grpc: None,
        reason: "answered".to_owned(),
        policy: String::new(),
    };
    let sample = |status, count| {
        let mut sketch = Sketch::default();
        (0..count).for_each(|_| sketch.record(Duration::from_millis(10)));
        RequestSample { labels: labels(status), flags: "-".to_owned(), count, tries: count, retries: 0, sketch }
    };
    for second in 1..=60_u64 {
        let bad = second.saturating_sub(30) * 5;
        let samples = Samples {
            namespace: "a".to_owned(),
            pod: "web-1".to_owned(),
            workload: "web".to_owned(),
            kind: "deployment".to_owned(),
            started_ms: BEGIN,
            requests: vec![sample(200, second * 10 - bad), sample(503, bad)],
            ..Samples::default()
        };
        window.record(samples, BEGIN + second * 1000);
    }
    window
}

#[test]
fn failures_begin_when_they_began() {
    let question = Question::new(Kind::Deployment);
    let series = series(&window(), &question, true, BEGIN + 60_500);
    assert_eq!((series.start_ms, series.step_ms), (BEGIN, 5000));
    let [web] = &series.rows[..] else { panic!("{series:?}") };
    assert_eq!((web.name.as_str(), web.rps.len()), ("web", 12));
    assert!(web.rps.iter().all(|r| (r - 10.0).abs() < 0.01), "{:?}", web.rps);
    assert!(
        web.failed[..6].iter().all(|f| *f < 0.01) && web.failed[6..].iter().all(|f| (f - 5.0).abs() < 0.01),
        "{:?}",
        web.failed
    );
    assert!(web.p50_ms.iter().all(|p| p.is_some_and(|p| (p - 10.0).abs() < 0.5)), "{:?}", web.p50_ms);
}

#[test]
fn a_list_has_no_percentiles_and_selects_as_stat_does() {
    let question = Question { namespace: Some("b".to_owned()), ..Question::new(Kind::Deployment) };
    assert!(series(&window(), &question, false, BEGIN + 60_000).rows.is_empty());
    let all = series(&window(), &Question::new(Kind::Namespace), false, BEGIN + 60_000);
    assert!(all.rows[0].p50_ms.is_empty());
}

#[test]
fn steps_are_whole_and_not_too_many() {
    let minutes = |m: u64| steps(Duration::from_secs(m * 60), 1_000_000_007);
    assert_eq!(minutes(1), (999_940_000, 5000, 12));
    assert_eq!((minutes(5).1, minutes(5).2), (5000, 60));
    assert_eq!((minutes(30).1, minutes(30).2), (30_000, 60));
    let (_, _, count) = steps(Duration::from_secs(1), 1000);
    assert_eq!(count, 2);
}
