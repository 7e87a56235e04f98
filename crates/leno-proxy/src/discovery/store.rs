//! The state behind [`super::Discovery`]: what was asked for, what the answers were, and who still uses them.
//!
//! No socket, no clock: events come in by [`Store::apply`], time by [`Store::tick`], and what the control plane must be
//! told goes out as [`Command`]s.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leno_core::id::ServiceId;
use leno_core::merge::Viewer;
use leno_core::model::{Address, AddressTarget, Endpoints, Policies, Routes, Service};
use leno_xds::client::Event;
use leno_xds::wire::{Resource, ResourceKind, ResourceName};

use super::Lookup;
use super::own::Own;
use super::service::{ServiceHandle, ServiceView};

/// What the control plane must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Wants to know it, and to be told of every change.
    Subscribe(ResourceName),
    /// Needs it no more.
    Unsubscribe(ResourceName),
}

/// Everything known, at one moment.
#[derive(Clone, Debug)]
pub struct Summary {
    /// `None` while a stream to the control plane is open, else why there is none.
    pub disconnected: Option<String>,
    /// Addresses asked for.
    pub addresses: Vec<(IpAddr, Lookup<Arc<Address>>)>,
    /// Services in use.
    pub services: Vec<(ServiceId, Lookup<Arc<ServiceView>>)>,
    /// Resources whose last update could not be read, with the reason; their last good value is in force.
    pub refused: Vec<(ResourceName, String)>,
}

#[derive(Debug)]
pub(super) struct Store {
    own: Arc<Own>,
    own_ips: Vec<IpAddr>,
    known: Known,
    addresses: HashMap<IpAddr, AddressEntry>,
    services: HashMap<ServiceId, ServiceEntry>,
    refused: HashMap<ResourceName, String>,
    disconnected: Option<String>,
    /// Coarse time: use is stamped with it, so that no clock is read per request.
    tick: Arc<AtomicU64>,
}

/// Which parts of [`Own`] have come from the control plane.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    address: bool,
    mesh: bool,
    policies: bool,
    root_policies: bool,
}

#[derive(Debug)]
enum Answer<T> {
    Pending,
    Absent,
    Present(T),
}

impl<T> Answer<T> {
    const fn present(&self) -> Option<&T> {
        match self {
            Self::Present(t) => Some(t),
            Self::Absent | Self::Pending => None,
        }
    }

    const fn is_pending(&self) -> bool {
        matches!(self, Self::Pending)
    }
}

impl<T: Clone> Answer<T> {
    fn lookup(&self) -> Option<Lookup<T>> {
        match self {
            Self::Pending => None,
            Self::Absent => Some(Lookup::Absent),
            Self::Present(t) => Some(Lookup::Found(t.clone())),
        }
    }
}

#[derive(Debug)]
struct AddressEntry {
    answer: Answer<Arc<Address>>,
    used: u64,
}

#[derive(Debug)]
struct ServiceEntry {
    service: Answer<Arc<Service>>,
    endpoints: Answer<Arc<Endpoints>>,
    routes: Answer<Arc<Routes>>,
    handle: Option<Arc<ServiceHandle>>,
    used: u64,
}

impl ServiceEntry {
    const fn new(used: u64) -> Self {
        Self { service: Answer::Pending, endpoints: Answer::Pending, routes: Answer::Pending, handle: None, used }
    }

    fn lookup(&self) -> Option<Lookup<Arc<ServiceHandle>>> {
        match (&self.handle, &self.service) {
            (Some(handle), _) => Some(Lookup::Found(Arc::clone(handle))),
            (None, Answer::Absent) => Some(Lookup::Absent),
            (None, _) => None,
        }
    }

    /// Brings the handle in line with the answers.
    fn refresh(&mut self, id: &ServiceId, viewer: &Viewer, tick: &Arc<AtomicU64>) {
        let Some(service) = self.service.present() else {
            if let Some(handle) = self.handle.take() {
                handle.close();
            }
            return;
        };
        // A view without its endpoints or its routes would send requests astray: wait for all three.
        if self.endpoints.is_pending() || self.routes.is_pending() {
            return;
        }
        let previous = self.handle.as_ref().map(|h| h.current_unused());
        let routes = self.routes.present().map(Arc::as_ref);
        let view = ServiceView::merge(service, self.endpoints.present(), routes, viewer, previous.as_deref());
        match &self.handle {
            Some(handle) => handle.replace(view),
            None => self.handle = Some(Arc::new(ServiceHandle::new(id.clone(), view, Arc::clone(tick)))),
        }
    }

