mod reporting;
mod strategy;

use leno_core::id::{Origin, SpiffeId};
use leno_core::model::authz::AuthzRule;
use leno_core::model::{AddressTarget, AuthorizationPolicy, AuthzAction, Endpoint, MtlsMode, Workload};
use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_encoded_decodes_to_the_same(resource in strategy::resource()) {
        let bytes = resource.encode();
        prop_assert_eq!(&Resource::decode(resource.kind(), &bytes).unwrap(), &resource);
        prop_assert_eq!(resource.encode(), bytes);
    }

    #[test]
    fn foreign_bytes_never_panic(kind in 0_usize..6, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Resource::decode(ResourceKind::ALL[kind], &bytes);
    }

    #[test]
    fn damaged_resources_never_panic(resource in strategy::resource(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = resource.encode().to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Resource::decode(resource.kind(), &bytes);
    }
}

fn decode<P: Message>(kind: ResourceKind, message: &P) -> Result<Resource, DecodeError> {
    Resource::decode(kind, &message.encode_to_vec())
}

#[test]
fn an_error_names_the_field() {
    let rule = pb::HttpRoute {
        matches: vec![
            pb::HttpMatch::default(),
            pb::HttpMatch {
                uri: Some(pb::StringMatch { kind: Some(pb::string_match::Kind::Regex("a(".to_owned())) }),
                ..pb::HttpMatch::default()
            },
        ],
        action: Some(pb::http_route::Action::Forward(pb::Forward::default())),
        ..pb::HttpRoute::default()
    };
    let table = pb::RouteTable { origin: Some(pb::Origin::default()), http: vec![rule], ..Default::default() };
    let routes = pb::Routes { service: "shop/cart".to_owned(), tables: vec![table] };
    let error = decode(ResourceKind::Routes, &routes).unwrap_err();
    assert_eq!(error.field, "tables[0].http[0].matches[1].uri");
    assert!(error.to_string().contains("is not a regular expression"), "{error}");

    let service = pb::Service { id: "cart".to_owned(), kind: None, ..Default::default() };
    let error = decode(ResourceKind::Service, &service).unwrap_err();
    assert_eq!(error.to_string(), "id `cart` is not of the form NAMESPACE/NAME");

    let service = pb::Service { id: "shop/cart".to_owned(), kind: None, ..Default::default() };
    assert_eq!(decode(ResourceKind::Service, &service).unwrap_err().to_string(), "kind is missing");

    let ports = vec![pb::ServicePort { port: 70_000, ..Default::default() }];
    let kind = Some(pb::service::Kind::Headless(pb::Empty {}));
    let service = pb::Service { id: "shop/cart".to_owned(), kind, ports, ..Default::default() };
    let error = decode(ResourceKind::Service, &service).unwrap_err();
    assert_eq!(error.to_string(), "ports[0].port is 70000, not a port");

    let address =
        pb::Address { ip: vec![1, 2, 3].into(), target: Some(pb::address::Target::Service("a/b".to_owned())) };
    let error = decode(ResourceKind::Address, &address).unwrap_err();
    assert_eq!(error.to_string(), "ip has 3 bytes, not the 4 or 16 of an IP address");
}

#[test]
fn an_unknown_protocol_is_refused_not_guessed() {
    let ports = vec![pb::ServicePort { port: 80, protocol: 99, ..Default::default() }];
    let kind = Some(pb::service::Kind::ClusterIp(pb::Empty {}));
    let service = pb::Service { id: "shop/cart".to_owned(), kind, ports, ..Default::default() };
    assert_eq!(decode(ResourceKind::Service, &service).unwrap_err().field, "ports[0].protocol");
}

