use proptest::prelude::*;

use super::{Origin, ServiceId, SpiffeId};

#[test]
fn hosts_resolve_as_in_a_rule() {
    let web = |ns: &str| Some(ServiceId::new(ns, "web"));
    for (host, expected) in [
        ("web", web("own")),
        ("web.shop", web("shop")),
        ("web.shop.svc", web("shop")),
        ("web.shop.svc.cluster.local", web("shop")),
        ("web.shop.svc.cluster.local.", web("shop")),
        ("web.shop.svc.example.com", None),
        ("www.example.com", None),
        ("*.shop", None),
        ("*", None),
        ("", None),
        ("web..svc", None),
    ] {
        assert_eq!(ServiceId::from_host(host, "own"), expected, "{host}");
    }
}

#[test]
fn a_service_id_is_two_names() {
    assert_eq!("shop/web".parse(), Ok(ServiceId::new("shop", "web")));
    for bad in ["", "web", "/web", "shop/", "a/b/c"] {
        assert!(bad.parse::<ServiceId>().is_err(), "{bad}");
    }
    assert_eq!(ServiceId::new("shop", "web").host(), "web.shop.svc.cluster.local");
}

#[test]
fn only_identities_of_istios_form_are_taken() {
    let id = SpiffeId::new("cluster.local", "shop", "web");
    assert_eq!("spiffe://cluster.local/ns/shop/sa/web".parse(), Ok(id.clone()));
    assert_eq!(id.principal(), "cluster.local/ns/shop/sa/web");
    for bad in [
        "cluster.local/ns/shop/sa/web",
        "spiffe://cluster.local/ns/shop/sa/",
        "spiffe://cluster.local/ns//sa/web",
        "spiffe:///ns/shop/sa/web",
        "spiffe://cluster.local/ns/shop/sa/web/x",
        "spiffe://cluster.local/shop/web",
        "https://cluster.local/ns/shop/sa/web",
        "",
    ] {
        assert!(bad.parse::<SpiffeId>().is_err(), "{bad}");
    }
}

#[test]
fn an_origin_says_where_it_was_written() {
    let mut origin =
        Origin { kind: "VirtualService".into(), namespace: "shop".into(), name: "web".into(), source: String::new() };
    assert_eq!(origin.to_string(), "VirtualService shop/web");
    origin.source = "a.yaml:3".into();
    assert_eq!(origin.to_string(), "VirtualService shop/web (a.yaml:3)");
}

proptest! {
    #[test]
    fn names_are_read_back_as_written(a in "[a-z][a-z0-9.-]{0,9}", b in "[a-z0-9-]{1,9}", c in "[a-z0-9-]{1,9}") {
        let service = ServiceId::new(&b, &c);
        prop_assert_eq!(&service.to_string().parse::<ServiceId>().unwrap(), &service);
        prop_assert_eq!(ServiceId::from_host(&service.host(), "x").unwrap(), service);
        let id = SpiffeId::new(&a, &b, &c);
        prop_assert_eq!(id.to_string().parse::<SpiffeId>().unwrap(), id);
    }

    #[test]
    fn no_text_makes_them_panic(text in ".{0,60}") {
        let _ = text.parse::<ServiceId>();
        let _ = text.parse::<SpiffeId>();
        let _ = ServiceId::from_host(&text, "x");
    }
}
