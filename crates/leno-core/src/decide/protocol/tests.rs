use super::{mistaken_protocol, names_port, protocol_of_port};
use crate::model::Protocol;

fn by_name(name: &str) -> Protocol {
    protocol_of_port(None, name, 8080, false)
}

fn by_app(app: &str) -> Protocol {
    protocol_of_port(Some(app), "", 8080, false)
}

#[test]
fn a_name_declares_by_its_first_word() {
    for (name, expected) in [
        ("http", Protocol::Http),
        ("HTTP-web", Protocol::Http),
        ("http_proxy", Protocol::Http),
        ("http2-api", Protocol::Http2),
        ("grpc", Protocol::Grpc),
        ("grpc-api", Protocol::Grpc),
        ("grpc-web", Protocol::Http),
        ("gRPC-Web-ui", Protocol::Http),
        ("https", Protocol::Tls),
        ("tls-db", Protocol::Tls),
        ("tcp-db", Protocol::Tcp),
        ("mongo", Protocol::Tcp),
        ("redis-cache", Protocol::Tcp),
        ("mysql", Protocol::Tcp),
        ("udp-dns", Protocol::Udp),
        ("webhttp", Protocol::Auto),
        ("api-http", Protocol::Auto),
        ("", Protocol::Auto),
    ] {
        assert_eq!(by_name(name), expected, "{name}");
    }
}

#[test]
fn app_protocol_wins_over_the_name_and_knows_both_meshes() {
    assert_eq!(protocol_of_port(Some("grpc"), "http-x", 80, false), Protocol::Grpc);
    for (app, expected) in [
        ("kubernetes.io/h2c", Protocol::Http2),
        ("kubernetes.io/ws", Protocol::Http),
        ("kubernetes.io/wss", Protocol::Tls),
        ("linkerd.io/tcp", Protocol::Tcp),
        ("linkerd.io/opaque", Protocol::Tcp),
        ("http", Protocol::Http),
        ("example.com/own", Protocol::Auto),
    ] {
        assert_eq!(by_app(app), expected, "{app}");
    }
    assert_eq!(protocol_of_port(Some(""), "http", 80, false), Protocol::Http, "an empty one says nothing");
}

#[test]
fn undeclared_ports_of_server_first_protocols_are_opaque() {
    for port in [25, 53, 587, 3306, 4444, 5432, 6379, 9300, 11211, 27017] {
        assert_eq!(protocol_of_port(None, "main", port, false), Protocol::Tcp, "{port}");
    }
    assert_eq!(protocol_of_port(None, "http", 3306, false), Protocol::Http, "a declaration wins");
    assert_eq!(protocol_of_port(None, "main", 8080, false), Protocol::Auto);
}

#[test]
fn udp_is_not_carried() {
    assert_eq!(protocol_of_port(Some("http"), "http", 80, true), Protocol::Udp);
}

#[test]
fn names_that_look_like_a_mistake_are_told_apart_from_others() {
    for (name, hint) in [
        ("webhttp", Some("http")),
        ("web-http", Some("http")),
        ("httpserver", Some("http")),
        ("api-grpc", Some("grpc")),
        ("webhttps", Some("https")),
        ("my_mysql", Some("mysql")),
        ("http-web", None),
        ("metrics", None),
        ("", None),
    ] {
        assert_eq!(mistaken_protocol(None, name), hint, "{name}");
    }
    assert_eq!(mistaken_protocol(Some("kubernetes.io/http"), "x"), Some("http"));
    assert_eq!(mistaken_protocol(Some("http"), "webgrpc"), None, "the name does not count beside appProtocol");
}

#[test]
fn an_annotation_names_ports_by_number_and_by_range() {
    for (text, port, expected) in [
        ("5432", 5432, true),
        ("25, 4000-4010 ,8080", 4010, true),
        ("25, 4000-4010 ,8080", 8080, true),
        ("25, 4000-4010 ,8080", 4011, false),
        ("4010-4000", 4005, false),
        ("web", 80, false),
        ("", 0, false),
        ("-", 80, false),
        ("99999", 34463, false),
    ] {
        assert_eq!(names_port(text, port), expected, "{text} {port}");
    }
}
