use super::{certs, clusters, endpoints, routes, short_time};
use crate::table::Screen;
use serde_json::json;

#[test]
fn a_route_is_one_line_with_its_shares() {
    let dump = json!({"services": [
        {"service": "shop/catalog", "routes": {"origin": {"kind": "VirtualService", "namespace": "shop", "name": "catalog"}, "http": [
            {"name": "testers", "line": 9, "matches": [{"headers": [["x-user", {"exact": "tester"}]]}],
             "action": {"forward": [{"backend": {"service": {"namespace": "shop", "name": "catalog"}, "subset": "v2"}, "weight": 1}]}},
            {"name": "canary", "line": 14, "matches": [], "timeout": {"secs": 5, "nanos": 0},
             "retry": {"attempts": 2, "per_try_timeout": {"secs": 0, "nanos": 250_000_000}},
             "fault": {"delay": [10.0, {"secs": 2, "nanos": 0}], "abort": [1.0, {"http": 500}]},
             "action": {"forward": [
                {"backend": {"service": {"namespace": "shop", "name": "catalog"}, "subset": "v1"}, "weight": 90},
                {"backend": {"service": {"namespace": "shop", "name": "catalog"}, "subset": "v2"}, "weight": 10}]}}
        ], "tcp": [], "tls": []}},
        {"service": "shop/cart", "routes": null}
    ]});
    let text = routes::text(&routes::rules(&dump), &Screen::default());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[1].contains("x-user=tester") && lines[1].contains("catalog:v2"), "{text}");
    assert!(lines[2].contains("catalog:v1 90%, catalog:v2 10%"), "{text}");
    assert!(lines[2].contains("5s") && lines[2].contains("2 x 250ms"), "{text}");
    assert!(lines[2].contains("delay 2s 10.0%, abort 500 1.0%"), "{text}");
    assert!(lines[3].starts_with("shop/cart") && lines[3].contains("default"), "{text}");
}

#[test]
fn certificates_say_whose_they_are_and_how_long_they_hold() {
    let value = json!({"certificates": [{
        "identity": "spiffe://cluster.local/ns/shop/sa/web", "serial": "0a:1b", "expired": false,
        "expires_in_seconds": 86_000, "valid_from": "2026-01-01T00:00:00Z", "expiration_time": "2026-01-02T00:00:00Z"
    }], "problem": null});
    let text = certs(&value, &Screen::default());
    assert!(text.contains("spiffe://cluster.local/ns/shop/sa/web") && text.contains("VALID"), "{text}");
    assert!(text.contains("23h53m") && text.contains("0a:1b"), "{text}");
    let none = certs(&json!({"certificates": [], "problem": "the token was refused"}), &Screen::default());
    assert_eq!(none, "no certificate\nproblem: the token was refused\n");
}

#[test]
fn endpoints_say_how_they_are() {
    let value = json!({"clusters": [{"name": "outbound|8080||web.shop.svc.cluster.local", "endpoints": [
        {"address": "10.244.0.5:8080", "pod": "web-1", "ready": true, "identity": null},
        {"address": "10.244.0.6:8080", "pod": "web-2", "ready": false}
    ]}]});
    let text = endpoints(&value, &Screen::default());
    assert!(text.contains("10.244.0.5:8080  HEALTHY"), "{text}");
    assert!(text.contains("10.244.0.6:8080  NOT READY"), "{text}");
    assert!(endpoints(&json!({}), &Screen::default()).contains("has not called"));
}

#[test]
fn a_service_without_ready_endpoints_is_shown() {
    let value = json!([{"service": "shop/web", "definition": {"ports": [{"port": 8080, "name": "http", "protocol": "http"}]},
        "endpoints": [{"ready": false}], "routes": null, "destinationRule": null}]);
    let text = clusters(&value, &Screen::default());
    assert!(text.lines().nth(1).is_some_and(|l| l.contains("shop/web") && l.contains("8080")), "{text}");
}

#[test]
fn times_are_short() {
    assert_eq!(short_time(9), "9s");
    assert_eq!(short_time(250), "4m10s");
    assert_eq!(short_time(86_399), "23h59m");
}
