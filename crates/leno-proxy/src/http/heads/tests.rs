use std::time::Duration;

use http::{HeaderName, HeaderValue};
use leno_core::decide::route::HeaderLookup;

use super::{Fields, Lookup, edit, grpc_timeout, is_grpc, strip_hop_by_hop};

fn headers(pairs: &[(&'static str, &'static str)]) -> Fields {
    pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
}

#[test]
fn a_repeated_header_is_looked_up_as_one() {
    let map = headers(&[("x-one", "1"), ("x-two", "a"), ("x-two", "b"), ("x-two", "c")]);
    let lookup = Lookup(&map);
    assert_eq!(
        (lookup.get("x-one").as_deref(), lookup.get("x-two").as_deref(), lookup.get("x-none")),
        (Some("1"), Some("a,b,c"), None)
    );
}

#[test]
fn what_belongs_to_one_connection_goes_no_further() {
    let mut map = headers(&[
        ("connection", "close, x-hop, keep-alive, host"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip, trailers"),
        ("hop", "stays"),
        ("host", "web"),
        ("x-hop", "stays, as nobody may take away what policies look at"),
    ]);
    strip_hop_by_hop(&mut map, false);
    let mut left: Vec<_> = map.iter().map(|(name, _)| name.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["hop", "host", "te", "x-hop"]);
    assert_eq!(map["te"], "trailers");
}

#[test]
fn a_tunnel_keeps_what_asks_for_it() {
    let mut map = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
    strip_hop_by_hop(&mut map, true);
    assert_eq!(
        (&map["connection"], &map["upgrade"]),
        (&"upgrade".parse().expect("v"), &"websocket".parse().expect("v"))
    );
}

#[test]
fn timeouts_of_grpc_are_digits_and_a_unit() {
    let of = |text: &'static str| grpc_timeout(&headers(&[("grpc-timeout", text)]));
    assert_eq!(of("1H"), Some(Duration::from_secs(3600)));
    assert_eq!(of("250m"), Some(Duration::from_millis(250)));
    assert_eq!(of("99999999u"), Some(Duration::from_micros(99_999_999)));
    for bad in ["", "5", "m", "999999999m", "5x", "-5m", "5 m"] {
        assert_eq!(of(bad), None, "{bad}");
    }
}

#[test]
fn grpc_is_known_by_its_content_type() {
    let of = |text: &'static str| is_grpc(&HeaderValue::from_static(text));
    assert!(of("application/grpc") && of("application/grpc+proto") && of("application/grpc; charset=utf-8"));
    assert!(!of("application/grpc-web") && !of("application/json"));
}

#[test]
fn edits_remove_then_set_then_add() {
    let mut map = headers(&[("x-a", "1"), ("x-b", "2")]);
    let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
    edit(
        &mut map,
        &leno_core::model::route::HeaderEdit {
            remove: vec!["x-a".into()],
            set: vec![pair("x-b", "3"), pair("bad name", "x")],
            add: vec![pair("x-b", "4")],
        },
    );
    let values: Vec<_> = map.get_all("x-b").map(|v| v.to_str().expect("text")).collect();
    assert_eq!((map.len(), values), (2, vec!["3", "4"]));
}