    fn used(&self) -> u64 {
        self.handle.as_ref().map_or(0, |h| h.used()).max(self.used)
    }
}

impl Store {
    pub(super) fn new(own: Arc<Own>, own_ips: Vec<IpAddr>) -> Self {
        Self {
            own,
            own_ips,
            known: Known::default(),
            addresses: HashMap::new(),
            services: HashMap::new(),
            refused: HashMap::new(),
            disconnected: Some("not connected yet".to_owned()),
            tick: Arc::default(),
        }
    }

    /// What every proxy asks for at its start.
    pub(super) fn begin(&mut self) -> Vec<Command> {
        let mut commands = vec![
            Command::Subscribe(ResourceName::mesh()),
            Command::Subscribe(ResourceName::policies(&self.own.workload.namespace)),
        ];
        if let Some(ip) = self.own_ips.first().copied() {
            commands.extend(self.address(ip).1);
        }
        commands
    }

    pub(super) fn own(&self) -> Arc<Own> {
        Arc::clone(&self.own)
    }

    pub(super) fn known_address(&mut self, ip: IpAddr) -> Option<Lookup<Arc<Address>>> {
        let ip = ip.to_canonical();
        if never_in_a_mesh(ip) {
            return Some(Lookup::Absent);
        }
        let entry = self.addresses.get_mut(&ip)?;
        entry.used = self.tick.load(Ordering::Relaxed);
        entry.answer.lookup()
    }

    pub(super) fn address(&mut self, ip: IpAddr) -> (Option<Lookup<Arc<Address>>>, Vec<Command>) {
        let ip = ip.to_canonical();
        if self.addresses.contains_key(&ip) || never_in_a_mesh(ip) {
            return (self.known_address(ip), Vec::new());
        }
        let mut commands = self.make_room();
        let used = self.tick.load(Ordering::Relaxed);
        self.addresses.insert(ip, AddressEntry { answer: Answer::Pending, used });
        commands.push(Command::Subscribe(ResourceName::address(ip)));
        (None, commands)
    }

    pub(super) fn known_service(&mut self, id: &ServiceId) -> Option<Lookup<Arc<ServiceHandle>>> {
        let entry = self.services.get_mut(id)?;
        entry.used = self.tick.load(Ordering::Relaxed);
        entry.lookup()
    }

    pub(super) fn service(&mut self, id: &ServiceId) -> (Option<Lookup<Arc<ServiceHandle>>>, Vec<Command>) {
        if self.services.contains_key(id) {
            return (self.known_service(id), Vec::new());
        }
        self.services.insert(id.clone(), ServiceEntry::new(self.tick.load(Ordering::Relaxed)));
        (None, service_resources(id).map(Command::Subscribe).to_vec())
    }

