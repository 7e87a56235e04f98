use super::*;
use crate::Reason;

fn candidate(share: f64, stopped: Option<Failure>) -> Candidate {
    Candidate {
        address: "10.0.0.1:80".parse().expect("an address"),
        namespace: String::new(),
        pod: String::new(),
        identity: None,
        state: State::Ready,
        share,
        secured: false,
        steps: Vec::new(),
        stopped,
        arriving: None,
        inbound: None,
    }
}

fn branch(share: f64, candidates: Vec<Candidate>) -> Branch {
    Branch { share, weight: None, service: None, port: 0, subset: None, steps: Vec::new(), candidates, stopped: None }
}

fn shares(trace: &Trace) -> Vec<(Reason, f64)> {
    trace.outcomes.iter().map(|o| (o.reason, (o.share * 1000.0).round() / 10.0)).collect()
}

#[test]
fn retries_make_good_as_far_as_they_go() {
    let bad = || Some(Failure::of(Reason::TlsFailure, ""));
    let quarter = |stopped| candidate(0.25, stopped);
    let pods = || vec![quarter(bad()), quarter(bad()), quarter(bad()), quarter(None)];
    let retry = |attempts| Retrying { attempts, requests: true, connect: true, ..Retrying::default() };
    let with = |retry| {
        let mut trace = Trace { branches: vec![branch(1.0, pods())], retry, ..Trace::default() };
        conclude(&mut trace);
        shares(&trace)
    };
    assert_eq!(with(Retrying::default()), [(Reason::TlsFailure, 75.0), (Reason::Answered, 25.0)]);
    // One retry: the other of the bad three is met with 2/3.
    assert_eq!(with(retry(1))[0], (Reason::TlsFailure, 50.0));
    assert_eq!(with(retry(2))[0], (Reason::TlsFailure, 25.0));
    assert!(with(retry(3)).iter().all(|(reason, _)| *reason == Reason::Answered), "all others were tried");
}

#[test]
fn shares_of_all_that_may_happen_add_up() {
    let early = Share { share: 0.1, failure: Failure::of(Reason::FaultAbort, "") };
    let none = Failure::of(Reason::NoHealthyUpstream, "");
    let dead = Branch { stopped: Some(none), ..branch(0.5, Vec::new()) };
    let branches = vec![branch(0.5, vec![candidate(1.0, None)]), dead];
    let mut trace = Trace { early: vec![early], branches, ..Trace::default() };
    conclude(&mut trace);
    assert_eq!(
        shares(&trace),
        [(Reason::FaultAbort, 10.0), (Reason::Answered, 45.0), (Reason::NoHealthyUpstream, 45.0)]
    );
}

#[test]
fn what_a_callee_closes_is_an_answer_only_where_requests_are_carried() {
    let inbound = Inbound { stopped: Some(Failure::closed(Reason::PlaintextRefused, "")), ..Inbound::default() };
    let refused = Candidate { inbound: Some(inbound), ..candidate(1.0, None) };
    let mut trace = Trace { branches: vec![branch(1.0, vec![refused])], ..Trace::default() };
    conclude(&mut trace);
    assert_eq!((trace.outcomes[0].reason, trace.outcomes[0].status), (Reason::PlaintextRefused, Some(0)));
    trace.retry.requests = true;
    conclude(&mut trace);
    assert_eq!((trace.outcomes[0].reason, trace.outcomes[0].status), (Reason::UpstreamReset, Some(503)));
}

#[test]
fn questions_go_through_a_query_and_back() {
    let text = "{\"a\": \"ö\"}".as_bytes();
    assert_eq!(from_hex(&to_hex(text)).as_deref(), Some(text));
    assert_eq!(from_hex("0"), None, "half a byte");
    assert_eq!(from_hex("xy"), None);
    assert_eq!(from_hex("+1"), None, "a sign is no digit");
    assert_eq!(from_hex(&"00".repeat(MAX_QUESTION + 1)), None, "too long");
}

#[test]
fn traces_survive_being_told() {
    let mut trace = Trace { branches: vec![branch(1.0, vec![candidate(1.0, None)])], ..Trace::default() };
    trace.steps.push(Step::new("route", "somewhere").by(None, 7));
    conclude(&mut trace);
    let json = serde_json::to_string(&trace).expect("JSON");
    assert_eq!(serde_json::from_str::<Trace>(&json).expect("a trace"), trace);
}
