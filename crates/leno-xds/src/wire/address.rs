//! `Address` and the pod that it may stand for.

use leno_core::model::{Address, AddressTarget, Protocol, Workload, WorkloadPort};

use super::common::{At, DecodeError, Wire, each, ip, ip_bytes, list, parse, port, service_id, to_list};
use super::endpoints::Interner;
use crate::proto::leno as pb;

pub(super) fn decode(p: pb::Address, interner: &mut Interner) -> Result<Address, DecodeError> {
    let target = match p.target.ok_or_else(DecodeError::missing).at("target")? {
        pb::address::Target::Service(id) => AddressTarget::Service(service_id(&id, "service")?),
        pb::address::Target::Workload(w) => {
            let workload = w.workload.ok_or_else(DecodeError::missing).at("workload.workload")?;
            AddressTarget::Workload {
                workload: interner.workload(Workload::from_wire(workload).at("workload.workload")?),
                ports: list(w.ports, "workload.ports")?,
                terminating: w.terminating,
            }
        }
    };
    Ok(Address { ip: ip(&p.ip).at("ip")?, target })
}

impl Wire for Address {
    type Proto = pb::Address;

    fn to_wire(&self) -> pb::Address {
        let target = match &self.target {
            AddressTarget::Service(id) => pb::address::Target::Service(id.to_string()),
            AddressTarget::Workload { workload, ports, terminating } => {
                pb::address::Target::Workload(pb::WorkloadAddress {
                    workload: Some(workload.to_wire()),
                    ports: to_list(ports),
                    terminating: *terminating,
                })
            }
        };
        pb::Address { ip: ip_bytes(self.ip), target: Some(target) }
    }

    fn from_wire(p: pb::Address) -> Result<Self, DecodeError> {
        decode(p, &mut Interner::default())
    }
}

impl Wire for WorkloadPort {
    type Proto = pb::WorkloadPort;

    fn to_wire(&self) -> pb::WorkloadPort {
        pb::WorkloadPort {
            port: self.port.into(),
            protocol: self.protocol.to_wire(),
            service: self.service.to_string(),
            service_port: self.service_port.into(),
            headless: self.headless,
        }
    }

    fn from_wire(p: pb::WorkloadPort) -> Result<Self, DecodeError> {
        Ok(Self {
            port: port(p.port, "port")?,
            protocol: Protocol::from_wire(p.protocol).at("protocol")?,
            service: service_id(&p.service, "service")?,
            service_port: port(p.service_port, "service_port")?,
            headless: p.headless,
        })
    }
}

impl Wire for Workload {
    type Proto = pb::Workload;

    fn to_wire(&self) -> pb::Workload {
        let w = self.clone();
        pb::Workload {
            namespace: w.namespace,
            pod: w.pod,
            name: w.name,
            kind: w.kind,
            account: w.account,
            labels: w.labels,
            identity: w.identity.map(|i| i.to_string()),
            plaintext_ports: w.plaintext_ports.into_iter().map(u32::from).collect(),
            node: w.node,
        }
    }

    fn from_wire(p: pb::Workload) -> Result<Self, DecodeError> {
        Ok(Self {
            namespace: p.namespace,
            pod: p.pod,
            name: p.name,
            kind: p.kind,
            account: p.account,
            labels: p.labels,
            identity: p.identity.map(|i| parse(&i, "identity")).transpose()?,
            plaintext_ports: each(p.plaintext_ports, "plaintext_ports", |n| port(n, ""))?,
            node: p.node,
        })
    }
}