    /// Takes an event of the control plane in.
    pub(super) fn apply(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Update(name, resource, _version) => {
                self.refused.remove(&name);
                self.update(resource)
            }
            Event::Absent(name) => {
                self.refused.remove(&name);
                self.absent(&name);
                Vec::new()
            }
            Event::Refused(name, reason) => {
                self.refused.insert(name, reason);
                Vec::new()
            }
            Event::Connected => {
                self.disconnected = None;
                Vec::new()
            }
            Event::Disconnected(reason) => {
                self.disconnected = Some(reason);
                Vec::new()
            }
        }
    }

    fn update(&mut self, resource: Resource) -> Vec<Command> {
        match resource {
            Resource::Address(address) => {
                self.own_address(&address);
                if let Some(entry) = self.addresses.get_mut(&address.ip.to_canonical()) {
                    entry.answer = Answer::Present(address);
                }
                Vec::new()
            }
            Resource::Service(service) => {
                let id = service.id.clone();
                self.change_service(&id, |e| e.service = Answer::Present(service))
            }
            Resource::Endpoints(endpoints) => {
                let id = endpoints.service.clone();
                self.change_service(&id, |e| e.endpoints = Answer::Present(endpoints))
            }
            Resource::Routes(routes) => {
                let id = routes.service.clone();
                self.change_service(&id, |e| e.routes = Answer::Present(routes))
            }
            Resource::Policies(policies) => {
                self.set_policies(&policies.namespace.clone(), &policies);
                Vec::new()
            }
            Resource::Mesh(mesh) => {
                let old_root = self.own.mesh.root_namespace.clone();
                let first = !self.known.mesh;
                self.known.mesh = true;
                let new_root = mesh.root_namespace.clone();
                self.change_own(|own| own.set_mesh(mesh));
                self.follow_root(first, &old_root, &new_root)
            }
        }
    }

    fn absent(&mut self, name: &ResourceName) {
        match name.kind {
            ResourceKind::Address => {
                let ip = name.key.parse::<IpAddr>().ok();
                if let Some(entry) = ip.and_then(|ip| self.addresses.get_mut(&ip)) {
                    entry.answer = Answer::Absent;
                }
            }
            ResourceKind::Service | ResourceKind::Endpoints | ResourceKind::Routes => {
                let Some(id) = name.service_id() else { return };
                self.change_service(&id, |e| match name.kind {
                    ResourceKind::Endpoints => e.endpoints = Answer::Absent,
                    ResourceKind::Routes => e.routes = Answer::Absent,
                    _ => e.service = Answer::Absent,
                });
            }
            ResourceKind::Policies => {
                let none = Arc::new(Policies { namespace: name.key.to_string(), ..Policies::default() });
                self.set_policies(&name.key, &none);
            }
            // A mesh without settings of its own has the default ones; the control plane always sends some.
            ResourceKind::Mesh => {}
        }
    }

    fn change_service(&mut self, id: &ServiceId, change: impl FnOnce(&mut ServiceEntry)) -> Vec<Command> {
        if let Some(entry) = self.services.get_mut(id) {
            change(entry);
            entry.refresh(id, &self.own.viewer, &self.tick);
        }
        Vec::new()
    }

    /// The pod's own address also tells what the pod is.
    fn own_address(&mut self, address: &Address) {
        let AddressTarget::Workload { workload, .. } = &address.target else { return };
        let own = &self.own.workload;
        // The address may still be known as that of a pod which had it before.
        let mine = self.own_ips.first() == Some(&address.ip)
            && (&workload.namespace, &workload.pod) == (&own.namespace, &own.pod);
        if mine {
            self.known.address = true;
            self.change_own(|own| own.set_address(address));
        }
    }

    fn set_policies(&mut self, namespace: &str, policies: &Arc<Policies>) {
        let own = namespace == self.own.workload.namespace;
        let root = !own && namespace == self.own.mesh.root_namespace;
        self.known.policies |= own;
        self.known.root_policies |= root;
        self.change_own(|o| {
            if own {
                o.policies = Arc::clone(policies);
            } else if root {
                o.root_policies = Arc::clone(policies);
            }
        });
    }

    /// Which namespace is the root is itself a setting of the mesh.
    fn follow_root(&mut self, first: bool, old: &str, new: &str) -> Vec<Command> {
        if !first && old == new {
            return Vec::new();
        }
        let namespace = self.own.workload.namespace.clone();
        let mut commands = Vec::new();
        if !first && old != namespace {
            commands.push(Command::Unsubscribe(ResourceName::policies(old)));
        }
        // The old root's policies stay in force until the new one's are known: dropping them at once could open a door.
        self.known.root_policies |= new == namespace;
        if new == namespace {
            self.change_own(|own| own.root_policies = Arc::default());
        } else {
            commands.push(Command::Subscribe(ResourceName::policies(new)));
        }
        commands
    }

    fn change_own(&mut self, change: impl FnOnce(&mut Own)) {
        let viewer = Arc::clone(&self.own.viewer);
        let Known { address, mesh, policies, root_policies } = self.known;
        let own = Arc::make_mut(&mut self.own);
        change(own);
        own.generation += 1;
        own.complete = address && mesh && policies && root_policies;
        if own.viewer != viewer {
            for (id, entry) in &mut self.services {
                if entry.handle.is_some() {
                    entry.refresh(id, &own.viewer, &self.tick);
                }
            }
        }
    }

    /// Half a minute has passed: drops what nobody has used for [`IDLE_TICKS`].
    pub(super) fn tick(&mut self) -> Vec<Command> {
        let now = self.tick.fetch_add(1, Ordering::Relaxed) + 1;
        let idle = |used: u64| now.saturating_sub(used) >= IDLE_TICKS;
        let mut commands = self.drop_addresses(|entry| idle(entry.used));
        self.services.retain(|id, entry| {
            let keep = !idle(entry.used());
            if !keep {
                commands.extend(service_resources(id).map(Command::Unsubscribe));
                if let Some(handle) = &entry.handle {
                    handle.close();
                }
            }
            keep
        });
        self.refused.retain(|name, _| !commands.contains(&Command::Unsubscribe(name.clone())));
        commands
    }

    /// A pod that dials very many addresses (a scanner) must not fill the proxy's memory: addresses that are of nobody
    /// in the mesh go first, then those not used within this tick.
    fn make_room(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        if self.addresses.len() >= MAX_ADDRESSES {
            commands = self.drop_addresses(|entry| matches!(entry.answer, Answer::Absent));
        }
        if self.addresses.len() >= MAX_ADDRESSES {
            let now = self.tick.load(Ordering::Relaxed);
            commands.extend(self.drop_addresses(|entry| entry.used < now || entry.answer.is_pending()));
        }
        commands
    }

    fn drop_addresses(&mut self, drop: impl Fn(&AddressEntry) -> bool) -> Vec<Command> {
        let mut commands = Vec::new();
        let own = self.own_ips.first().copied();
        self.addresses.retain(|ip, entry| {
            let keep = Some(*ip) == own || !drop(entry);
            if !keep {
                commands.push(Command::Unsubscribe(ResourceName::address(*ip)));
            }
            keep
        });
        commands
    }

    pub(super) fn missing(&self) -> Vec<&'static str> {
        let Known { address, mesh, policies, root_policies } = self.known;
        let parts = [
            (address, "the pod's own address"),
            (mesh, "the mesh's settings"),
            (policies, "the policies of its namespace"),
            (root_policies, "the policies of the root namespace"),
        ];
        parts.into_iter().filter(|(known, _)| !known).map(|(_, words)| words).collect()
    }

    pub(super) fn summary(&self) -> Summary {
        let mut addresses: Vec<_> =
            self.addresses.iter().map(|(ip, e)| (*ip, e.answer.lookup().unwrap_or(Lookup::Unavailable))).collect();
        addresses.sort_by_key(|(ip, _)| *ip);
        let view = |e: &ServiceEntry| match e.lookup() {
            Some(Lookup::Found(handle)) => Lookup::Found(handle.current_unused()),
            Some(Lookup::Absent) => Lookup::Absent,
            Some(Lookup::Unavailable) | None => Lookup::Unavailable,
        };
        let mut services: Vec<_> = self.services.iter().map(|(id, e)| (id.clone(), view(e))).collect();
        services.sort_by(|a, b| a.0.cmp(&b.0));
        let mut refused: Vec<_> = self.refused.iter().map(|(n, r)| (n.clone(), r.clone())).collect();
        refused.sort();
        Summary { disconnected: self.disconnected.clone(), addresses, services, refused }
    }
}

/// A service is three resources, always wanted together.
fn service_resources(id: &ServiceId) -> [ResourceName; 3] {
    [ResourceName::service(id), ResourceName::endpoints(id), ResourceName::routes(id)]
}

/// Addresses that no control plane can know: not worth a question.
fn never_in_a_mesh(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast()
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || ip.is_multicast(),
    }
}

/// Seconds between two calls of [`Store::tick`].
pub(super) const TICK_SECONDS: u64 = 30;
/// Five minutes.
const IDLE_TICKS: u64 = 300 / TICK_SECONDS;
/// Some 100 bytes each, so less than 1 MiB.
const MAX_ADDRESSES: usize = 4096;

#[cfg(test)]
mod tests;
