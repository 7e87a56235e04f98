//! The network of one machine: the node's namespace, one namespace per pod, services.
//!
//! A pod has one address and one virtual wire to the node, no bridge: everything between pods is routed by the node, so
//! that the node sees every packet and can translate service addresses ([`nft`]), as kube-proxy does.

pub mod alloc;
pub mod link;
pub mod nft;
pub mod ns;

use std::net::Ipv4Addr;

/// Pods.
pub const POD_NETWORK: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 244, 0, 0), 16);
/// Services.
pub const SERVICE_NETWORK: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 96, 0, 0), 16);
/// The node, for pods: their gateway, and where their probes come from.
pub const NODE_IP: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);
/// DNS.
pub const DNS_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The control plane (`leno-control.leno-system`).
pub const CONTROL_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 11);
