//! `Service` and the destination rules that travel with it.

use leno_core::model::service::ServiceKind;
use leno_core::model::traffic::Subset;
use leno_core::model::{DestinationRule, Protocol, Service, ServicePort, TrafficPolicy};

use super::common::{
    At, DecodeError, Wire, each, export_to, from_export_to, ip, ip_bytes, list, or_default, port, required, service_id,
    to_list, unless_default,
};
use crate::proto::leno as pb;

impl Wire for Service {
    type Proto = pb::Service;

    fn to_wire(&self) -> pb::Service {
        use pb::service::Kind;
        let kind = match &self.kind {
            ServiceKind::ClusterIp => Kind::ClusterIp(pb::Empty {}),
            ServiceKind::Headless => Kind::Headless(pb::Empty {}),
            ServiceKind::ExternalName(host) => Kind::ExternalName(host.clone()),
        };
        pb::Service {
            id: self.id.to_string(),
            kind: Some(kind),
            vips: self.vips.iter().copied().map(ip_bytes).collect(),
            ports: to_list(&self.ports),
            destination_rules: to_list(&self.destination_rules),
        }
    }

    fn from_wire(p: pb::Service) -> Result<Self, DecodeError> {
        use pb::service::Kind;
        Ok(Self {
            id: service_id(&p.id, "id")?,
            kind: match p.kind.ok_or_else(DecodeError::missing).at("kind")? {
                Kind::ClusterIp(pb::Empty {}) => ServiceKind::ClusterIp,
                Kind::Headless(pb::Empty {}) => ServiceKind::Headless,
                Kind::ExternalName(host) => ServiceKind::ExternalName(host),
            },
            vips: each(p.vips, "vips", |b| ip(&b))?,
            ports: list(p.ports, "ports")?,
            destination_rules: list(p.destination_rules, "destination_rules")?,
        })
    }
}

impl Wire for ServicePort {
    type Proto = pb::ServicePort;

    fn to_wire(&self) -> pb::ServicePort {
        pb::ServicePort { port: self.port.into(), name: self.name.clone(), protocol: self.protocol.to_wire() }
    }

    fn from_wire(p: pb::ServicePort) -> Result<Self, DecodeError> {
        Ok(Self {
            port: port(p.port, "port")?,
            name: p.name,
            protocol: Protocol::from_wire(p.protocol).at("protocol")?,
        })
    }
}

impl Wire for DestinationRule {
    type Proto = pb::DestinationRule;

    fn to_wire(&self) -> pb::DestinationRule {
        pb::DestinationRule {
            origin: Some(self.origin.to_wire()),
            export_to: export_to(&self.export_to),
            workload_selector: self.workload_selector.clone(),
            policy: unless_default(&self.policy),
            ports: to_list(&self.ports),
            subsets: to_list(&self.subsets),
        }
    }

    fn from_wire(p: pb::DestinationRule) -> Result<Self, DecodeError> {
        Ok(Self {
            origin: required(p.origin, "origin")?,
            export_to: from_export_to(p.export_to),
            workload_selector: p.workload_selector,
            policy: or_default(p.policy, "policy")?,
            ports: list(p.ports, "ports")?,
            subsets: list(p.subsets, "subsets")?,
        })
    }
}

impl Wire for (u16, TrafficPolicy) {
    type Proto = pb::PortPolicy;

    fn to_wire(&self) -> pb::PortPolicy {
        pb::PortPolicy { port: self.0.into(), policy: unless_default(&self.1) }
    }

    fn from_wire(p: pb::PortPolicy) -> Result<Self, DecodeError> {
        Ok((port(p.port, "port")?, or_default(p.policy, "policy")?))
    }
}

impl Wire for Subset {
    type Proto = pb::Subset;

    fn to_wire(&self) -> pb::Subset {
        pb::Subset {
            name: self.name.clone(),
            labels: self.labels.clone(),
            policy: unless_default(&self.policy),
            ports: to_list(&self.ports),
        }
    }

    fn from_wire(p: pb::Subset) -> Result<Self, DecodeError> {
        Ok(Self {
            name: p.name,
            labels: p.labels,
            policy: or_default(p.policy, "policy")?,
            ports: list(p.ports, "ports")?,
        })
    }
}
