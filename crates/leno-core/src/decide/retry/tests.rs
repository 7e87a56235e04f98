use std::time::Duration;

use proptest::prelude::*;

use super::{Attempt, FailureKind, NoRetry, RetryBudget, RetryFacts, Verdict, backoff, is_idempotent, should_retry};
use crate::model::route::RetryPolicy;
use crate::model::traffic::RetryOn;

const GET: RetryFacts =
    RetryFacts { idempotent_method: true, request_bytes_left: true, body_replayable: true, grpc: false };
const POST: RetryFacts = RetryFacts { idempotent_method: false, ..GET };
const GRPC: RetryFacts = RetryFacts { grpc: true, ..POST };

fn policy(retry_on: RetryOn) -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        per_try_timeout: None,
        retry_on,
        backoff: Duration::from_millis(25),
        least_backoff: Duration::ZERO,
    }
}

fn answered(status: u16) -> Attempt {
    Attempt::Answered { status, grpc_status: None, unprocessed: false }
}

fn grpc(code: u32) -> Attempt {
    Attempt::Answered { status: 200, grpc_status: Some(code), unprocessed: false }
}

/// `None`: retried; else why not. First try, budget open.
fn refusal(policy: Option<&RetryPolicy>, facts: RetryFacts, attempt: Attempt) -> Option<NoRetry> {
    match should_retry(policy, facts, attempt, 1, || true) {
        Verdict::Retry { .. } => None,
        Verdict::No(why) => Some(why),
    }
}

#[test]
fn by_default_an_unsafe_request_whose_bytes_left_is_never_repeated() {
    for kind in [FailureKind::ResetBeforeRequest, FailureKind::ResetBeforeResponse] {
        assert_eq!(refusal(None, POST, Attempt::Failed(kind)), Some(NoRetry::NotIdempotent), "{kind:?}");
        assert_eq!(refusal(None, GET, Attempt::Failed(kind)), None, "{kind:?}");
    }
    assert_eq!(refusal(None, GRPC, grpc(14)), Some(NoRetry::NotIdempotent));
    assert_eq!(refusal(None, RetryFacts { grpc: true, ..GET }, grpc(14)), None);
    assert_eq!(refusal(None, GET, Attempt::Failed(FailureKind::PerTryTimeout)), Some(NoRetry::NotAsked));
}

#[test]
fn what_no_application_saw_goes_to_another_endpoint_whatever_the_method() {
    let narrow = policy(RetryOn { retriable_4xx: true, ..RetryOn::default() });
    for policy in [None, Some(&narrow)] {
        for kind in [FailureKind::Connect, FailureKind::ConnectTimeout, FailureKind::RefusedStream] {
            assert_eq!(refusal(policy, POST, Attempt::Failed(kind)), None, "{kind:?}");
        }
        let unsent = RetryFacts { request_bytes_left: false, ..POST };
        assert_eq!(refusal(policy, unsent, Attempt::Failed(FailureKind::ResetBeforeResponse)), None);
        let unprocessed = Attempt::Answered { status: 503, grpc_status: None, unprocessed: true };
        assert_eq!(refusal(policy, POST, unprocessed), None);
    }
    let first = should_retry(None, POST, Attempt::Failed(FailureKind::Connect), 1, || true);
    assert_eq!(
        first,
        Verdict::Retry { at_least: Duration::ZERO, at_most: Duration::ZERO },
        "another endpoint need not be waited for"
    );
}

#[test]
fn answers_are_not_repeated_by_default() {
    for status in [200, 404, 409, 500, 503] {
        let expected = if status < 500 { NoRetry::Success } else { NoRetry::NotAsked };
        assert_eq!(refusal(None, GET, answered(status)), Some(expected), "{status}");
    }
}

#[test]
fn a_policy_holds_for_every_method_as_it_asks() {
    let five = policy(RetryOn { five_xx: true, ..RetryOn::default() });
    let gateway = policy(RetryOn { gateway_error: true, ..RetryOn::default() });
    let reset = policy(RetryOn { reset: true, ..RetryOn::default() });
    let status = policy(RetryOn { statuses: vec![429], retriable_4xx: true, ..RetryOn::default() });
    for facts in [GET, POST] {
        assert_eq!(refusal(Some(&five), facts, answered(500)), None);
        assert_eq!(refusal(Some(&five), facts, answered(404)), Some(NoRetry::Success));
        assert_eq!(refusal(Some(&gateway), facts, answered(503)), None);
        assert_eq!(refusal(Some(&gateway), facts, answered(500)), Some(NoRetry::NotAsked));
        assert_eq!(refusal(Some(&reset), facts, answered(503)), Some(NoRetry::NotAsked));
        assert_eq!(refusal(Some(&status), facts, answered(429)), None);
        assert_eq!(refusal(Some(&status), facts, answered(409)), None);
        for kind in [FailureKind::PerTryTimeout, FailureKind::ResetBeforeResponse] {
            for policy in [&five, &gateway, &reset] {
                assert_eq!(refusal(Some(policy), facts, Attempt::Failed(kind)), None, "{kind:?}");
            }
            assert_eq!(refusal(Some(&status), facts, Attempt::Failed(kind)), Some(NoRetry::NotAsked));
        }
    }
}

