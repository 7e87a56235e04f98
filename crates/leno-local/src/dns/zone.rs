//! The names and what they lead to.

use std::collections::HashMap;
use std::net::Ipv4Addr;

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Addresses. Empty: the name exists (a headless service without ready pods).
    Addresses(Vec<Ipv4Addr>),
    /// Another name.
    Alias(String),
    /// Ports of servers: (port, name).
    Servers(Vec<(u16, String)>),
}

/// All names, lower case, without the last dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    names: HashMap<String, Target>,
}

/// A service, as DNS sees it.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Cluster IP. `None`: headless.
    pub address: Option<Ipv4Addr>,
    /// `ExternalName`.
    pub alias: Option<String>,
    /// Named ports: (name, `tcp` or `udp`, port).
    pub ports: Vec<(String, &'static str, u16)>,
    /// Endpoints of a headless service: (host name where it has one, address).
    pub endpoints: Vec<(Option<String>, Ipv4Addr)>,
}

impl Zone {
    /// The zone of these services.
    #[must_use]
    pub fn new(services: &[Service]) -> Self {
        let mut zone = Self::default();
        for service in services {
            zone.add(service);
        }
        zone
    }

    /// What `name` (lower case, no last dot) leads to.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Target> {
        self.names.get(name)
    }

    /// Whether names end below `name`, so that it exists without having anything itself.
    #[must_use]
    pub fn is_inner(&self, name: &str) -> bool {
        name == DOMAIN || name == SERVICES || self.names.contains_key(name) || {
            // A namespace with services, or the `_tcp` of a service.
            let suffix = format!(".{name}");
            name.ends_with(SERVICES) && self.names.keys().any(|n| n.ends_with(&suffix))
        }
    }

    fn add(&mut self, service: &Service) {
        let host = format!("{}.{}.{SERVICES}", service.name, service.namespace).to_ascii_lowercase();
        if let Some(alias) = &service.alias {
            self.names.insert(host, Target::Alias(alias.trim_end_matches('.').to_ascii_lowercase()));
            return;
        }
        let mut servers: Vec<String> = Vec::new();
        let addresses = match service.address {
            Some(address) => {
                servers.push(host.clone());
                vec![address]
            }
            None => {
                for (name, address) in &service.endpoints {
                    let dashed = address.to_string().replace('.', "-");
                    let own = format!("{}.{host}", name.as_ref().unwrap_or(&dashed)).to_ascii_lowercase();
                    self.names.insert(own.clone(), Target::Addresses(vec![*address]));
                    servers.push(own);
                }
                service.endpoints.iter().map(|(_, address)| *address).collect()
            }
        };
        for (name, proto, port) in &service.ports {
            let own = format!("_{name}._{proto}.{host}").to_ascii_lowercase();
            let list = servers.iter().map(|s| (*port, s.clone())).collect();
            self.names.insert(own, Target::Servers(list));
        }
        self.names.insert(host, Target::Addresses(addresses));
    }
}

/// The cluster's domain.
pub const DOMAIN: &str = leno_core::id::CLUSTER_DOMAIN;
const SERVICES: &str = "svc.cluster.local";
