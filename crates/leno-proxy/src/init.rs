//! `leno-proxy init`: sends a pod's traffic through its sidecar, by NAT rules in the current network namespace.
//!
//! What is intercepted (the semantics of Istio's REDIRECT mode):
//!
//! - Inbound: every new TCP connection from the network goes to 15006, but for the proxy's open ports (15008, 15020,
//!   15021, 15090) and excluded ones. The proxy's private ports (15000, 15001, 15004, 15006) are refused from outside.
//! - Outbound: every new TCP connection of everyone but the proxy (by uid, by socket mark, or both) goes to 15001, but
//!   for excluded ports and networks.
//! - Through `lo` nothing is intercepted: neither 127.0.0.0/8 and ::1, nor the pod's own address. An application that
//!   dials itself talks to itself, and so does the proxy: **whoever connects to an endpoint in the same pod must
//!   speak plaintext to it**, because that connection does not cross the inbound listener.
//! - UDP (DNS) and connections that were open before are left alone: NAT decides on a connection's first packet only.
//!
//! IPv4 and IPv6 alike. The original destination stays readable by `SO_ORIGINAL_DST` (`IP6T_SO_ORIGINAL_DST`).
//!
//! The rules are a [`plan::Plan`], rendered for nftables (one table, `inet leno`, replaced in one transaction) or,
//! where `nft` is missing or the kernel has no nftables NAT, for iptables (chains `LENO_INBOUND`, `LENO_OUTBOUND`).

mod command;
mod iptables;
mod nft;
mod plan;
#[cfg(test)]
mod tests;

use leno_core::names::{PROXY_UID, port};

pub use command::InitError;
use plan::Plan;

/// Flags of `leno-proxy init`. The short ones are those of `istio-iptables`.
#[derive(Clone, Debug, clap::Args)]
pub struct InitArgs {
    /// Where outbound connections are sent.
    #[arg(short = 'p', long, default_value_t = port::OUTBOUND)]
    pub outbound_port: u16,
    /// Where inbound connections are sent.
    #[arg(short = 'z', long, default_value_t = port::INBOUND)]
    pub inbound_port: u16,
    /// User ids of the proxy, exempt from interception [default: 1337, unless --mark is given].
    #[arg(short = 'u', long, value_delimiter = ',')]
    pub uid: Vec<u32>,
    /// Socket marks of the proxy, exempt from interception: for a proxy without a uid of its own.
    #[arg(long, value_delimiter = ',')]
    pub mark: Vec<u32>,
    /// Inbound ports to intercept: `*` or a list such as 80,8000-8100; empty for none.
    #[arg(short = 'b', long, default_value = "*")]
    pub include_inbound_ports: String,
    /// Inbound ports not to intercept.
    #[arg(short = 'd', long, default_value = "")]
    pub exclude_inbound_ports: String,
    /// Outbound ports to intercept whatever the networks say.
    #[arg(short = 'q', long, default_value = "")]
    pub include_outbound_ports: String,
    /// Outbound ports not to intercept.
    #[arg(short = 'o', long, default_value = "")]
    pub exclude_outbound_ports: String,
    /// Networks to intercept: `*` or a list of CIDRs; empty for none.
    #[arg(short = 'i', long, default_value = "*")]
    pub include_outbound_ip_ranges: String,
    /// Networks not to intercept.
    #[arg(short = 'x', long, default_value = "")]
    pub exclude_outbound_ip_ranges: String,
    /// Which program writes the rules; `auto` takes nftables and falls back to iptables.
    #[arg(long, value_enum, default_value_t)]
    pub backend: Backend,
    /// Remove the rules.
    #[arg(long, conflicts_with_all = ["check", "print"])]
    pub clean: bool,
    /// Change nothing; exit 0 when exactly these rules are in force, else 1.
    #[arg(long, conflicts_with = "print")]
    pub check: bool,
    /// Change nothing; print the rules.
    #[arg(long)]
    pub print: bool,
}

/// Which program writes the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// nftables, else iptables.
    #[default]
    Auto,
    /// `nft`.
    Nft,
    /// `iptables-restore` and `ip6tables-restore`.
    Iptables,
}

/// Does what the flags say, in the current network namespace. Running it again replaces the rules.
///
/// # Errors
/// When a flag does not parse, when the rules cannot be written (with what to do about it), or, with `--check`, when
/// they are not in force.
pub fn run(args: &InitArgs) -> Result<(), InitError> {
    if args.clean {
        return clean(args.backend);
    }
    let plan = Plan::from_args(args)?;
    if args.print {
        print(&plan, args.backend);
        return Ok(());
    }
    if args.check {
        return check(&plan, args.backend);
    }
    apply(&plan, args.backend)
}

impl InitArgs {
    /// The proxy's uids: those given; 1337 when neither a uid nor a mark is.
    fn uids(&self) -> Vec<u32> {
        if self.uid.is_empty() && self.mark.is_empty() { vec![PROXY_UID] } else { self.uid.clone() }
    }
}

fn apply(plan: &Plan, backend: Backend) -> Result<(), InitError> {
    match backend {
        Backend::Nft => nft::apply(plan),
        Backend::Iptables => iptables::apply(plan),
        Backend::Auto => match nft::apply(plan) {
            Err(why @ (InitError::NoProgram { .. } | InitError::NoNat { .. })) => {
                // The first error names the better remedy when iptables cannot help either.
                iptables::apply(plan).map_err(|e| if matches!(e, InitError::NoProgram { .. }) { why } else { e })
            }
            done => done,
        },
    }
}

fn check(plan: &Plan, backend: Backend) -> Result<(), InitError> {
    match backend {
        Backend::Nft => nft::check(plan),
        Backend::Iptables => iptables::check(plan),
        Backend::Auto => match nft::check(plan) {
            // Without `nft`, iptables alone knows what is wrong.
            Err(why) if why.leaves_doubt() => iptables::check(plan).map_err(|e| match why {
                InitError::NoProgram { .. } if !matches!(e, InitError::NoProgram { .. }) => e,
                why => why,
            }),
            done => done,
        },
    }
}

fn clean(backend: Backend) -> Result<(), InitError> {
    match backend {
        Backend::Nft => nft::clean(),
        Backend::Iptables => iptables::clean(),
        Backend::Auto => match (nft::clean(), iptables::clean()) {
            // A backend that is not there cannot have left rules.
            (Err(InitError::NoProgram { .. } | InitError::NoNat { .. }), other)
            | (other, Err(InitError::NoProgram { .. })) => other,
            (Err(e), _) | (Ok(()), Err(e)) => Err(e),
            (Ok(()), Ok(())) => Ok(()),
        },
    }
}

fn print(plan: &Plan, backend: Backend) {
    use std::io::Write as _;
    let text = match backend {
        Backend::Auto | Backend::Nft => nft::render(plan),
        Backend::Iptables => iptables::render_both(plan),
    };
    // A closed pipe is the reader's business.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
