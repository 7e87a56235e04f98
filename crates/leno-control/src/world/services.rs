//! Services, their slices, and who claims which address.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use leno_config::{ServiceSpec, Slice};
use leno_core::id::ServiceId;
use leno_core::model::Labels;

use super::few::Few;

/// Services with their indices.
#[derive(Debug, Default)]
pub struct Services {
    specs: HashMap<ServiceId, Arc<ServiceSpec>>,
    /// Slices of a service by name: a slice belongs to its service's namespace.
    slices: HashMap<ServiceId, BTreeMap<String, Arc<Slice>>>,
    vips: HashMap<IpAddr, Few<ServiceId>>,
    /// Services by namespace and one label of their selector: the candidates for a pod that has the label.
    selectors: HashMap<(String, String, String), Few<ServiceId>>,
    /// Services whose slices name a pod, by namespace and name, with the number of mentions.
    by_pod: Mentions<(String, String)>,
    /// Services whose slices name an address without a pod.
    by_ip: Mentions<IpAddr>,
}

/// Services by what their slices mention, with the number of times.
pub(super) type Mentions<K> = HashMap<K, Few<ServiceId, usize>>;

impl Services {
    /// A service.
    #[must_use]
    pub fn get(&self, id: &ServiceId) -> Option<&Arc<ServiceSpec>> {
        self.specs.get(id)
    }

    /// All services.
    pub fn ids(&self) -> impl Iterator<Item = &ServiceId> {
        self.specs.keys()
    }

