//! Service addresses to pods, as kube-proxy does it: the text of an nftables table.
//!
//! A service port leads to a chain that picks one of its ready endpoints at random. The whole table is replaced in one
//! transaction, so no packet ever sees half of it. Connections that are open keep their endpoint: conntrack knows it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

/// One port of one service and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePort {
    /// Cluster IP.
    pub address: Ipv4Addr,
    /// Port.
    pub port: u16,
    /// UDP instead of TCP.
    pub udp: bool,
    /// Ready endpoints. None: connections are refused.
    pub endpoints: Vec<SocketAddrV4>,
}

/// Input of `nft -f -` that makes the node's table lead where `ports` say.
#[must_use]
pub fn table(ports: &[ServicePort]) -> String {
    let mut out = String::from("table ip leno\ndelete table ip leno\ntable ip leno {\n");
    let served: Vec<&ServicePort> = ports.iter().filter(|p| !p.endpoints.is_empty()).collect();
    for port in &served {
        let _ = writeln!(out, "\tchain {} {{", chain(port));
        let _ = writeln!(out, "\t\t{}\n\t}}", translate(port));
    }
    out.push_str("\tmap services {\n\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n");
    if !served.is_empty() {
        let elements: Vec<String> = served.iter().map(|p| format!("{} : goto {}", key(p), chain(p))).collect();
        let _ = writeln!(out, "\t\telements = {{ {} }}", elements.join(", "));
    }
    out.push_str("\t}\n");
    // Priorities as numbers: nft 1.0.6 does not know the name `dstnat` in chains of hook output.
    for hook in ["prerouting", "output"] {
        let _ = write!(out, "\tchain {hook} {{\n\t\ttype nat hook {hook} priority -100; policy accept;\n");
        out.push_str("\t\tip daddr . meta l4proto . th dport vmap @services\n\t}\n");
    }
    // What was not translated has no endpoint (or no such port): refused at once, as kube-proxy refuses it.
    for hook in ["forward", "output"] {
        let _ = write!(out, "\tchain refuse-{hook} {{\n\t\ttype filter hook {hook} priority 0; policy accept;\n");
        let _ = writeln!(out, "\t\tip daddr != 10.96.0.0/16 accept");
        // The node's own addresses in that network are served by the node itself.
        let _ = writeln!(out, "\t\tfib daddr type local accept");
        out.push_str("\t\tmeta l4proto tcp reject with tcp reset\n\t\treject with icmp type port-unreachable\n\t}\n");
    }
    out.push_str("}\n");
    out
}

fn translate(port: &ServicePort) -> String {
    let proto = if port.udp { "udp" } else { "tcp" };
    // A translation to `address . port` needs a transport protocol that the rule itself names.
    match port.endpoints.as_slice() {
        [one] => format!("meta l4proto {proto} dnat to {one}"),
        many => {
            let items: Vec<String> =
                many.iter().enumerate().map(|(i, e)| format!("{i} : {} . {}", e.ip(), e.port())).collect();
            format!("meta l4proto {proto} dnat to numgen random mod {} map {{ {} }}", many.len(), items.join(", "))
        }
    }
}

fn key(port: &ServicePort) -> String {
    format!("{} . {} . {}", port.address, if port.udp { "udp" } else { "tcp" }, port.port)
}

fn chain(port: &ServicePort) -> String {
    let [a, b, c, d] = port.address.octets();
    format!("s-{a}-{b}-{c}-{d}-{}-{}", if port.udp { "udp" } else { "tcp" }, port.port)
}

#[cfg(test)]
mod tests;
