//! The plan in nftables: one table of our own, replaced in one transaction.

use std::fmt::Write as _;

use ipnet::IpNet;

use super::InitError;
use super::command::Program;
use super::plan::{Plan, Rule, Then, When};

/// The table; nothing outside it is touched.
const TABLE: &str = "inet leno";
const NEEDS: &str = "nftables (modules nf_tables, nf_nat, nft_chain_nat, nft_redir)";

pub(super) fn apply(plan: &Plan) -> Result<(), InitError> {
    Program::find("nft", NEEDS)?.run(&["-f", "-"], &render(plan)).map(drop)
}

/// Every rule carries its place and the plan's fingerprint as a comment, so the kernel's own listing shows whether
/// all of this plan is in force, without parsing rules back.
pub(super) fn check(plan: &Plan) -> Result<(), InitError> {
    let listing = match Program::find("nft", NEEDS)?.run(&["list", "table", "inet", "leno"], "") {
        Ok(listing) => listing,
        Err(InitError::Failed { stderr, .. }) if stderr.contains("No such file or directory") => {
            return Err(InitError::NotInForce(format!("the table `{TABLE}` does not exist")));
        }
        Err(e) => return Err(e),
    };
    let hooks = ["hook prerouting", "hook output"];
    let tags = tags(plan);
    match hooks.into_iter().chain(tags.iter().map(String::as_str)).find(|need| !listing.contains(need)) {
        None => Ok(()),
        Some(need) => Err(InitError::NotInForce(format!(
            "the table `{TABLE}` lacks `{}` (changed by someone, or set up with other flags)",
            need.trim_matches('"')
        ))),
    }
}

pub(super) fn clean() -> Result<(), InitError> {
    let script = format!("add table {TABLE}\ndelete table {TABLE}\n");
    Program::find("nft", NEEDS)?.run(&["-f", "-"], &script).map(drop)
}

/// The script: `add` before `delete` makes the deletion succeed also when there is no table yet.
pub(super) fn render(plan: &Plan) -> String {
    let mut out = format!("add table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n");
    let tags = tags(plan);
    let mut tags = tags.iter();
    // A number, because nft 1.0.6 knows the name `dstnat` for prerouting only.
    for (hook, rules) in [("prerouting", &plan.inbound), ("output", &plan.outbound)] {
        let _ = writeln!(out, "\tchain {hook} {{");
        let _ = writeln!(out, "\t\ttype nat hook {hook} priority -100; policy accept;");
        for (rule, tag) in rules.iter().flat_map(lines).zip(tags.by_ref()) {
            let _ = writeln!(out, "\t\t{} comment {tag}{}\"", rule.0, rule.1);
        }
        out.push_str("\t}\n");
    }
    out.push_str("}\n");
    out
}

/// `"leno 3/9 89abcdef: `, the start of each rule's comment.
fn tags(plan: &Plan) -> Vec<String> {
    let lines: Vec<_> = plan.inbound.iter().chain(&plan.outbound).flat_map(lines).collect();
    // FNV-1a: stable between builds, so that a newer binary recognises the rules of an older one.
    let mut hash = 0x811c_9dc5_u32;
    for byte in lines.iter().flat_map(|(rule, _)| rule.bytes().chain([b'\n'])) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    (1..=lines.len()).map(|i| format!("\"leno {i}/{} {hash:08x}: ", lines.len())).collect()
}

/// A rule's text, one per address family where networks are named, and its reason.
fn lines(rule: &Rule) -> Vec<(String, &'static str)> {
    let then = match rule.then {
        Then::Leave => "return".to_owned(),
        Then::Redirect(port) => format!("redirect to :{port}"),
    };
    let tests = match &rule.when {
        When::Always => vec!["meta l4proto tcp".to_owned()],
        When::Ports(ports) => vec![format!("tcp dport {{ {} }}", list(ports.iter().map(range)))],
        When::Uid(uid) => vec![format!("meta skuid {uid}")],
        When::Mark(mark) => vec![format!("meta mark {mark}")],
        When::Loopback => vec!["oifname \"lo\"".to_owned()],
        When::To(nets) => families(nets),
    };
    // NAT statements need the protocol in the same rule.
    let needs_tcp = matches!((&rule.then, &rule.when), (Then::Redirect(_), When::To(_)));
    let tcp = if needs_tcp { "meta l4proto tcp " } else { "" };
    tests.into_iter().map(|test| (format!("{tcp}{test} {then}"), rule.why)).collect()
}

fn families(nets: &[IpNet]) -> Vec<String> {
    let family = |name: &str, v4: bool| {
        let of: Vec<_> = nets.iter().filter(|n| n.addr().is_ipv4() == v4).map(ToString::to_string).collect();
        (!of.is_empty()).then(|| format!("{name} daddr {{ {} }}", of.join(", ")))
    };
    family("ip", true).into_iter().chain(family("ip6", false)).collect()
}

fn list(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

fn range(&(first, last): &(u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}
