//! The plan in iptables, for machines without `nft`: two chains of our own in the `nat` tables of both families.
//!
//! `iptables` writes by nftables nowadays; where the kernel has none, `iptables-legacy` writes to the tables of old. The
//! proxy's image holds both, and no `nft`, which would bring two megabytes of libraries along.

use std::fmt::Write as _;

use super::InitError;
use super::command::Program;
use super::plan::{Plan, Rule, Then, When};

const NEEDS: &str = "iptables (modules iptable_nat, xt_REDIRECT, xt_owner, or nft_compat)";
/// `(built-in chain, ours)`.
const CHAINS: [(&str, &str); 2] = [("PREROUTING", "LENO_INBOUND"), ("OUTPUT", "LENO_OUTBOUND")];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    /// Both, or IPv4 alone where the kernel has no IPv6.
    fn present() -> impl Iterator<Item = Self> {
        let v6 = std::path::Path::new("/proc/net/if_inet6").exists();
        [Self::V4, Self::V6].into_iter().filter(move |f| *f == Self::V4 || v6)
    }

    const fn programs(self, flavour: Flavour) -> (&'static str, &'static str) {
        match (self, flavour) {
            (Self::V4, Flavour::Usual) => ("iptables", "iptables-restore"),
            (Self::V6, Flavour::Usual) => ("ip6tables", "ip6tables-restore"),
            (Self::V4, Flavour::Legacy) => ("iptables-legacy", "iptables-legacy-restore"),
            (Self::V6, Flavour::Legacy) => ("ip6tables-legacy", "ip6tables-legacy-restore"),
        }
    }
}

/// Which of the programs, by the names that distributions give them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Usual,
    Legacy,
}

/// What the usual programs make of it, and where these find no NAT in the kernel, the legacy ones; the first error is the
/// better one where those cannot help either.
fn either(act: impl Fn(Flavour) -> Result<(), InitError>) -> Result<(), InitError> {
    match act(Flavour::Usual) {
        Err(why @ InitError::NoNat { .. }) => act(Flavour::Legacy).map_err(|_| why),
        done => done,
    }
}

/// Our chains are replaced in one transaction per family; the jumps to them are added where they are missing.
pub(super) fn apply(plan: &Plan) -> Result<(), InitError> {
    either(|flavour| apply_by(plan, flavour))
}

fn apply_by(plan: &Plan, flavour: Flavour) -> Result<(), InitError> {
    for family in Family::present() {
        let (tables, restore) = family.programs(flavour);
        let (tables, restore) = (Program::find(tables, NEEDS)?, Program::find(restore, NEEDS)?);
        let mut missing = Vec::new();
        for (hook, chain) in CHAINS {
            if !tables.succeeds(&["-w", "-t", "nat", "-C", hook, "-p", "tcp", "-j", chain])? {
                missing.push((hook, chain));
            }
        }
        restore.run(&["--noflush"], &render(plan, family, &missing))?;
    }
    Ok(())
}

pub(super) fn check(plan: &Plan) -> Result<(), InitError> {
    either(|flavour| check_by(plan, flavour))
}

fn check_by(plan: &Plan, flavour: Flavour) -> Result<(), InitError> {
    for family in Family::present() {
        let tables = Program::find(family.programs(flavour).0, NEEDS)?;
        tables.run(&["-w", "-t", "nat", "-S", "OUTPUT"], "")?;
        let jumps = CHAINS.map(|(hook, chain)| format!("-A {hook} -p tcp -j {chain}"));
        let rules = CHAINS.iter().zip([&plan.inbound, &plan.outbound]).flat_map(|((_, chain), rules)| {
            rules.iter().flat_map(|r| lines(r, family)).map(move |line| format!("-A {chain} {line}"))
        });
        for rule in jumps.into_iter().chain(rules) {
            let words: Vec<&str> = ["-w", "-t", "nat", "-C"].into_iter().chain(rule.split(' ').skip(1)).collect();
            if !tables.succeeds(&words)? {
                return Err(InitError::NotInForce(format!("{} lacks `{rule}`", family.programs(flavour).0)));
            }
        }
    }
    Ok(())
}

pub(super) fn clean() -> Result<(), InitError> {
    either(clean_by)
}

fn clean_by(flavour: Flavour) -> Result<(), InitError> {
    for family in Family::present() {
        let tables = Program::find(family.programs(flavour).0, NEEDS)?;
        tables.run(&["-w", "-t", "nat", "-S", "OUTPUT"], "")?;
        for (hook, chain) in CHAINS {
            while tables.succeeds(&["-w", "-t", "nat", "-D", hook, "-p", "tcp", "-j", chain])? {}
            if tables.succeeds(&["-w", "-t", "nat", "-F", chain])? {
                tables.run(&["-w", "-t", "nat", "-X", chain], "")?;
            }
        }
    }
    Ok(())
}

/// Both families as they would be written into an empty namespace.
pub(super) fn render_both(plan: &Plan) -> String {
    format!(
        "# iptables-restore --noflush\n{}# ip6tables-restore --noflush\n{}",
        render(plan, Family::V4, &CHAINS),
        render(plan, Family::V6, &CHAINS)
    )
}

fn render(plan: &Plan, family: Family, jumps: &[(&str, &str)]) -> String {
    let mut out = String::from("*nat\n");
    for (_, chain) in CHAINS {
        // Naming a chain empties it.
        let _ = writeln!(out, ":{chain} - [0:0]");
    }
    for ((_, chain), rules) in CHAINS.iter().zip([&plan.inbound, &plan.outbound]) {
        for line in rules.iter().flat_map(|r| lines(r, family)) {
            let _ = writeln!(out, "-A {chain} {line}");
        }
    }
    for (hook, chain) in jumps {
        let _ = writeln!(out, "-A {hook} -p tcp -j {chain}");
    }
    out.push_str("COMMIT\n");
    out
}

/// One line per port range or network.
fn lines(rule: &Rule, family: Family) -> Vec<String> {
    let then = match rule.then {
        Then::Leave => "-j RETURN".to_owned(),
        Then::Redirect(port) => format!("-j REDIRECT --to-ports {port}"),
    };
    let tests: Vec<String> = match &rule.when {
        When::Always => vec!["-p tcp".to_owned()],
        When::Ports(ports) => ports
            .iter()
            .map(|(a, b)| if a == b { format!("-p tcp --dport {a}") } else { format!("-p tcp --dport {a}:{b}") })
            .collect(),
        When::Uid(uid) => vec![format!("-p tcp -m owner --uid-owner {uid}")],
        When::Mark(mark) => vec![format!("-p tcp -m mark --mark {mark:#x}")],
        When::Loopback => vec!["-o lo -p tcp".to_owned()],
        When::To(nets) => nets
            .iter()
            .filter(|n| n.addr().is_ipv4() == (family == Family::V4))
            .map(|n| format!("-d {n} -p tcp"))
            .collect(),
    };
    tests.into_iter().map(|test| format!("{test} {then}")).collect()
}
