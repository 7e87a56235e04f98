use super::*;

fn election(me: &str) -> Election {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("no cluster"))
    });
    Election::new(Client::new(service, "default"), "leno-system", "lease".into(), me.into()).0
}

fn held(by: &str, renewed: i64) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(by.to_owned()),
        renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
        lease_duration_seconds: Some(15),
        ..LeaseSpec::default()
    }
}

#[tokio::test]
async fn a_lease_is_free_when_it_stands_still_for_its_length_by_the_own_clock() {
    let mut election = election("b");
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    // What the holder's clock says plays no part: it may be years behind.
    assert!(!election.may_take(&held("a", 1000), after(0)));
    assert!(!election.may_take(&held("a", 1000), after(14)));
    assert!(!election.may_take(&held("a", 1001), after(14)));
    assert!(!election.may_take(&held("a", 1001), after(28)));
    assert!(election.may_take(&held("a", 1001), after(29)));
    assert!(election.may_take(&held("b", 1), after(0)));
    assert!(election.may_take(&held("", 1), after(0)));
}

#[tokio::test]
async fn a_term_begins_when_the_holder_changes() {
    let election = election("b");
    let taken = election.spec(Some(LeaseSpec { lease_transitions: Some(4), ..held("a", 1) }));
    assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("b"), Some(5)));
    let kept = election.spec(Some(taken.clone()));
    assert_eq!((kept.lease_transitions, &kept.acquire_time), (Some(5), &taken.acquire_time));
}

#[tokio::test]
async fn without_a_cluster_nobody_leads() {
    let election = election("b");
    let (trigger, drain) = leno_kit::drain::channel();
    let leads = election.leads.subscribe();
    let run = tokio::spawn(election.run(drain));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!*leads.borrow());
    trigger.drain(Duration::ZERO, Duration::ZERO).await;
    run.await.unwrap();
}