#[test]
fn grpc_codes_count_only_for_grpc() {
    let unavailable = policy(RetryOn { grpc: vec![14], ..RetryOn::default() });
    assert_eq!(refusal(Some(&unavailable), GRPC, grpc(14)), None);
    assert_eq!(refusal(Some(&unavailable), GRPC, grpc(13)), Some(NoRetry::NotAsked));
    assert_eq!(refusal(Some(&unavailable), GRPC, grpc(0)), Some(NoRetry::Success));
    assert_eq!(refusal(Some(&unavailable), POST, grpc(14)), Some(NoRetry::Success));
}

#[test]
fn tries_end() {
    let five = policy(RetryOn { five_xx: true, ..RetryOn::default() });
    let verdict = |tries| should_retry(Some(&five), GET, answered(500), tries, || false);
    assert_eq!(
        verdict(3),
        Verdict::Retry { at_least: Duration::ZERO, at_most: Duration::from_millis(100) },
        "no budget for explicit policies"
    );
    assert_eq!(verdict(4), Verdict::No(NoRetry::Exhausted));
    let failure = Attempt::Failed(FailureKind::Connect);
    assert!(matches!(should_retry(None, GET, failure, 2, || true), Verdict::Retry { .. }));
    assert_eq!(should_retry(None, GET, failure, 3, || true), Verdict::No(NoRetry::Exhausted));
}

#[test]
fn retries_can_be_turned_off_and_bodies_that_are_gone_are_not_repeated() {
    let off = RetryPolicy { attempts: 0, ..policy(RetryOn { five_xx: true, ..RetryOn::default() }) };
    assert_eq!(refusal(Some(&off), GET, Attempt::Failed(FailureKind::Connect)), Some(NoRetry::Disabled));
    assert_eq!(refusal(Some(&off), GET, answered(200)), Some(NoRetry::Success));
    let gone = RetryFacts { body_replayable: false, ..GET };
    assert_eq!(refusal(None, gone, Attempt::Failed(FailureKind::RefusedStream)), Some(NoRetry::NotReplayable));
}

#[test]
fn the_budget_is_asked_only_for_default_retries_that_would_happen() {
    let failure = Attempt::Failed(FailureKind::Connect);
    assert_eq!(should_retry(None, GET, failure, 1, || false), Verdict::No(NoRetry::OverBudget));
    let _ = should_retry(None, GET, answered(200), 1, || panic!("nothing to retry"));
    let _ = should_retry(None, GET, failure, 3, || panic!("exhausted"));
}

#[test]
fn methods_of_rfc_9110_are_idempotent() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(is_idempotent(method));
    }
    for method in ["POST", "PATCH", "CONNECT", "get", "LOCK"] {
        assert!(!is_idempotent(method));
    }
}

#[test]
fn the_back_off_doubles_up_to_ten_times_the_base() {
    let ms = |retry| backoff(Duration::from_millis(25), retry, 1.0).as_millis();
    assert_eq!([ms(1), ms(2), ms(3), ms(4), ms(5), ms(99)], [25, 50, 100, 200, 250, 250]);
    assert_eq!(backoff(Duration::from_millis(25), 3, 0.0), Duration::ZERO);
}

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn withdrawals(budget: &mut RetryBudget, now: Duration) -> u32 {
    let mut n = 0;
    while budget.withdraw(now) {
        n += 1;
    }
    n
}

#[test]
fn the_budget_is_a_share_of_requests_and_a_reserve() {
    let mut budget = RetryBudget::default();
    assert_eq!(withdrawals(&mut budget, s(1000.0)), 100, "10 a second over 10 s");
    for _ in 0..1000 {
        budget.deposit(s(1000.5));
    }
    assert_eq!(withdrawals(&mut budget, s(1001.0)), 200, "20 %");
    assert_eq!(withdrawals(&mut budget, s(1020.0)), 100, "the reserve comes back, old requests do not count");
}

#[test]
fn a_storm_gets_no_more_than_its_share() {
    let mut budget = RetryBudget::default();
    let mut retries = 0u32;
    for i in 0..100_000u32 {
        let now = s(f64::from(i) / 1000.0);
        budget.deposit(now);
        retries += u32::from(budget.withdraw(now));
    }
    // 100 s of 1000 requests a second, all failing: 20 % and 10 a second.
    assert!((20_000..=22_000).contains(&retries), "{retries}");
}

proptest! {
    #[test]
    fn a_wait_is_within_its_bounds(base in 0u64..10_000, retry in any::<u32>(), random in 0.0..1.0f64) {
        let base = Duration::from_millis(base);
        prop_assert!(backoff(base, retry, random) <= base * 10);
    }

    #[test]
    fn an_idle_budget_is_its_reserve(times in prop::collection::vec(0u64..100_000, 1..50)) {
        let mut budget = RetryBudget::new(0.2, Duration::from_secs(10), 10);
        let latest = times.iter().copied().max().unwrap();
        for t in times {
            budget.deposit(Duration::from_millis(t));
            budget.withdraw(Duration::from_millis(t));
        }
        budget.deposit(Duration::from_millis(latest + 20_000));
        prop_assert!((budget.balance() - 100.2).abs() < 1e-6);
    }
}

#[test]
fn a_least_backoff_holds_for_the_first_retry_too() {
    let policy = RetryPolicy { least_backoff: Duration::from_millis(80), ..policy(RetryOn::default()) };
    let facts = RetryFacts { idempotent_method: true, request_bytes_left: false, body_replayable: true, grpc: false };
    let unseen = Attempt::Failed(FailureKind::Connect);
    let Verdict::Retry { at_least, .. } = should_retry(Some(&policy), facts, unseen, 1, || true) else { panic!() };
    assert_eq!(at_least, Duration::from_millis(80));
}
