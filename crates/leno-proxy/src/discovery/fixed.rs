//! A mesh out of literal objects, without a control plane: for tests of the data path.

use std::net::IpAddr;
use std::sync::Arc;

use leno_core::model::{
    Address, AddressTarget, Endpoints, MeshConfig, Policies, Routes, Service, Workload, WorkloadPort,
};
use leno_xds::client::Event;
use leno_xds::wire::{Resource, ResourceName};
use tokio::sync::mpsc;

use super::{Command, Discovery, Own};

/// The objects of a mesh, and the pod that looks at them.
///
/// ```
/// use leno_core::model::MeshConfig;
/// use leno_proxy::discovery::Objects;
///
/// let objects = Objects::of_pod("shop", "web-1", "web").mesh(MeshConfig { allow_any: false, ..MeshConfig::default() });
/// ```
#[derive(Clone, Debug)]
pub struct Objects {
    ip: IpAddr,
    workload: Workload,
    ports: Vec<WorkloadPort>,
    resources: Vec<Resource>,
}

impl Objects {
    /// A mesh seen from a pod, which is of the trust domain `cluster.local` and has the address 127.0.0.1 and the label
    /// `app` with the pod's name up to its first dash.
    #[must_use]
    pub fn of_pod(namespace: &str, pod: &str, account: &str) -> Self {
        let app = pod.split('-').next().unwrap_or(pod);
        let workload = Workload {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            name: app.to_owned(),
            kind: "deployment".to_owned(),
            account: account.to_owned(),
            labels: [("app".to_owned(), app.to_owned())].into(),
            identity: Some(leno_core::id::SpiffeId::new("cluster.local", namespace, account)),
            ..Workload::default()
        };
        Self { ip: IpAddr::from([127, 0, 0, 1]), workload, ports: Vec::new(), resources: Vec::new() }
    }

    /// Replaces what is known of the pod itself.
    #[must_use]
    pub fn own(mut self, ip: IpAddr, workload: Workload, ports: Vec<WorkloadPort>) -> Self {
        (self.ip, self.workload, self.ports) = (ip, workload, ports);
        self
    }

    /// Adds an address.
    #[must_use]
    pub fn address(self, address: Address) -> Self {
        self.with(Resource::Address(Arc::new(address)))
    }

    /// Adds a service, and an address for each of its virtual IPs.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        for ip in &service.vips {
            let target = AddressTarget::Service(service.id.clone());
            self = self.address(Address { ip: *ip, target });
        }
        self.with(Resource::Service(Arc::new(service)))
    }

    /// Adds a service's endpoints.
    #[must_use]
    pub fn endpoints(self, endpoints: Endpoints) -> Self {
        self.with(Resource::Endpoints(Arc::new(endpoints)))
    }

    /// Adds a service's routes.
    #[must_use]
    pub fn routes(self, routes: Routes) -> Self {
        self.with(Resource::Routes(Arc::new(routes)))
    }

    /// Adds a namespace's policies.
    #[must_use]
    pub fn policies(self, policies: Policies) -> Self {
        self.with(Resource::Policies(Arc::new(policies)))
    }

    /// Sets the mesh's settings; the defaults otherwise.
    #[must_use]
    pub fn mesh(self, mesh: MeshConfig) -> Self {
        self.with(Resource::Mesh(Arc::new(mesh)))
    }

    fn with(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }
}

impl Discovery {
    /// A mesh of literal objects. It is ready at once; whatever is not among the objects is absent. Change it by
    /// [`Live`].
    ///
    /// Must be called within a tokio runtime: a task answers questions as a control plane would.
    #[must_use]
    pub fn fixed(objects: Objects) -> (Self, Live) {
        let Objects { ip, workload, ports, resources } = objects;
        let (discovery, commands) = Self::new(Own::new(workload.clone()), vec![ip]);
        let target = AddressTarget::Workload { workload: Arc::new(workload), ports, terminating: false };
        let live = Live { discovery: discovery.clone(), resources: Arc::default() };
        live.set(Resource::Mesh(Arc::new(MeshConfig::default())));
        live.set(Resource::Address(Arc::new(Address { ip, target })));
        for resource in resources {
            live.set(resource);
        }
        let answering = live.clone();
        // Its questions so far are answered before anybody can look: the pod is ready at once.
        let mut commands = commands;
        while let Ok(command) = commands.try_recv() {
            answering.answer(command);
        }
        tokio::spawn(answer_all(answering, commands));
        (discovery, live)
    }
}

/// The control plane of [`Discovery::fixed`].
#[derive(Clone, Debug)]
pub struct Live {
    discovery: Discovery,
    resources: Arc<std::sync::Mutex<std::collections::HashMap<ResourceName, Resource>>>,
}

impl Live {
    /// Adds or replaces an object; the proxy sees it at once.
    pub fn set(&self, resource: Resource) {
        let name = resource.name();
        self.resources().insert(name.clone(), resource.clone());
        self.discovery.change(|store| store.apply(Event::Update(name, resource, String::new())));
    }

    /// Takes an object away.
    pub fn remove(&self, name: ResourceName) {
        self.resources().remove(&name);
        self.discovery.change(|store| store.apply(Event::Absent(name)));
    }

    /// Lets idle time pass, 30 s at a call.
    pub fn tick(&self) {
        self.discovery.change(super::store::Store::tick);
    }

    fn answer(&self, command: Command) {
        let Command::Subscribe(name) = command else { return };
        let event = match self.resources().get(&name) {
            Some(resource) => Event::Update(name, resource.clone(), String::new()),
            None => Event::Absent(name),
        };
        self.discovery.change(|store| store.apply(event));
    }

    fn resources(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<ResourceName, Resource>> {
        self.resources.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn answer_all(live: Live, mut commands: mpsc::UnboundedReceiver<Command>) {
    while let Some(command) = commands.recv().await {
        live.answer(command);
    }
}
