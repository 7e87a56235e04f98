use std::time::Duration;

use proptest::prelude::*;

use super::{Ejected, Outcome, OutlierDetector};
use crate::model::traffic::OutlierDetection;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Ten endpoints, 0..10, at second 1000.
fn ten(config: OutlierDetection) -> OutlierDetector<u32> {
    let mut detector = OutlierDetector::new(config, s(1000));
    detector.set_endpoints(0..10);
    detector
}

fn fail(detector: &mut OutlierDetector<u32>, key: u32, outcome: Outcome, times: u32, now: Duration) -> Option<Ejected> {
    (0..times).fold(None, |last, _| detector.record(&key, outcome, now).or(last))
}

#[test]
fn five_server_errors_in_a_row_eject() {
    let mut d = ten(OutlierDetection::default());
    assert_eq!(fail(&mut d, 0, Outcome::ServerError(500), 4, s(1000)), None);
    d.record(&0, Outcome::Success, s(1000));
    assert_eq!(fail(&mut d, 0, Outcome::ServerError(500), 4, s(1000)), None, "a success starts the count anew");
    assert_eq!(d.record(&0, Outcome::ServerError(500), s(1000)), Some(Ejected { until: s(1030), times: 1 }));
    assert!(d.is_ejected(&0, s(1029)));
    assert!(!d.is_ejected(&0, s(1030)));
    assert!(!d.is_ejected(&1, s(1000)));
}

#[test]
fn connection_failures_count_as_server_errors_unless_split() {
    let mut d = ten(OutlierDetection::default());
    fail(&mut d, 0, Outcome::ServerError(503), 2, s(1000));
    fail(&mut d, 0, Outcome::GatewayError, 2, s(1000));
    assert!(d.record(&0, Outcome::LocalOrigin, s(1000)).is_some());
    let split =
        OutlierDetection { split_local_origin: true, consecutive_local_origin: 3, ..OutlierDetection::default() };
    let mut d = ten(split);
    fail(&mut d, 0, Outcome::ServerError(500), 4, s(1000));
    assert_eq!(fail(&mut d, 0, Outcome::LocalOrigin, 2, s(1000)), None);
    assert!(d.record(&0, Outcome::LocalOrigin, s(1000)).is_some());
}

#[test]
fn an_answer_of_any_kind_shows_that_the_endpoint_can_be_reached() {
    let split =
        OutlierDetection { split_local_origin: true, consecutive_local_origin: 2, ..OutlierDetection::default() };
    let mut d = ten(split);
    d.record(&0, Outcome::LocalOrigin, s(1000));
    d.record(&0, Outcome::ServerError(500), s(1000));
    assert_eq!(d.record(&0, Outcome::LocalOrigin, s(1000)), None);
}

#[test]
fn gateway_errors_have_a_count_of_their_own() {
    let config = OutlierDetection { consecutive_5xx: 0, consecutive_gateway: 3, ..OutlierDetection::default() };
    let mut d = ten(config);
    assert_eq!(fail(&mut d, 0, Outcome::ServerError(500), 50, s(1000)), None, "0 turns the other off");
    fail(&mut d, 0, Outcome::ServerError(502), 2, s(1000));
    d.record(&0, Outcome::ServerError(500), s(1000));
    assert_eq!(fail(&mut d, 0, Outcome::ServerError(504), 2, s(1000)), None, "a 500 in between starts it anew");
    assert!(d.record(&0, Outcome::GatewayError, s(1000)).is_some());
}

#[test]
fn each_ejection_is_longer_and_health_makes_the_next_shorter_again() {
    let mut d = ten(OutlierDetection::default());
    let mut now = s(1000);
    for times in 1..=3 {
        let ejected = fail(&mut d, 0, Outcome::ServerError(500), 5, now).unwrap();
        assert_eq!(ejected, Ejected { until: now + s(30 * u64::from(times)), times });
        now = ejected.until;
        assert_eq!(d.sweep(now), [0]);
    }
    // Two sweeps in health: from three times down to one, so the next is the second again.
    d.sweep(now + s(10));
    d.sweep(now + s(20));
    assert_eq!(fail(&mut d, 0, Outcome::ServerError(500), 5, now + s(20)).unwrap().times, 2);
}

#[test]
fn an_ejection_is_at_most_five_minutes_or_the_base() {
    for (base, longest) in [(30, 300), (600, 600)] {
        let mut d = ten(OutlierDetection { base_ejection: s(base), ..OutlierDetection::default() });
        let mut now = s(1000);
        for _ in 0..40 {
            let ejected = fail(&mut d, 0, Outcome::ServerError(500), 5, now).unwrap();
            assert!(ejected.until - now <= s(longest), "{ejected:?}");
            now = ejected.until;
        }
        assert_eq!(fail(&mut d, 0, Outcome::ServerError(500), 5, now).unwrap().until, now + s(longest));
    }
}

