//! Which connections a pod gives to its sidecar.

use super::InjectSettings;
use super::annotations::{Reader, network, port_range};

/// What to redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Redirect only these inbound ports. `None`: all.
    pub include_inbound_ports: Option<Vec<String>>,
    /// Never redirect these inbound ports (numbers or `LOW-HIGH`).
    pub exclude_inbound_ports: Vec<String>,
    /// Redirect these outbound ports even outside the included ranges.
    pub include_outbound_ports: Vec<String>,
    /// Never redirect these outbound ports (numbers or `LOW-HIGH`).
    pub exclude_outbound_ports: Vec<String>,
    /// Redirect only to these networks. `None`: all.
    pub include_outbound_ranges: Option<Vec<String>>,
    /// Never redirect to these networks.
    pub exclude_outbound_ranges: Vec<String>,
}

impl Traffic {
    /// Reads the annotations. A value that cannot be read is warned of and left out.
    #[must_use]
    pub fn read(reader: &mut Reader<'_>, settings: &InjectSettings) -> Self {
        let everywhere = &settings.include_outbound_ip_ranges;
        let mut traffic = Self {
            include_inbound_ports: reader.include("traffic.sidecar.istio.io/includeInboundPorts", port_range),
            exclude_inbound_ports: settings.exclude_inbound_ports.clone(),
            include_outbound_ports: reader.list("traffic.sidecar.istio.io/includeOutboundPorts", port_range),
            exclude_outbound_ports: settings.exclude_outbound_ports.clone(),
            include_outbound_ranges: match reader.text("traffic.sidecar.istio.io/includeOutboundIPRanges") {
                Some(_) => reader.include("traffic.sidecar.istio.io/includeOutboundIPRanges", network),
                None if everywhere.is_empty() => None,
                None => Some(everywhere.clone()),
            },
            exclude_outbound_ranges: settings.exclude_outbound_ip_ranges.clone(),
        };
        for (list, keys, check) in [
            (
                &mut traffic.exclude_inbound_ports,
                ["traffic.sidecar.istio.io/excludeInboundPorts", "config.linkerd.io/skip-inbound-ports"],
                port_range as fn(&str) -> bool,
            ),
            (
                &mut traffic.exclude_outbound_ports,
                ["traffic.sidecar.istio.io/excludeOutboundPorts", "config.linkerd.io/skip-outbound-ports"],
                port_range,
            ),
            (
                &mut traffic.exclude_outbound_ranges,
                ["traffic.sidecar.istio.io/excludeOutboundIPRanges", "config.linkerd.io/skip-subnets"],
                network,
            ),
        ] {
            for key in keys {
                list.extend(reader.list(key, check));
            }
        }
        traffic
    }
}
