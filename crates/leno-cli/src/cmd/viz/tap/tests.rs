use std::time::{Duration, Instant};

use clap::Parser;
use leno_core::tap::{Peer, Tapped};

use super::{Args, Pace, Status, line, status, wanted};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

pub(in crate::cmd::viz) fn tapped() -> Tapped {
    let peer = |name: &str| Peer {
        namespace: "shop".to_owned(),
        pod: format!("{name}-1"),
        kind: "deployment".to_owned(),
        workload: name.to_owned(),
        address: "10.0.0.1:80".to_owned(),
    };
    Tapped {
        at_ms: 43_200_120,
        source: peer("web"),
        destination: peer("cart-v1"),
        service: "cart.shop".to_owned(),
        method: "GET".to_owned(),
        authority: "cart:8080".to_owned(),
        path: "/items/1".to_owned(),
        status: 503,
        words: "a route rule injects this failure".to_owned(),
        flags: "FI".to_owned(),
        latency_ms: 12.4,
        secured: true,
        ..Tapped::default()
    }
}

#[test]
fn filters_each_by_each() {
    let passes = |flags: &str| {
        let words = ["tap", "deploy/web", "-n", "shop"].into_iter().chain(flags.split_whitespace());
        wanted(&Line::parse_from(words).args.of, &tapped())
    };
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
        assert!(passes(flags), "{flags}");
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
        assert!(!passes(flags), "{flags}");
    }
}

#[test]
fn a_status_is_one_or_a_class() {
    assert_eq!(status("404"), Ok(Status(404, 404)));
    assert_eq!(status("4xx"), Ok(Status(400, 499)));
    for bad in ["6xx", "xx", "99", "ok", ""] {
        assert!(status(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_line_tells_who_what_and_why() {
    let mut tapped = tapped();
    assert_eq!(
        line::line(&tapped, false),
        "12:00:00.120 out web -> cart-v1  GET /items/1  503  12ms  mTLS  FI a route rule injects this failure"
    );
    tapped.destination = Peer::default();
    tapped.path = "/\u{1b}[2J".to_owned();
    assert!(line::line(&tapped, false).contains("web -> cart.shop  GET /\u{fffd}[2J  503"));
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
