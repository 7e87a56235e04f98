use clap::Parser;
use leno_core::tap::{Peer, Tapped};

use super::{Args, line};

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
fn flags_are_the_filter() {
    let of = |flags: &str| {
        let words = ["tap", "deploy/web", "-n", "shop"].into_iter().chain(flags.split_whitespace());
        Line::parse_from(words).args.of.filter()
    };
    assert!(of("--from deploy/web --to svc/cart --method get --path /items --authority cart").takes(&tapped()));
    assert!(of("--status 5xx --min-latency 12ms").takes(&tapped()));
    for flags in ["--from ns/data", "--to svc/pay", "--method POST", "--path /x", "--authority x", "--status 4xx"] {
        assert!(!of(flags).takes(&tapped()), "{flags}");
    }
    assert!(!of("--min-latency 13ms").takes(&tapped()));
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
fn headers_are_lines_of_their_own() {
    let none = tapped();
    assert_eq!(line::headers(&none), "");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let with = Tapped {
        request_headers: vec![pair("accept", "*/*"), pair("cookie", "…")],
        response_headers: vec![pair("server", "x\u{7}")],
        ..none
    };
    assert_eq!(line::headers(&with), "\n    > accept: */*\n    > cookie: …\n    < server: x\u{fffd}");
}
