use std::sync::Arc;

use super::*;
use crate::id::ServiceId;
use crate::model::{ServiceKind, ServicePort};

fn service(ports: &[u16]) -> Service {
    let port = |p: &u16| ServicePort { port: *p, name: String::new(), protocol: Protocol::Http };
    Service {
        id: ServiceId::new("shop", "web"),
        kind: ServiceKind::ClusterIp,
        vips: Vec::new(),
        ports: ports.iter().map(port).collect(),
        destination_rules: Vec::new(),
    }
}

fn pod(version: &str, last: u8) -> Endpoint {
    let labels = [("version".to_owned(), version.to_owned())].into();
    let workload = Arc::new(Workload { labels, ..Workload::default() });
    Endpoint { ip: [10, 0, 0, last].into(), ports: vec![(80, 8080)], ready: true, workload }
}

#[test]
fn a_destination_without_a_port_takes_the_dialled_one_or_the_only_one() {
    assert_eq!(port_of(&service(&[80]), None, 80), 80);
    assert_eq!(port_of(&service(&[8080]), None, 80), 8080, "its only one");
    assert_eq!(port_of(&service(&[81, 82]), None, 80), 80, "which it does not have: that is told later");
    assert_eq!(port_of(&service(&[80]), Some(99), 80), 99);
}

#[test]
fn ports_and_subsets_must_exist() {
    let subset = Subset { name: "v1".to_owned(), labels: pod("1", 1).workload.labels.clone(), ..Subset::default() };
    let rule = DestinationRule { subsets: vec![subset], ..DestinationRule::default() };
    assert!(plan(&service(&[80]), None, None, 80).exists);
    assert!(!plan(&service(&[80]), None, None, 81).exists);
    assert!(!plan(&service(&[80]), None, Some("v1"), 80).exists, "no rule has it");
    assert!(!plan(&service(&[80]), Some(&rule), Some("v2"), 80).exists);
    let found = plan(&service(&[80]), Some(&rule), Some("v1"), 80);
    assert!(found.exists);
    let all = Endpoints { service: ServiceId::new("shop", "web"), endpoints: vec![pod("1", 1), pod("2", 2)] };
    let addresses = |subset| members(&all, subset, 80).map(|(a, _)| a.to_string()).collect::<Vec<_>>();
    assert_eq!(addresses(None), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    assert_eq!(addresses(found.subset), ["10.0.0.1:8080"]);
}

#[test]
fn meshed_pods_prove_themselves_unless_a_rule_says_otherwise() {
    let id = SpiffeId::new("cluster.local", "shop", "web");
    let meshed = Workload { identity: Some(id.clone()), plaintext_ports: vec![9], ..Workload::default() };
    let bare = Workload::default();
    let tls = |mode, names: &[&str]| ClientTls {
        mode,
        subject_alt_names: names.iter().map(ToString::to_string).collect(),
        sni: None,
    };
    assert_eq!(proof(&meshed, 80, None), Proof::Identity(&id));
    assert_eq!(proof(&meshed, 9, None), Proof::Plain, "its policy is DISABLE there");
    assert_eq!(proof(&bare, 80, None), Proof::Plain);
    assert_eq!(proof(&meshed, 80, Some(&tls(ClientTlsMode::Disable, &[]))), Proof::Plain);
    assert_eq!(proof(&bare, 80, Some(&tls(ClientTlsMode::IstioMutual, &[]))), Proof::Nobody);
    let named = tls(ClientTlsMode::IstioMutual, &["spiffe://x/ns/a/sa/b"]);
    assert_eq!(proof(&meshed, 80, Some(&named)), Proof::Names(&named.subject_alt_names));
}
