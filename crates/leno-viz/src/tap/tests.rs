use std::time::{Duration, Instant};

use leno_core::tap::{Peer, Tapped};

use super::{Filter, Pace, Status};

fn tapped() -> Tapped {
    let peer = |name: &str| Peer {
        namespace: "shop".to_owned(),
        pod: format!("{name}-1"),
        kind: "deployment".to_owned(),
        workload: name.to_owned(),
        address: "10.0.0.1:80".to_owned(),
    };
    Tapped {
        source: peer("web"),
        destination: peer("cart-v1"),
        service: "cart.shop".to_owned(),
        method: "GET".to_owned(),
        authority: "cart:8080".to_owned(),
        path: "/items/1".to_owned(),
        status: 503,
        latency_ms: 12.4,
        ..Tapped::default()
    }
}

/// `--from deploy/web --status 503`, as the command line has them.
fn filter(flags: &str) -> Filter {
    let words: Vec<_> = flags.split_whitespace().collect();
    let of = |name: &str| words.iter().position(|w| *w == name).map(|at| words[at + 1].to_owned());
    Filter {
        from: of("--from").map(|r| r.parse().unwrap()),
        to: of("--to").map(|r| r.parse().unwrap()),
        namespace: Some("shop".to_owned()),
        method: of("--method"),
        path: of("--path"),
        authority: of("--authority"),
        status: of("--status").map(|s| s.parse().unwrap()),
        min_latency: of("--min-latency").map(|l| crate::model::parse_duration(&l).unwrap()),
    }
}

#[test]
fn filters_each_by_each() {
    for flags in [
        "",
        "--from deploy/web",
        "--from ns/shop",
        "--to svc/cart",
        "--to deploy/cart-v1",
        "--to svc/cart.shop",
        "--method get",
        "--path /items",
        "--authority cart",
        "--authority cart:8080",
        "--status 503",
        "--status 5xx",
        "--min-latency 12ms",
    ] {
        assert!(filter(flags).takes(&tapped()), "{flags}");
    }
    for flags in [
        "--from deploy/cart-v1",
        "--from ns/data",
        "--to svc/pay",
        "--to svc/cart.data",
        "--to sts/cart-v1",
        "--method POST",
        "--path /carts",
        "--authority car",
        "--status 500",
        "--status 4xx",
        "--min-latency 13ms",
    ] {
        assert!(!filter(flags).takes(&tapped()), "{flags}");
    }
    let anywhere = Filter { namespace: None, ..filter("--to svc/cart") };
    assert!(anywhere.takes(&tapped()) && anywhere.takes(&Tapped { service: "cart.data".to_owned(), ..tapped() }));
}

#[test]
fn a_status_is_one_or_a_class() {
    let status = |text: &str| text.parse::<Status>();
    assert!(status("404").is_ok_and(|s| s.takes(404) && !s.takes(405)));
    assert!(status("4xx").is_ok_and(|s| s.takes(400) && s.takes(499) && !s.takes(500)));
    for bad in ["6xx", "xx", "99", "ok", ""] {
        assert!(status(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_pace_is_kept_second_by_second() {
    let mut pace = Pace::new(2);
    let now = Instant::now();
    let shown = |pace: &mut Pace, at| (0..5).filter(|_| pace.may(at)).count();
    assert_eq!(shown(&mut pace, now), 2);
    assert_eq!(shown(&mut pace, now + Duration::from_secs(2)), 2);
    assert_eq!(pace.held, 6);
}