#[test]
fn sweeping_too_often_does_not_shorten_ejections() {
    let mut d = ten(OutlierDetection::default());
    let until = fail(&mut d, 0, Outcome::ServerError(500), 5, s(1000)).unwrap().until;
    d.sweep(until);
    for ms in 0..1000 {
        d.sweep(until + Duration::from_millis(ms));
    }
    assert_eq!(fail(&mut d, 0, Outcome::ServerError(500), 5, until + s(1)).unwrap().times, 2);
}

#[test]
fn only_the_allowed_share_is_ejected_but_one_always_may_be() {
    let mut d = ten(OutlierDetection { max_ejection_percent: 20, ..OutlierDetection::default() });
    let out = (0..10).filter(|k| fail(&mut d, *k, Outcome::ServerError(500), 5, s(1000)).is_some()).count();
    assert_eq!((out, d.ejected(s(1000))), (2, 2));
    let mut single = OutlierDetector::new(OutlierDetection::default(), s(1000));
    single.set_endpoints([7]);
    assert!(fail(&mut single, 7, Outcome::ServerError(500), 5, s(1000)).is_some());
    let mut never = ten(OutlierDetection { max_ejection_percent: 0, ..OutlierDetection::default() });
    assert_eq!(fail(&mut never, 0, Outcome::ServerError(500), 50, s(1000)), None);
}

#[test]
fn answers_that_come_in_late_do_not_count_against_an_ejected_endpoint() {
    let mut d = ten(OutlierDetection::default());
    fail(&mut d, 0, Outcome::ServerError(500), 5, s(1000));
    assert_eq!(fail(&mut d, 0, Outcome::ServerError(500), 50, s(1001)), None);
    assert_eq!(fail(&mut d, 0, Outcome::ServerError(500), 4, s(1030)), None, "back with a fresh count");
    assert!(d.record(&0, Outcome::ServerError(500), s(1030)).is_some());
    assert_eq!(d.record(&99, Outcome::ServerError(500), s(1030)), None, "not an endpoint");
}

#[test]
fn too_few_in_health_is_panic() {
    let mut d =
        ten(OutlierDetection { max_ejection_percent: 100, min_health_percent: 50, ..OutlierDetection::default() });
    for key in 0..5 {
        fail(&mut d, key, Outcome::ServerError(500), 5, s(1000));
    }
    assert!(!d.in_panic(s(1000)));
    fail(&mut d, 5, Outcome::ServerError(500), 5, s(1000));
    assert!(d.in_panic(s(1000)));
    assert!(!d.in_panic(s(1030)));
    let mut off = ten(OutlierDetection { max_ejection_percent: 100, ..OutlierDetection::default() });
    for key in 0..10 {
        fail(&mut off, key, Outcome::ServerError(500), 5, s(1000));
    }
    assert!(!off.in_panic(s(1000)), "0 = never");
}

#[test]
fn new_settings_and_new_endpoints_keep_the_state() {
    let mut d = ten(OutlierDetection::default());
    fail(&mut d, 0, Outcome::ServerError(500), 5, s(1000));
    fail(&mut d, 1, Outcome::ServerError(500), 4, s(1000));
    d.configure(OutlierDetection { max_ejection_percent: 50, ..OutlierDetection::default() });
    d.set_endpoints(0..5);
    assert!(d.is_ejected(&0, s(1000)));
    assert!(d.record(&1, Outcome::ServerError(500), s(1000)).is_some());
    d.set_endpoints(1..5);
    assert!(!d.is_ejected(&0, s(1000)));
    assert_eq!(d.ejected(s(1000)), 1);
}

proptest! {
    #[test]
    fn never_more_than_the_share_and_all_come_back(
        events in prop::collection::vec((0u32..10, 0u8..4, 0u64..20), 0..400), percent in 1u32..=100,
    ) {
        let mut d = ten(OutlierDetection { max_ejection_percent: percent, consecutive_5xx: 2, ..OutlierDetection::default() });
        let mut now = s(1000);
        for (key, kind, wait) in events {
            now += s(wait);
            let outcome = [Outcome::Success, Outcome::ServerError(500), Outcome::GatewayError, Outcome::LocalOrigin][usize::from(kind)];
            d.record(&key, outcome, now);
            d.sweep(now);
            prop_assert!(d.ejected(now) <= (percent as usize / 10).max(1));
        }
        prop_assert_eq!(d.ejected(now + s(300)), 0);
    }
}
