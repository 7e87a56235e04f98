//! The rules, word for word. That they do what they say is shown in network namespaces by `tests/init_netns.rs`.

use clap::Parser;

use super::plan::Plan;
use super::{InitArgs, InitError, iptables, nft};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: InitArgs,
}

fn plan(flags: &[&str]) -> Result<Plan, InitError> {
    let words = std::iter::once("init").chain(flags.iter().copied());
    Plan::from_args(&Cli::try_parse_from(words).expect("flags that clap takes").args)
}

/// The script without comments, whose fingerprint changes with every rule.
fn rules(script: &str) -> Vec<&str> {
    script.lines().map(|l| l.split(" comment ").next().unwrap_or(l).trim()).collect()
}

#[test]
fn by_default_everything_but_the_proxy_and_loopback_is_redirected() {
    let script = nft::render(&plan(&[]).unwrap());
    assert_eq!(
        rules(&script),
        [
            "add table inet leno",
            "delete table inet leno",
            "table inet leno {",
            "chain prerouting {",
            "type nat hook prerouting priority -100; policy accept;",
            "tcp dport { 15000-15001, 15004, 15006 } redirect to :1",
            "tcp dport { 15008, 15020, 15021, 15090 } return",
            "meta l4proto tcp redirect to :15006",
            "}",
            "chain output {",
            "type nat hook output priority -100; policy accept;",
            "meta skuid 1337 return",
            "oifname \"lo\" return",
            "ip daddr { 127.0.0.0/8 } return",
            "ip6 daddr { ::1/128 } return",
            "meta l4proto tcp redirect to :15001",
            "}",
            "}",
        ]
    );
}

#[test]
fn includes_and_excludes_keep_istios_order() {
    let flags = [
        "--mark=1337",
        "--include-inbound-ports=80,8000-8100,8050-8200",
        "--exclude-inbound-ports=22",
        "--include-outbound-ports=443",
        "--exclude-outbound-ports=3306, 5432",
        "--include-outbound-ip-ranges=10.96.0.0/16,10.244.0.0/17,10.244.128.0/17,fd00::/8",
        "--exclude-outbound-ip-ranges=169.254.169.254",
    ];
    let script = nft::render(&plan(&flags).unwrap());
    let rules = rules(&script);
    assert_eq!(
        rules[5..9],
        [
            "tcp dport { 15000-15001, 15004, 15006 } redirect to :1",
            "tcp dport { 15008, 15020, 15021, 15090 } return",
            "tcp dport { 22 } return",
            "tcp dport { 80, 8000-8200 } redirect to :15006",
        ]
    );
    assert_eq!(
        rules[12..21],
        [
            "meta mark 1337 return",
            "oifname \"lo\" return",
            "ip daddr { 127.0.0.0/8 } return",
            "ip6 daddr { ::1/128 } return",
            "tcp dport { 3306, 5432 } return",
            "ip daddr { 169.254.169.254/32 } return",
            "tcp dport { 443 } redirect to :15001",
            "meta l4proto tcp ip daddr { 10.96.0.0/16, 10.244.0.0/16 } redirect to :15001",
            "meta l4proto tcp ip6 daddr { fd00::/8 } redirect to :15001",
        ]
    );
    assert!(!script.contains("skuid"), "a mark alone leaves no uid exempt:\n{script}");
}

#[test]
fn uid_and_mark_together_are_both_exempt() {
    let script = nft::render(&plan(&["-u", "1337,2102", "--mark", "7"]).unwrap());
    for rule in ["meta skuid 1337 return", "meta skuid 2102 return", "meta mark 7 return"] {
        assert!(rules(&script).contains(&rule), "{rule} is missing:\n{script}");
    }
}

#[test]
fn comments_fit_in_what_nftables_stores() {
    let script = nft::render(&plan(&["-i", "10.0.0.0/8,fd00::/8", "-q", "443"]).unwrap());
    let comments: Vec<_> = script.lines().filter_map(|l| l.split(" comment ").nth(1)).collect();
    assert_eq!(comments.len(), 10);
    assert!(comments.iter().all(|c| c.len() < 128 && c.contains("/10 ")), "{comments:#?}");
}

#[test]
fn other_flags_give_another_fingerprint() {
    let fingerprint = |flags: &[&str]| {
        let script = nft::render(&plan(flags).unwrap());
        script.split("leno 1/").nth(1).and_then(|s| s.split(' ').nth(1)).map(str::to_owned).unwrap()
    };
    assert_eq!(fingerprint(&[]), fingerprint(&["--uid", "1337"]));
    assert_ne!(fingerprint(&[]), fingerprint(&["--uid", "1338"]));
}

#[test]
fn the_iptables_form_says_the_same_for_both_families() {
    let text = iptables::render_both(&plan(&["-x", "10.0.0.0/8,fd00::/8", "-o", "25,1000-2000"]).unwrap());
    let (v4, v6) = text.split_once("# ip6tables-restore").unwrap();
    let outbound = |text: &str| -> Vec<String> {
        text.lines().filter(|l| l.starts_with("-A LENO_OUTBOUND")).map(|l| l[17..].to_owned()).collect()
    };
    assert_eq!(
        outbound(v4),
        [
            "-p tcp -m owner --uid-owner 1337 -j RETURN",
            "-o lo -p tcp -j RETURN",
            "-d 127.0.0.0/8 -p tcp -j RETURN",
            "-p tcp --dport 25 -j RETURN",
            "-p tcp --dport 1000:2000 -j RETURN",
            "-d 10.0.0.0/8 -p tcp -j RETURN",
            "-p tcp -j REDIRECT --to-ports 15001",
        ]
    );
    assert!(outbound(v6).contains(&"-d fd00::/8 -p tcp -j RETURN".to_owned()));
    assert!(!v6.contains("10.0.0.0"));
}

#[test]
fn all_bad_flags_are_named_together() {
    let flags = ["-d", "80,http", "-o", "9-5", "-i", "10.0.0.0/40", "-x", "here"];
    let text = plan(&flags).unwrap_err().to_string();
    for word in ["exclude-inbound-ports: `http`", "exclude-outbound-ports: `9-5`", "`10.0.0.0/40`", "`here`"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}
