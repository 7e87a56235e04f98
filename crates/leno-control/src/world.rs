//! Everything that is in force, typed and by key: one writer, no I/O, no wire form.
//!
//! Objects come in lowered. The world keeps for each object what it says, keeps indices for what [`crate::build`] asks,
//! and notes which wire resources a change may touch. Touching too much costs time; touching too little would be a bug,
//! which the property test of [`crate::build`] looks for.

mod few;
mod kept;
mod mesh_routes;
mod pods;
mod services;
mod touched;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use leno_config::gateway::ParentVerdict;
use leno_config::{Lowered, RuleHosts, ServiceSpec};
use leno_core::decide::protocol::names_port;
use leno_core::id::ServiceId;
use leno_core::model::{Labels, MeshConfig, MtlsMode, PeerAuthentication, RouteTable, Workload};
use leno_xds::wire::ResourceName;

pub use kept::{NamespacePolicies, ObjectKey, RankedRule, RankedTable};
use mesh_routes::MeshRoutes;
pub use pods::Pod;
use pods::Pods;
use services::Services;
pub use touched::Touched;

/// The mesh as configured.
#[derive(Debug)]
pub struct World {
    trust_domain: String,
    /// A namespace whose policies count as the root namespace's.
    also_root: Option<String>,
    objects: BTreeMap<ObjectKey, Arc<[Lowered]>>,
    services: Services,
    pods: Pods,
    routes: HashMap<ServiceId, Vec<RankedTable>>,
    mesh_routes: MeshRoutes,
    rules: HashMap<ServiceId, Vec<RankedRule>>,
    /// Rules for every host that ends so: the longest suffix first.
    wide_rules: Vec<(RuleHosts, RankedRule)>,
    policies: BTreeMap<String, NamespacePolicies>,
    /// Entries of [`MtlsMode::Disable`] in all policies: without any, no pod has plaintext ports.
    disabled: usize,
    mesh: Option<(ObjectKey, MeshConfig)>,
    /// Namespaces with the annotation [`OPAQUE_PORTS`], and what it says.
    opaque: BTreeMap<String, String>,
    touched: Touched,
}

impl World {
    /// An empty world, of which everything counts as touched.
    #[must_use]
    pub fn new(trust_domain: impl Into<String>) -> Self {
        Self {
            trust_domain: trust_domain.into(),
            also_root: None,
            objects: BTreeMap::new(),
            services: Services::default(),
            pods: Pods::default(),
            routes: HashMap::new(),
            mesh_routes: MeshRoutes::default(),
            rules: HashMap::new(),
            wide_rules: Vec::new(),
            policies: BTreeMap::new(),
            disabled: 0,
            mesh: None,
            opaque: BTreeMap::new(),
            touched: Touched::All,
        }
    }

    /// The same, where policies of `namespace` count as those of the root namespace: the one that Leno is installed in.
    #[must_use]
    pub fn with_also_root(self, namespace: impl Into<String>) -> Self {
        Self { also_root: Some(namespace.into()), ..self }
    }

    /// The namespace under which policies of `namespace` are kept and sent.
    fn home(&self, namespace: &str) -> String {
        if self.also_root.as_deref() == Some(namespace) { self.mesh().root_namespace } else { namespace.to_owned() }
    }

    /// Puts an object in, in the place of its former version; an empty `pieces` takes it out. `false`: nothing changed.
    pub fn set(&mut self, key: &ObjectKey, pieces: Vec<Lowered>) -> bool {
        let old = self.objects.get(key).cloned();
        if old.as_deref().unwrap_or_default() == pieces.as_slice() {
            return false;
        }
        for piece in old.iter().flat_map(|o| o.iter()) {
            self.touch(piece);
            self.take_out(key, piece);
        }
        self.objects.remove(key);
        if !pieces.is_empty() {
            let pieces: Arc<[Lowered]> = pieces.into();
            for piece in pieces.iter() {
                self.put_in(key, piece);
                self.touch(piece);
            }
            self.objects.insert(key.clone(), pieces);
        }
        true
    }

