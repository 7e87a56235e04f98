//! Pods, by name and by address.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use leno_config::{PodFacts, ServiceSpec};
use leno_core::id::SpiffeId;
use leno_core::model::{Workload, selects};

use super::few::Few;
use super::services::Services;

/// A pod's key: namespace and name.
type Key = (String, String);

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// What its object says.
    pub facts: Arc<PodFacts>,
    /// What others learn of it, but for its plaintext ports.
    pub workload: Arc<Workload>,
}

/// Pods with their indices.
#[derive(Debug, Default)]
pub struct Pods {
    pods: BTreeMap<Key, Pod>,
    by_ip: HashMap<IpAddr, Few<Key>>,
}

impl Pods {
    /// A pod.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Namespace and name of all.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.pods.keys()
    }

    /// All addresses that some pod has or had.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.by_ip.keys().copied()
    }

    /// The pod that an address belongs to: of those that run, the newest. Pods in the node's network have no address
    /// of their own.
    #[must_use]
    pub fn by_ip(&self, ip: IpAddr) -> Option<&Pod> {
        let candidates = self.by_ip.get(&ip)?.keys().filter_map(|key| self.pods.get(key));
        candidates
            .filter(|p| !p.facts.ended && !p.facts.host_network)
            .max_by_key(|p| (p.facts.created, p.facts.name.as_str(), p.facts.namespace.as_str()))
    }

    /// Pods that a service's selector or slices name.
    #[must_use]
    pub fn behind(&self, spec: &ServiceSpec, services: &Services) -> Vec<Key> {
        let in_namespace = (spec.id.namespace.clone(), String::new())..;
        let in_namespace =
            self.pods.range(in_namespace).take_while(|((namespace, _), _)| *namespace == spec.id.namespace);
        let by_selector = in_namespace
            .filter(|(_, pod)| !spec.selector.is_empty() && selects(&spec.selector, &pod.facts.labels))
            .map(|(key, _)| key.clone());
        let by_slice = services.slices(&spec.id).flat_map(|slice| {
            let named = slice.endpoints.iter().filter_map(|e| e.pod.as_ref());
            named.map(|pod| (slice.namespace.clone(), pod.clone()))
        });
        by_selector.chain(by_slice).collect()
    }

    pub(super) fn put(&mut self, facts: &PodFacts, trust_domain: &str) {
        let key = (facts.namespace.clone(), facts.name.clone());
        for ip in &facts.ips {
            self.by_ip.entry(ip.to_canonical()).or_default().entry(key.clone());
        }
        let workload = Arc::new(Workload {
            namespace: facts.namespace.clone(),
            pod: facts.name.clone(),
            name: facts.owner_name.clone(),
            kind: facts.owner_kind.clone(),
            account: facts.account.clone(),
            labels: facts.labels.clone(),
            identity: facts.meshed.then(|| SpiffeId::new(trust_domain, &facts.namespace, &facts.account)),
            plaintext_ports: Vec::new(),
            node: facts.node.clone(),
        });
        self.pods.insert(key, Pod { facts: Arc::new(facts.clone()), workload });
    }

    pub(super) fn remove(&mut self, facts: &PodFacts) {
        let key = (facts.namespace.clone(), facts.name.clone());
        for ip in facts.ips.iter().map(IpAddr::to_canonical) {
            if let Some(keys) = self.by_ip.get_mut(&ip) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.by_ip.remove(&ip);
                }
            }
        }
        self.pods.remove(&key);
    }
}