#[test]
fn what_a_policy_reader_does_not_understand_denies() {
    let policy = |action: i32, level: u32| pb::AuthorizationPolicy {
        origin: Some(pb::Origin::default()),
        action,
        level,
        rules: Vec::new(),
        selector: BTreeMap::from([("app".to_owned(), "cart".to_owned())]),
    };
    let modes = pb::PeerAuthentication { origin: Some(pb::Origin::default()), mode: 9, ..Default::default() };
    let policies = pb::Policies {
        namespace: "shop".to_owned(),
        peer_authentications: vec![modes],
        authorization: vec![
            policy(1, policy::LEVEL),
            policy(77, policy::LEVEL),
            policy(1, policy::LEVEL + 1),
            policy(1, 0),
        ],
        telemetry: Vec::new(),
    };
    let Resource::Policies(decoded) = decode(ResourceKind::Policies, &policies).unwrap() else { panic!() };
    assert_eq!(decoded.peer_authentications[0].mode, MtlsMode::Strict);
    assert_eq!(decoded.authorization[0].action, AuthzAction::Allow);
    let deny_all = AuthorizationPolicy {
        origin: Origin::default(),
        selector: BTreeMap::from([("app".to_owned(), "cart".to_owned())]),
        action: AuthzAction::Deny,
        rules: vec![AuthzRule::default()],
    };
    assert_eq!(decoded.authorization[1..], [deny_all.clone(), deny_all.clone(), deny_all]);
}

#[test]
fn pods_of_one_deployment_cost_little_each() {
    let endpoints = |count: u8| {
        let endpoints = (0..count).map(|i| Endpoint {
            ip: IpAddr::from([10, 244, 0, i]),
            ports: vec![(80, 8080)],
            ready: true,
            workload: Arc::new(workload(&format!("cart-5d8f7c9b7-{i:05}"))),
        });
        Resource::Endpoints(Arc::new(Endpoints {
            service: ServiceId::new("shop", "cart"),
            endpoints: endpoints.collect(),
        }))
    };
    let per_pod = (endpoints(101).encode().len() - endpoints(1).encode().len()) / 100;
    assert!(per_pod <= 40, "{per_pod} bytes for each further pod");
}

#[test]
fn a_pod_behind_several_services_is_held_once() {
    let mut interner = Interner::default();
    let endpoints = |service: &str| Endpoints {
        service: ServiceId::new("shop", service),
        endpoints: vec![Endpoint {
            ip: IpAddr::from([10, 0, 0, 1]),
            ports: Vec::new(),
            ready: true,
            workload: Arc::new(workload("cart-1")),
        }],
    };
    let mut read = |service: &str| {
        let bytes = Resource::Endpoints(Arc::new(endpoints(service))).encode();
        match Resource::decode_shared(ResourceKind::Endpoints, &bytes, &mut interner).unwrap() {
            Resource::Endpoints(e) => e.endpoints[0].workload.clone(),
            other => panic!("{other:?}"),
        }
    };
    let (a, b) = (read("cart"), read("cart-internal"));
    assert!(Arc::ptr_eq(&a, &b));
    let address = Address {
        ip: IpAddr::from([10, 0, 0, 1]),
        target: AddressTarget::Workload { workload: a.clone(), ports: Vec::new(), terminating: false },
    };
    let bytes = Resource::Address(Arc::new(address)).encode();
    let decoded = Resource::decode_shared(ResourceKind::Address, &bytes, &mut interner).unwrap();
    let Resource::Address(address) = decoded else { panic!() };
    let AddressTarget::Workload { workload, .. } = &address.target else { panic!() };
    assert!(Arc::ptr_eq(workload, &a));
}

#[test]
fn names_and_type_urls_go_both_ways() {
    for kind in ResourceKind::ALL {
        assert_eq!(ResourceKind::from_type_url(kind.type_url()), Some(kind));
        assert_eq!(ResourceKind::ALL[kind.index()], kind);
    }
    let mapped = "::ffff:10.0.0.1".parse().unwrap();
    assert_eq!(ResourceName::address(mapped).to_string(), "Address 10.0.0.1");
    assert_eq!(ResourceName::routes(&ServiceId::new("a", "b")).service_id(), Some(ServiceId::new("a", "b")));
}

fn workload(pod: &str) -> Workload {
    Workload {
        namespace: "shop".to_owned(),
        pod: pod.to_owned(),
        name: "cart".to_owned(),
        kind: "deployment".to_owned(),
        account: "cart".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "cart".to_owned()), ("version".to_owned(), "v1".to_owned())]),
        identity: Some(SpiffeId::new("cluster.local", "shop", "cart")),
        plaintext_ports: Vec::new(),
        node: "n".to_owned(),
    }
}

use std::collections::BTreeMap;
