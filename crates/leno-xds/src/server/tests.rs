use super::*;

fn name(kind: ResourceKind, key: &str) -> ResourceName {
    ResourceName::new(kind, key)
}

fn snapshot(entries: &[(ResourceKind, &str, &'static str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (kind, key, bytes) in entries {
        snapshot.set(&name(*kind, key), Bytes::from_static(bytes.as_bytes()));
    }
    snapshot
}

fn subscribe(kind: ResourceKind, keys: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: keys.iter().map(ToString::to_string).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn ack(kind: ResourceKind, nonce: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { response_nonce: nonce.to_owned(), ..subscribe(kind, &[]) }
}

#[test]
fn what_does_not_exist_is_said_at_once_and_pushed_when_it_comes() {
    let mut session = DeltaSession::default();
    let empty = Snapshot::default();
    let responses = session.on_request(&subscribe(ResourceKind::Service, &["a/b"]), &empty).unwrap().responses;
    assert_eq!(responses[0].removed_resources, ["a/b"]);
    assert!(responses[0].resources.is_empty());

    let service = name(ResourceKind::Service, "a/b");
    assert!(session.on_change([&service], &empty).is_empty());
    let now = snapshot(&[(ResourceKind::Service, "a/b", "1")]);
    let responses = session.on_change([&service], &now);
    assert_eq!(responses[0].resources[0].name, "a/b");
    assert_eq!(responses[0].resources[0].resource.as_ref().unwrap().type_url, ResourceKind::Service.type_url());
    assert!(session.on_change([&service], &now).is_empty());
}

#[test]
fn kinds_are_pushed_in_order() {
    let mut session = DeltaSession::default();
    let empty = Snapshot::default();
    for kind in ResourceKind::ALL.into_iter().rev() {
        session.on_request(&subscribe(kind, &["x"]), &empty).unwrap();
    }
    let entries: Vec<_> = ResourceKind::ALL.into_iter().map(|k| (k, "x", "1")).collect();
    let names: Vec<_> = ResourceKind::ALL.into_iter().rev().map(|k| name(k, "x")).collect();
    let pushed: Vec<_> = session.on_change(&names, &snapshot(&entries)).into_iter().map(|r| r.type_url).collect();
    let order = ["Mesh", "Address", "Service", "Endpoints", "Routes", "Policies"];
    assert_eq!(pushed, order.map(|k| format!("type.leno.dev/leno.v1.{k}")));
}

#[test]
fn a_resumed_stream_gets_only_what_differs() {
    let now = snapshot(&[(ResourceKind::Service, "a/b", "1"), (ResourceKind::Service, "a/c", "1")]);
    let same = now.get_key(ResourceKind::Service, "a/b").unwrap().version.to_string();
    let mut request = subscribe(ResourceKind::Service, &["a/b", "a/c", "a/gone"]);
    request.initial_resource_versions = [("a/b", same.as_str()), ("a/c", "0000000000000000"), ("a/gone", "junk")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let responses = DeltaSession::default().on_request(&request, &now).unwrap().responses;
    let sent: Vec<_> = responses[0].resources.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(sent, ["a/c"]);
    assert_eq!(responses[0].removed_resources, ["a/gone"]);
}

#[test]
fn acks_and_nacks_are_counted_by_nonce() {
    let mut session = DeltaSession::default();
    let now = snapshot(&[(ResourceKind::Routes, "a/b", "1"), (ResourceKind::Routes, "a/c", "1")]);
    let first = session.on_request(&subscribe(ResourceKind::Routes, &["a/b", "a/c"]), &now).unwrap().responses;
    assert!(!session.status(ResourceKind::Routes).synced());

    let mut nack = ack(ResourceKind::Routes, &first[0].nonce);
    let refusal = crate::proto::leno::Refusal { name: "a/c".to_owned(), error: "bad".to_owned() };
    let details = Refusals { refusals: vec![refusal] }.encode_to_vec().into();
    nack.error_detail = Some(rpc::Status {
        code: 3,
        message: "a/c: bad".to_owned(),
        details: vec![Any { type_url: REFUSALS_URL.to_owned(), value: details }],
    });
    let settled = session.on_request(&nack, &now).unwrap().settled.unwrap();
    assert_eq!(settled.refused, [("a/c".into(), "bad".to_owned())]);
    assert_eq!(session.lives_by(&name(ResourceKind::Routes, "a/b"), &now), Some(true));
    assert_eq!(session.lives_by(&name(ResourceKind::Routes, "a/c"), &now), Some(false));
    assert_eq!(session.lives_by(&name(ResourceKind::Routes, "a/d"), &now), None);
    let status = session.status(ResourceKind::Routes);
    assert_eq!((status.sent, status.acked, status.in_flight), (2, 2, 0));
    assert!(!status.synced());
    assert_eq!(session.on_request(&nack, &now).unwrap().settled, None);

    let next = snapshot(&[(ResourceKind::Routes, "a/b", "1"), (ResourceKind::Routes, "a/c", "2")]);
    let second = session.resync(&next);
    assert_eq!(second[0].resources.len(), 1);
    session.on_request(&ack(ResourceKind::Routes, &second[0].nonce), &next).unwrap();
    assert!(session.status(ResourceKind::Routes).synced());
}

#[test]
fn a_nack_without_names_refuses_the_whole_response() {
    let mut session = DeltaSession::default();
    let now = snapshot(&[(ResourceKind::Routes, "a/b", "1")]);
    let first = session.on_request(&subscribe(ResourceKind::Routes, &["a/b"]), &now).unwrap().responses;
    let mut nack = ack(ResourceKind::Routes, &first[0].nonce);
    nack.error_detail = Some(rpc::Status { code: 3, message: "no".to_owned(), details: Vec::new() });
    let settled = session.on_request(&nack, &now).unwrap().settled.unwrap();
    assert_eq!(settled.refused, [("a/b".into(), "no".to_owned())]);
}

#[test]
fn large_answers_are_cut() {
    static BIG: [u8; 10 << 10] = [b'x'; 10 << 10];
    let mut now = Snapshot::default();
    let keys = ["a", "b", "c", "d", "e"];
    for key in keys {
        now.set(&name(ResourceKind::Policies, key), Bytes::from_static(&BIG));
    }
    let mut session = DeltaSession::default();
    let responses = session.on_request(&subscribe(ResourceKind::Policies, &keys), &now).unwrap().responses;
    assert_eq!(responses.iter().map(|r| r.resources.len()).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(session.status(ResourceKind::Policies).in_flight, 3);
}

#[test]
fn what_cannot_be_served_is_refused_and_changes_nothing() {
    let mut session = DeltaSession::default();
    let mut request = subscribe(ResourceKind::Mesh, &["default"]);
    request.type_url = "type.leno.dev/leno.v9.New".to_owned();
    let error = session.on_request(&request, &Snapshot::default()).unwrap_err();
    assert_eq!(error.to_string(), "unknown resource type `type.leno.dev/leno.v9.New`");
    let long = "x".repeat(MAX_NAME + 1);
    let error = session.on_request(&subscribe(ResourceKind::Mesh, &[&long]), &Snapshot::default()).unwrap_err();
    assert_eq!(error, RequestError::TooMuch);
    assert_eq!(session.status(ResourceKind::Mesh), KindStatus::default());
}

#[test]
fn what_is_unsubscribed_is_not_pushed() {
    let mut session = DeltaSession::default();
    let empty = Snapshot::default();
    session.on_request(&subscribe(ResourceKind::Mesh, &["default"]), &empty).unwrap();
    let mut request = subscribe(ResourceKind::Mesh, &[]);
    request.resource_names_unsubscribe = vec!["default".to_owned()];
    session.on_request(&request, &empty).unwrap();
    let mesh = ResourceName::mesh();
    assert!(!session.wants(&mesh));
    assert!(session.on_change([&mesh], &snapshot(&[(ResourceKind::Mesh, "default", "1")])).is_empty());
}

#[test]
fn a_subscription_is_small() {
    // A mesh of 1,000 services and 100 proxies may have 400,000 of them.
    assert_eq!(size_of::<(Arc<str>, Subscription)>(), 32);
}
