use super::{Proxy, text};
use crate::table::Screen;
use serde_json::json;

fn proxies() -> Vec<Proxy> {
    serde_json::from_value(json!([
        {"namespace": "shop", "pod": "web-1", "ip": "10.244.0.5", "version": "0.1.0", "synced": true,
         "sync": {"Address": {"subscribed": 2, "sent": 2, "acked": 2, "nacked": []}}},
        {"namespace": "shop", "pod": "cart-1", "version": "0.1.0", "synced": false,
         "sync": {"Routes": {"sent": 1, "acked": 0, "nacked": [{"name": "shop/pay", "message": "no backend"}]}}}
    ]))
    .expect("the control plane's form")
}

#[test]
fn each_sidecar_says_where_it_stands_and_what_it_refused() {
    let text = text(&proxies(), &["pay-1.shop".to_owned()], false, &Screen::default());
    insta_lines(
        &text,
        &[
            "NAME         VERSION  STATUS        SENT  ACKED",
            "web-1.shop   0.1.0    SYNCED           2      2",
            "cart-1.shop  0.1.0    NACK             1      0",
            "pay-1.shop   -        DISCONNECTED     -      -",
            "cart-1.shop refused Routes shop/pay: no backend",
        ],
    );
}

#[test]
fn wide_shows_each_kind_of_resource() {
    let text = text(&proxies(), &[], true, &Screen::default());
    assert!(text.contains("ENDPOINTS") && text.contains("2/2") && text.contains("10.244.0.5"), "{text}");
}

fn insta_lines(text: &str, expected: &[&str]) {
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}
