use std::net::Ipv4Addr;
use std::str::FromStr as _;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::answer;
use crate::dns::zone::{Service, Zone};

fn zone() -> Zone {
    let pod = |last| Ipv4Addr::new(10, 244, 0, last);
    Zone::new(&[
        Service {
            namespace: "shop".into(),
            name: "web".into(),
            address: Some(Ipv4Addr::new(10, 96, 0, 20)),
            ports: vec![("http".into(), "tcp", 80)],
            ..Service::default()
        },
        Service {
            namespace: "shop".into(),
            name: "db".into(),
            ports: vec![("pg".into(), "tcp", 5432)],
            endpoints: vec![(Some("db-0".into()), pod(5)), (Some("db-1".into()), pod(6))],
            ..Service::default()
        },
        Service {
            namespace: "shop".into(),
            name: "outside".into(),
            alias: Some("web.shop.svc.cluster.local".into()),
            ..Service::default()
        },
        Service {
            namespace: "shop".into(),
            name: "loop".into(),
            alias: Some("loop.shop.svc.cluster.local".into()),
            ..Service::default()
        },
        Service {
            namespace: "shop".into(),
            name: "many".into(),
            endpoints: (0..100).map(|n| (None, pod(n))).collect(),
            ..Service::default()
        },
    ])
}

fn ask(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_str(name).expect("a name"), kind));
    let bytes = message.to_vec().expect("bytes");
    let reply = answer(&bytes, &zone(), 512).expect("an answer");
    Message::from_vec(&reply).expect("a message")
}

fn addresses(message: &Message) -> Vec<String> {
    message
        .answers
        .iter()
        .filter_map(|r| if let RData::A(a) = &r.data { Some(a.0.to_string()) } else { None })
        .collect()
}

#[test]
fn a_service_is_its_address_in_any_case_of_letters() {
    let reply = ask("Web.shop.svc.Cluster.local.", RecordType::A);
    assert_eq!(addresses(&reply), ["10.96.0.20"]);
    assert!(reply.metadata.authoritative);
}

#[test]
fn a_name_without_the_type_is_empty_and_no_name_is_nxdomain() {
    let empty = ask("web.shop.svc.cluster.local.", RecordType::AAAA);
    assert_eq!((empty.metadata.response_code, empty.answers.len()), (ResponseCode::NoError, 0));
    let inner = ask("shop.svc.cluster.local.", RecordType::A);
    assert_eq!((inner.metadata.response_code, inner.answers.len()), (ResponseCode::NoError, 0));
    for missing in
        ["nope.shop.svc.cluster.local.", "example.com.", "web.shop.svc.cluster.local.shop.svc.cluster.local."]
    {
        assert_eq!(ask(missing, RecordType::A).metadata.response_code, ResponseCode::NXDomain, "{missing}");
    }
}

#[test]
fn a_headless_service_is_its_pods_and_each_has_a_name() {
    assert_eq!(addresses(&ask("db.shop.svc.cluster.local.", RecordType::A)), ["10.244.0.5", "10.244.0.6"]);
    assert_eq!(addresses(&ask("db-1.db.shop.svc.cluster.local.", RecordType::A)), ["10.244.0.6"]);
}

#[test]
fn ports_are_found_by_name() {
    let reply = ask("_http._tcp.web.shop.svc.cluster.local.", RecordType::SRV);
    let RData::SRV(srv) = &reply.answers[0].data else { panic!("{reply:?}") };
    assert_eq!((srv.port, srv.target.to_ascii()), (80, "web.shop.svc.cluster.local.".to_owned()));
    assert_eq!(ask("_pg._tcp.db.shop.svc.cluster.local.", RecordType::SRV).answers.len(), 2);
}

#[test]
fn an_alias_is_followed_and_one_to_itself_ends() {
    let reply = ask("outside.shop.svc.cluster.local.", RecordType::A);
    assert!(matches!(reply.answers[0].data, RData::CNAME(_)));
    assert_eq!(addresses(&reply), ["10.96.0.20"]);
    assert!(!ask("loop.shop.svc.cluster.local.", RecordType::A).answers.is_empty());
}

#[test]
fn what_is_too_long_for_udp_is_cut_and_says_so() {
    let reply = ask("many.shop.svc.cluster.local.", RecordType::A);
    assert!(reply.metadata.truncation && reply.answers.is_empty());
}

#[test]
fn bytes_that_are_no_question_get_no_answer() {
    for bytes in [&b""[..], b"x", &[0; 12], &[0xff; 64]] {
        let _ = answer(bytes, &zone(), 512);
    }
    let own = ask("web.shop.svc.cluster.local.", RecordType::A).to_vec().expect("bytes");
    assert_eq!(answer(&own, &zone(), 512), None, "answering answers would go on for ever");
}