    /// Number of services.
    #[must_use]
    pub fn len(&self) -> usize {
        self.specs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    /// All virtual IPs.
    pub fn vips(&self) -> impl Iterator<Item = IpAddr> {
        self.vips.keys().copied()
    }

    /// The service behind a virtual IP. Where several claim it (which is reported as an error), the oldest has it.
    #[must_use]
    pub fn by_vip(&self, ip: IpAddr) -> Option<&Arc<ServiceSpec>> {
        self.vips.get(&ip)?.keys().filter_map(|id| self.specs.get(id)).min_by(|a, b| age(a).cmp(&age(b)))
    }

    /// Virtual IPs that several services claim, the one that has it first.
    #[must_use]
    pub fn clashes(&self) -> Vec<(IpAddr, Vec<ServiceId>)> {
        let shared = self.vips.iter().filter(|(_, claimants)| claimants.len() > 1);
        let mut clashes: Vec<_> = shared
            .map(|(ip, claimants)| {
                let mut specs: Vec<_> = claimants.keys().filter_map(|id| self.specs.get(id)).collect();
                specs.sort_by(|a, b| age(a).cmp(&age(b)));
                (*ip, specs.into_iter().map(|s| s.id.clone()).collect())
            })
            .collect();
        clashes.sort_unstable();
        clashes
    }

    /// Slices of a service, by name.
    pub fn slices(&self, id: &ServiceId) -> impl Iterator<Item = &Arc<Slice>> {
        self.slices.get(id).into_iter().flat_map(BTreeMap::values)
    }

    /// Services whose slices name a pod.
    #[must_use]
    pub fn with_pod(&self, namespace: &str, pod: &str) -> Vec<ServiceId> {
        let key = (namespace.to_owned(), pod.to_owned());
        self.by_pod.get(&key).map(|s| s.keys().cloned().collect()).unwrap_or_default()
    }

    /// Services whose slices name an address without a pod.
    #[must_use]
    pub fn with_ip(&self, ip: IpAddr) -> Vec<ServiceId> {
        self.by_ip.get(&ip).map(|s| s.keys().cloned().collect()).unwrap_or_default()
    }

    /// Services in front of a pod: by their selector, and those without one whose slices name it. The oldest first.
    #[must_use]
    pub fn in_front_of(&self, namespace: &str, pod: &str, labels: &Labels) -> Vec<&Arc<ServiceSpec>> {
        let mut found: Vec<&Arc<ServiceSpec>> = Vec::new();
        for (key, value) in labels {
            let candidates = self.selectors.get(&(namespace.to_owned(), key.clone(), value.clone()));
            for spec in candidates.into_iter().flat_map(Few::keys).filter_map(|id| self.specs.get(id)) {
                if leno_core::model::selects(&spec.selector, labels) {
                    found.push(spec);
                }
            }
        }
        let by_hand = self.by_pod.get(&(namespace.to_owned(), pod.to_owned())).into_iter().flat_map(Few::keys);
        found.extend(by_hand.filter_map(|id| self.specs.get(id)).filter(|spec| spec.selector.is_empty()));
        found.sort_by(|a, b| age(a).cmp(&age(b)));
        found
    }

    pub(super) fn put(&mut self, spec: &ServiceSpec) {
        for vip in &spec.vips {
            self.vips.entry(vip.to_canonical()).or_default().entry(spec.id.clone());
        }
        if let Some(key) = selector_key(spec) {
            self.selectors.entry(key).or_default().entry(spec.id.clone());
        }
        self.specs.insert(spec.id.clone(), Arc::new(spec.clone()));
    }

    pub(super) fn remove(&mut self, spec: &ServiceSpec) {
        for vip in &spec.vips {
            remove_from_set(&mut self.vips, &vip.to_canonical(), &spec.id);
        }
        if let Some(key) = selector_key(spec) {
            remove_from_set(&mut self.selectors, &key, &spec.id);
        }
        self.specs.remove(&spec.id);
    }

    pub(super) fn put_slice(&mut self, slice: &Slice) {
        for endpoint in &slice.endpoints {
            match &endpoint.pod {
                Some(pod) => mention(&mut self.by_pod, (slice.namespace.clone(), pod.clone()), &slice.service),
                None => {
                    for ip in &endpoint.addresses {
                        mention(&mut self.by_ip, ip.to_canonical(), &slice.service);
                    }
                }
            }
        }
        let slices = self.slices.entry(slice.service.clone()).or_default();
        slices.insert(slice.name.clone(), Arc::new(slice.clone()));
    }

    pub(super) fn remove_slice(&mut self, slice: &Slice) {
        for endpoint in &slice.endpoints {
            match &endpoint.pod {
                Some(pod) => forget(&mut self.by_pod, &(slice.namespace.clone(), pod.clone()), &slice.service),
                None => {
                    for ip in &endpoint.addresses {
                        forget(&mut self.by_ip, &ip.to_canonical(), &slice.service);
                    }
                }
            }
        }
        if let Some(slices) = self.slices.get_mut(&slice.service) {
            slices.remove(&slice.name);
            if slices.is_empty() {
                self.slices.remove(&slice.service);
            }
        }
    }
}

pub(super) fn mention<K: Hash + Eq>(mentions: &mut Mentions<K>, key: K, service: &ServiceId) {
    *mentions.entry(key).or_default().entry(service.clone()) += 1;
}

pub(super) fn forget<K: Hash + Eq>(mentions: &mut Mentions<K>, key: &K, service: &ServiceId) {
    let Some(services) = mentions.get_mut(key) else { return };
    if let Some(count) = services.get_mut(service) {
        *count -= 1;
        if *count == 0 {
            services.remove(service);
        }
    }
    if services.is_empty() {
        mentions.remove(key);
    }
}

impl leno_config::gateway::Services for Services {
    fn service(&self, id: &ServiceId) -> Option<&ServiceSpec> {
        self.specs.get(id).map(|spec| &**spec)
    }
}

fn age(spec: &ServiceSpec) -> (i64, &ServiceId) {
    (spec.created, &spec.id)
}

fn selector_key(spec: &ServiceSpec) -> Option<(String, String, String)> {
    spec.selector.first_key_value().map(|(k, v)| (spec.id.namespace.clone(), k.clone(), v.clone()))
}

fn remove_from_set<K: Hash + Eq>(sets: &mut HashMap<K, Few<ServiceId>>, key: &K, id: &ServiceId) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(id);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
