use std::net::{Ipv4Addr, SocketAddrV4};

use super::{ServicePort, table};

fn port(endpoints: &[u8]) -> ServicePort {
    let endpoint = |last: &u8| SocketAddrV4::new(Ipv4Addr::new(10, 244, 0, *last), 8080);
    ServicePort {
        address: Ipv4Addr::new(10, 96, 0, 20),
        port: 80,
        udp: false,
        endpoints: endpoints.iter().map(endpoint).collect(),
    }
}

#[test]
fn the_table_is_replaced_in_one_transaction() {
    let text = table(&[]);
    assert!(text.starts_with("table ip leno\ndelete table ip leno\ntable ip leno {\n"), "{text}");
}

#[test]
fn one_endpoint_is_dialled_many_are_drawn() {
    let one = table(&[port(&[5])]);
    assert!(one.contains("10.96.0.20 . tcp . 80 : goto s-10-96-0-20-tcp-80"), "{one}");
    assert!(one.contains("dnat to 10.244.0.5:8080"), "{one}");
    let two = table(&[port(&[5, 6])]);
    let rule = "dnat to numgen random mod 2 map { 0 : 10.244.0.5 . 8080, 1 : 10.244.0.6 . 8080 }";
    assert!(two.contains(rule), "{two}");
}

#[test]
fn without_endpoints_there_is_nothing_to_go_to_and_the_connection_is_refused() {
    let none = table(&[port(&[])]);
    assert!(!none.contains("goto"), "{none}");
    assert!(none.contains("reject with tcp reset"), "{none}");
}
