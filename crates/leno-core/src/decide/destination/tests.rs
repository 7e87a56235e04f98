use super::*;
use crate::model::Protocol;

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

#[test]
fn addresses_have_a_meaning() {
    let id = ServiceId::new("shop", "web");
    let ip = at(80).ip();
    let service = Address { ip, target: AddressTarget::Service(id.clone()) };
    assert_eq!(meaning(at(80), false, Some(&service), false), Ok(Meaning::Service(&id)));
    assert_eq!(meaning(at(80), true, Some(&service), false), Ok(Meaning::Itself));
    assert_eq!(meaning("127.0.0.1:80".parse().unwrap(), false, None, false), Ok(Meaning::Itself));
    assert_eq!(meaning(at(80), false, None, true), Ok(Meaning::Outside));
    assert_eq!(meaning(at(80), false, None, false), Err(Reason::UnknownDestination));
    let port = WorkloadPort { port: 80, protocol: Protocol::Http, service: id, service_port: 8080, headless: false };
    let target = AddressTarget::Workload { workload: Arc::default(), ports: vec![port.clone()], terminating: false };
    let pod = Address { ip, target };
    assert!(matches!(meaning(at(80), false, Some(&pod), false), Ok(Meaning::Pod { port: Some(p), .. }) if *p == port));
    assert!(matches!(meaning(at(81), false, Some(&pod), false), Ok(Meaning::Pod { port: None, .. })));
}

#[test]
fn a_pod_that_is_dialled_is_spoken_for_by_the_service_that_the_request_names() {
    let id = ServiceId::new("shop", "db");
    for host in
        ["db", "db:80", "db.shop", "db.shop.svc.cluster.local:80", "db-0.db.shop", "db-0.db.shop.svc.cluster.local"]
    {
        assert!(names_service(host, "shop", &id), "{host}");
    }
    for host in ["", "10.0.0.1:80", "other", "db.elsewhere"] {
        assert!(!names_service(host, "shop", &id), "{host}");
    }
}
