//! The rules as data: what to leave alone, what to redirect, and why.

use std::net::IpAddr;

use ipnet::IpNet;
use leno_core::names::port;

use super::{InitArgs, InitError};

/// Both rule lists, each ending the search at the first rule that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) inbound: Vec<Rule>,
    pub(super) outbound: Vec<Rule>,
}

/// One rule for TCP connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) when: When,
    pub(super) then: Then,
    pub(super) why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Destination ports, first and last of each range; sorted, without overlap.
    Ports(Vec<(u16, u16)>),
    Uid(u32),
    Mark(u32),
    /// The connection leaves through `lo`.
    Loopback,
    /// Destination networks, without overlap.
    To(Vec<IpNet>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Leave,
    Redirect(u16),
}

/// Ports of the proxy that anyone may dial.
const OPEN: [u16; 4] = [15008, port::STATUS, port::HEALTH, port::METRICS];
/// Ports of the proxy that only this pod may dial: 15004 is Istio's debug port.
const PRIVATE: [u16; 4] = [port::ADMIN, port::OUTBOUND, 15004, port::INBOUND];
/// Where nothing listens (tcpmux): redirecting there refuses at once, where dropping would leave the client waiting.
const CLOSED_PORT: u16 = 1;

impl Plan {
    /// Checks the flags, all of them together, and lays out the rules.
    pub(super) fn from_args(args: &InitArgs) -> Result<Self, InitError> {
        let mut wrong = Vec::new();
        let mut ports = |flag: &str, text: &str| {
            parse_ports(text).unwrap_or_else(|e| {
                wrong.push(format!("--{flag}: {e}"));
                Vec::new()
            })
        };
        let exclude_in = ports("exclude-inbound-ports", &args.exclude_inbound_ports);
        let include_out = ports("include-outbound-ports", &args.include_outbound_ports);
        let exclude_out = ports("exclude-outbound-ports", &args.exclude_outbound_ports);
        let include_in = (args.include_inbound_ports.trim() != "*")
            .then(|| ports("include-inbound-ports", &args.include_inbound_ports));
        let mut nets = |flag: &str, text: &str| {
            parse_nets(text).unwrap_or_else(|e| {
                wrong.push(format!("--{flag}: {e}"));
                Vec::new()
            })
        };
        let exclude_nets = nets("exclude-outbound-ip-ranges", &args.exclude_outbound_ip_ranges);
        let include_nets = (args.include_outbound_ip_ranges.trim() != "*")
            .then(|| nets("include-outbound-ip-ranges", &args.include_outbound_ip_ranges));
        if args.outbound_port == args.inbound_port {
            wrong.push("--outbound-port and --inbound-port are the same".to_owned());
        }
        if !wrong.is_empty() {
            return Err(InitError::Flags(wrong.join("; ")));
        }
        Ok(Self {
            inbound: inbound(args, include_in, exclude_in),
            outbound: outbound(args, include_out, exclude_out, include_nets, exclude_nets),
        })
    }
}

fn inbound(args: &InitArgs, include: Option<Vec<(u16, u16)>>, exclude: Vec<(u16, u16)>) -> Vec<Rule> {
    let private = PRIVATE.into_iter().chain([args.outbound_port, args.inbound_port]);
    let mut rules = List::default();
    rules.add(
        When::Ports(merge(private.map(|p| (p, p)).collect())),
        Then::Redirect(CLOSED_PORT),
        "the proxy's private ports: refused from outside",
    );
    rules.add(When::Ports(OPEN.map(|p| (p, p)).to_vec()), Then::Leave, "the proxy's open ports");
    rules.add(When::Ports(exclude), Then::Leave, "excluded ports");
    let when = include.map_or(When::Always, When::Ports);
    rules.add(when, Then::Redirect(args.inbound_port), "to the inbound listener");
    rules.0
}

fn outbound(
    args: &InitArgs,
    include_ports: Vec<(u16, u16)>,
    exclude_ports: Vec<(u16, u16)>,
    include_nets: Option<Vec<IpNet>>,
    exclude_nets: Vec<IpNet>,
) -> Vec<Rule> {
    let mut rules = List::default();
    for uid in args.uids() {
        rules.add(When::Uid(uid), Then::Leave, "the proxy itself");
    }
    for mark in &args.mark {
        rules.add(When::Mark(*mark), Then::Leave, "the proxy itself, by mark");
    }
    rules.add(When::Loopback, Then::Leave, "the pod talks to itself");
    rules.add(When::To(loopback()), Then::Leave, "loopback");
    rules.add(When::Ports(exclude_ports), Then::Leave, "excluded ports");
    rules.add(When::To(exclude_nets), Then::Leave, "excluded networks");
    let to = Then::Redirect(args.outbound_port);
    match include_nets {
        None => rules.add(When::Always, to, "to the outbound listener"),
        Some(nets) => {
            rules.add(When::Ports(include_ports), to, "included ports, to the outbound listener");
            rules.add(When::To(nets), to, "included networks, to the outbound listener");
        }
    }
    rules.0
}

#[derive(Default)]
struct List(Vec<Rule>);

impl List {
    /// A rule about no port or no network says nothing and is left out.
    fn add(&mut self, when: When, then: Then, why: &'static str) {
        let empty = match &when {
            When::Ports(ports) => ports.is_empty(),
            When::To(nets) => nets.is_empty(),
            _ => false,
        };
        if !empty {
            self.0.push(Rule { when, then, why });
        }
    }
}

fn loopback() -> Vec<IpNet> {
    let v6 = IpNet::from(IpAddr::from(std::net::Ipv6Addr::LOCALHOST));
    let v4 = IpNet::new_assert(IpAddr::from([127, 0, 0, 0]), 8);
    vec![v4, v6]
}

fn parse_ports(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let mut ranges = Vec::new();
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(a), Ok(b)) if a <= b && a > 0 => ranges.push((a, b)),
            _ => return Err(format!("`{word}` is not a port or a range of ports")),
        }
    }
    Ok(merge(ranges))
}

/// Sorts and joins ranges that overlap or touch: nftables refuses sets whose intervals overlap.
fn merge(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut out: Vec<(u16, u16)> = Vec::new();
    for (a, b) in ranges {
        match out.last_mut() {
            Some((_, end)) if u32::from(a) <= u32::from(*end) + 1 => *end = b.max(*end),
            _ => out.push((a, b)),
        }
    }
    out
}

fn parse_nets(text: &str) -> Result<Vec<IpNet>, String> {
    let mut nets = Vec::new();
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let net = word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
        nets.push(net.map_err(|_| format!("`{word}` is not a network such as 10.0.0.0/8"))?.trunc());
    }
    Ok(IpNet::aggregate(&nets))
}