    /// Takes an object out; `false`: there was none.
    pub fn remove(&mut self, key: &ObjectKey) -> bool {
        self.set(key, Vec::new())
    }

    /// Whether some version of an object is in force.
    #[must_use]
    pub fn has(&self, key: &ObjectKey) -> bool {
        self.objects.contains_key(key)
    }

    /// What may have changed since the last call.
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// The resources that an object speaks of and that a proxy can live by.
    #[must_use]
    pub fn resources_of(&self, key: &ObjectKey) -> Vec<ResourceName> {
        let pieces = self.objects.get(key).map(|p| &p[..]).unwrap_or_default();
        let mut names: Vec<_> = pieces.iter().flat_map(|p| self.spoken_of(p)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every resource that may exist.
    #[must_use]
    pub fn names(&self) -> Vec<ResourceName> {
        let mut names = vec![ResourceName::mesh()];
        for id in self.services.ids() {
            names.push(ResourceName::service(id));
            names.push(ResourceName::endpoints(id));
        }
        names.extend(self.routes.keys().chain(self.mesh_routes.parents()).map(ResourceName::routes));
        names.extend(self.services.vips().chain(self.pods.ips()).map(ResourceName::address));
        names.extend(self.policies.keys().map(|ns| ResourceName::policies(ns)));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Settings in force. The trust domain is the process's own: it is the one of the certificates.
    #[must_use]
    pub fn mesh(&self) -> MeshConfig {
        let configured = self.mesh.as_ref().map(|(_, m)| m.clone()).unwrap_or_default();
        MeshConfig { trust_domain: self.trust_domain.clone(), ..configured }
    }

    /// Services, their slices and virtual IPs.
    #[must_use]
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// Pods.
    #[must_use]
    pub const fn pods(&self) -> &Pods {
        &self.pods
    }

    /// Tables for a service, in precedence order: by rank, then the oldest, then by name.
    #[must_use]
    pub fn routes(&self, service: &ServiceId) -> &[RankedTable] {
        self.routes.get(service).map(Vec::as_slice).unwrap_or_default()
    }

    /// Tables that the Gateway API's routes make for a service; they go after those of [`Self::routes`].
    #[must_use]
    pub fn mesh_tables(&self, service: &ServiceId) -> Vec<RouteTable> {
        self.mesh_routes.tables(service, &self.services)
    }

    /// What becomes of a route of the Gateway API, by parent; nothing for other objects.
    #[must_use]
    pub fn route_verdicts(&self, key: &ObjectKey) -> Vec<ParentVerdict> {
        let pieces = self.objects.get(key).map(|p| &p[..]).unwrap_or_default();
        let route =
            pieces.iter().find_map(|piece| if let Lowered::MeshRoute(route) = piece { Some(route) } else { None });
        route.map(|route| self.mesh_routes.verdicts(route, &self.services)).unwrap_or_default()
    }

    /// Rules for a service: those for its own host before those for a wildcard, the longest wildcard first (Istio's "most
    /// specific host"); the oldest first, then by name.
    pub fn rules(&self, service: &ServiceId) -> impl Iterator<Item = &RankedRule> {
        let own = self.rules.get(service).map(Vec::as_slice).unwrap_or_default();
        let wide = self.wide_rules.iter().filter(|(hosts, _)| hosts.includes(service));
        own.iter().chain(wide.map(|(_, rule)| rule))
    }

    /// Policies of a namespace.
    #[must_use]
    pub fn policies(&self, namespace: &str) -> Option<&NamespacePolicies> {
        self.policies.get(namespace)
    }

    /// Whether any policy turns mutual TLS off anywhere.
    #[must_use]
    pub const fn some_mtls_is_disabled(&self) -> bool {
        self.disabled > 0
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The workload that a pod belongs to, for reports.
    #[must_use]
    pub fn workload_of(&self, namespace: &str, pod: &str) -> Option<&Arc<Workload>> {
        self.pods.get(namespace, pod).map(|p| &p.workload)
    }

    /// Whether a port of a Service is declared opaque by Linkerd's annotation: the Service's own, else its namespace's.
    #[must_use]
    pub fn is_opaque(&self, spec: &ServiceSpec, port: u16) -> bool {
        self.opaque_ports(&spec.annotations, &spec.id.namespace).is_some_and(|list| names_port(list, port))
    }

    /// Whether a port of a pod is declared opaque: by the pod's annotation, else by its namespace's.
    #[must_use]
    pub fn is_opaque_on(&self, pod: &Pod, port: u16) -> bool {
        self.opaque_ports(&pod.facts.annotations, &pod.facts.namespace).is_some_and(|list| names_port(list, port))
    }

    fn opaque_ports<'a>(&'a self, own: &'a Labels, namespace: &str) -> Option<&'a String> {
        own.get(OPAQUE_PORTS).or_else(|| self.opaque.get(namespace))
    }

    fn put_in(&mut self, key: &ObjectKey, piece: &Lowered) {
        match piece {
            Lowered::Namespace { name, annotations, .. } => {
                if let Some(ports) = annotations.get(OPAQUE_PORTS) {
                    self.opaque.insert(name.clone(), ports.clone());
                }
            }
            Lowered::Service(spec) => self.services.put(spec),
            Lowered::EndpointSlice(slice) => self.services.put_slice(slice),
            Lowered::Pod(facts) => self.pods.put(facts, &self.trust_domain),
            Lowered::Routes { rank, created, tables } => {
                for (service, table) in tables {
                    let list = self.routes.entry(service.clone()).or_default();
                    list.push(RankedTable { rank: *rank, created: *created, table: Arc::new(table.clone()) });
                    list.sort_by(|a, b| table_place(a).cmp(&table_place(b)));
                }
            }
            Lowered::MeshRoute(route) => self.mesh_routes.put(key, route),
            Lowered::DestinationRule { hosts, created, rule } => {
                let ranked = RankedRule { created: *created, rule: Arc::new(rule.clone()) };
                if let RuleHosts::Service(service) = hosts {
                    let list = self.rules.entry(service.clone()).or_default();
                    list.push(ranked);
                    list.sort_by(|a, b| rule_place(a).cmp(&rule_place(b)));
                } else {
                    self.wide_rules.push((hosts.clone(), ranked));
                    self.wide_rules.sort_by(|(h, a), (i, b)| {
                        specificity(i).cmp(&specificity(h)).then_with(|| rule_place(a).cmp(&rule_place(b)))
                    });
                }
            }
            Lowered::PeerAuthentication(policy) => {
                self.disabled += disabled_in(policy);
                let namespace = self.home(&policy.origin.namespace);
                self.policies.entry(namespace).or_default().authn.insert(key.clone(), policy.clone());
            }
            Lowered::AuthorizationPolicy(policy) => {
                let namespace = self.home(&policy.origin.namespace);
                self.policies.entry(namespace).or_default().authz.insert(key.clone(), policy.clone());
            }
            Lowered::Telemetry(telemetry) => {
                let namespace = self.home(&telemetry.origin.namespace);
                self.policies.entry(namespace).or_default().telemetry.insert(key.clone(), telemetry.clone());
            }
            Lowered::Mesh(mesh) => self.mesh = Some((key.clone(), mesh.clone())),
        }
    }

    fn take_out(&mut self, key: &ObjectKey, piece: &Lowered) {
        match piece {
            Lowered::Namespace { name, .. } => drop(self.opaque.remove(name)),
            Lowered::Service(spec) => self.services.remove(spec),
            Lowered::EndpointSlice(slice) => self.services.remove_slice(slice),
            Lowered::Pod(facts) => self.pods.remove(facts),
            Lowered::Routes { tables, .. } => {
                for (service, table) in tables {
                    remove_one(&mut self.routes, service, |t| t.table.origin == table.origin);
                }
            }
            Lowered::MeshRoute(route) => self.mesh_routes.remove(key, route),
            Lowered::DestinationRule { hosts: RuleHosts::Service(service), rule, .. } => {
                remove_one(&mut self.rules, service, |r| r.rule.origin == rule.origin);
            }
            Lowered::DestinationRule { rule, .. } => self.wide_rules.retain(|(_, r)| r.rule.origin != rule.origin),
            Lowered::PeerAuthentication(policy) => {
                self.disabled -= disabled_in(policy);
                self.change_policies(&self.home(&policy.origin.namespace), |p| {
                    p.authn.remove(key);
                });
            }
            Lowered::AuthorizationPolicy(policy) => self.change_policies(&self.home(&policy.origin.namespace), |p| {
                p.authz.remove(key);
            }),
            Lowered::Telemetry(telemetry) => self.change_policies(&self.home(&telemetry.origin.namespace), |p| {
                p.telemetry.remove(key);
            }),
            Lowered::Mesh(_) => self.mesh = self.mesh.take().filter(|(k, _)| k != key),
        }
    }

    fn change_policies(&mut self, namespace: &str, change: impl FnOnce(&mut NamespacePolicies)) {
        if let Some(policies) = self.policies.get_mut(namespace) {
            change(policies);
            if policies.authn.is_empty() && policies.authz.is_empty() && policies.telemetry.is_empty() {
                self.policies.remove(namespace);
            }
        }
    }

    /// Notes what `piece` bears on, as the world stands with it: called before it goes out and after it has come in.
    fn touch(&mut self, piece: &Lowered) {
        // Where everything is touched already (the initial load) there is nothing to find out.
        if self.touched == Touched::All {
            return;
        }
        for name in self.spoken_of(piece) {
            self.touched.add(name);
        }
        match piece {
            Lowered::Namespace { name, annotations, .. } => {
                if annotations.contains_key(OPAQUE_PORTS) {
                    self.touch_namespace(name);
                }
            }
            Lowered::Routes { .. }
            | Lowered::MeshRoute(_)
            | Lowered::DestinationRule { .. }
            | Lowered::AuthorizationPolicy(_)
            | Lowered::Telemetry(_) => {}
            Lowered::Service(spec) => {
                self.touched.extend(spec.vips.iter().copied().map(ResourceName::address));
                self.touched.extend(self.mesh_routes.that_depend_on(&spec.id).map(ResourceName::routes));
                let pods = self.pods.behind(spec, &self.services);
                self.touch_pods(&pods);
            }
            Lowered::EndpointSlice(slice) => {
                // With a selector, a pod's ports come from the service: the slice says only who is ready.
                let by_selector = self.services.get(&slice.service).is_some_and(|s| !s.selector.is_empty());
                if !by_selector {
                    let named = slice.endpoints.iter().filter_map(|e| e.pod.as_deref());
                    let pods: Vec<_> = named.map(|pod| (slice.namespace.clone(), pod.to_owned())).collect();
                    self.touch_pods(&pods);
                }
            }
            Lowered::Pod(facts) => self.touch_pods(&[(facts.namespace.clone(), facts.name.clone())]),
            Lowered::PeerAuthentication(policy) => {
                if self.disabled == 0 {
                    // Without DISABLE anywhere no pod has plaintext ports, before and after.
                    return;
                }
                let namespace = self.home(&policy.origin.namespace);
                let everywhere = namespace == self.mesh().root_namespace;
                let pods: Vec<_> = self.pods.keys().filter(|(ns, _)| everywhere || *ns == namespace).cloned().collect();
                self.touch_pods(&pods);
            }
            // The root namespace bears on every policy.
            Lowered::Mesh(_) => self.touched = Touched::All,
        }
    }

    /// All services and pods of a namespace.
    fn touch_namespace(&mut self, namespace: &str) {
        let services = self.services.ids().filter(|id| id.namespace == namespace);
        let services: Vec<_> = services.map(ResourceName::service).collect();
        self.touched.extend(services);
        let pods: Vec<_> = self.pods.keys().filter(|(ns, _)| ns == namespace).cloned().collect();
        self.touch_pods(&pods);
    }

    /// The addresses of pods, and the endpoints of every service in front of them.
    fn touch_pods(&mut self, pods: &[(String, String)]) {
        for (namespace, name) in pods {
            let ips = self.pods.get(namespace, name).map(|p| p.facts.ips.clone()).unwrap_or_default();
            for ip in ips {
                self.touched.add(ResourceName::address(ip));
                for service in self.services.with_ip(ip.to_canonical()) {
                    self.touched.add(ResourceName::endpoints(&service));
                }
            }
            for service in self.services.with_pod(namespace, name) {
                self.touched.add(ResourceName::endpoints(&service));
            }
        }
    }

    /// Resources that a piece is a part of by itself.
    fn spoken_of(&self, piece: &Lowered) -> Vec<ResourceName> {
        match piece {
            Lowered::Namespace { .. } | Lowered::Pod(_) => Vec::new(),
            Lowered::Service(spec) => vec![ResourceName::service(&spec.id), ResourceName::endpoints(&spec.id)],
            Lowered::EndpointSlice(slice) => vec![ResourceName::endpoints(&slice.service)],
            Lowered::Routes { tables, .. } => tables.iter().map(|(service, _)| ResourceName::routes(service)).collect(),
            Lowered::MeshRoute(route) => route.services().into_iter().map(ResourceName::routes).collect(),
            Lowered::DestinationRule { hosts: RuleHosts::Service(service), .. } => vec![ResourceName::service(service)],
            Lowered::DestinationRule { hosts, .. } => {
                self.services.ids().filter(|id| hosts.includes(id)).map(ResourceName::service).collect()
            }
            Lowered::PeerAuthentication(policy) => vec![ResourceName::policies(&self.home(&policy.origin.namespace))],
            Lowered::AuthorizationPolicy(policy) => vec![ResourceName::policies(&self.home(&policy.origin.namespace))],
            Lowered::Telemetry(object) => vec![ResourceName::policies(&self.home(&object.origin.namespace))],
            Lowered::Mesh(_) => vec![ResourceName::mesh()],
        }
    }
}

/// Linkerd's annotation of Services, pods and namespaces: ports whose bytes no proxy looks into.
const OPAQUE_PORTS: &str = "config.linkerd.io/opaque-ports";

fn table_place(t: &RankedTable) -> (u8, i64, &str, &str) {
    (t.rank, t.created, &t.table.origin.name, &t.table.origin.namespace)
}

fn rule_place(r: &RankedRule) -> (i64, &str, &str) {
    (r.created, &r.rule.origin.name, &r.rule.origin.namespace)
}

const fn specificity(hosts: &RuleHosts) -> usize {
    match hosts {
        RuleHosts::Service(_) => usize::MAX,
        RuleHosts::Suffix(suffix) => suffix.len(),
    }
}

fn disabled_in(policy: &PeerAuthentication) -> usize {
    let modes = policy.ports.iter().map(|(_, mode)| mode).chain([&policy.mode]);
    modes.filter(|mode| **mode == MtlsMode::Disable).count()
}

fn remove_one<T>(lists: &mut HashMap<ServiceId, Vec<T>>, service: &ServiceId, is_it: impl Fn(&T) -> bool) {
    if let Some(list) = lists.get_mut(service) {
        if let Some(at) = list.iter().position(is_it) {
            list.remove(at);
        }
        if list.is_empty() {
            lists.remove(service);
        }
    }
}
