use super::{Outcome, Report};
use std::time::Duration;

#[test]
fn a_report_counts_what_came() {
    let mut report = Report::default();
    for i in 0..10_u64 {
        let (status, good) = if i == 0 { (503, false) } else { (200, true) };
        let version = Some(if i < 2 { "v2" } else { "v1" }.to_owned());
        let outcome = Outcome {
            status: Some(status),
            grpc: None,
            good,
            error: None,
            detail: "no endpoint".to_owned(),
            version,
            pod: None,
        };
        report.add(outcome, Duration::from_millis(i + 1), Duration::from_secs(i));
    }
    report.add(Outcome::failed("refused", "refused".to_owned()), Duration::from_millis(1), Duration::ZERO);
    let json = report.json(2.0);
    assert_eq!(json["requests"], 11);
    assert_eq!(json["success"], 9);
    assert_eq!(json["statuses"]["503"], 1);
    assert_eq!(json["versions"]["v1"], 8);
    assert_eq!(json["errors"]["refused"], 1);
    assert_eq!(json["rps"], 5.5);
    let text = report.text(2.0);
    assert!(text.contains("status     200: 9 (90.0%)  503: 1 (10.0%)"), "{text}");
    assert!(text.contains("failure    at 0.000s: 503 no endpoint"), "{text}");
}
