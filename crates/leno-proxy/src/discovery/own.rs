//! This pod, and what holds for it.

use std::sync::Arc;

use leno_core::merge::Viewer;
use leno_core::model::{Address, AddressTarget, MeshConfig, Policies, Workload, WorkloadPort};

/// One consistent state of everything the inbound side judges by. Replaced whole, never changed.
#[derive(Clone, Debug)]
pub struct Own {
    /// The pod. Until the control plane has told: namespace, pod name and account from the settings.
    pub workload: Arc<Workload>,
    /// Ports of the pod that services name.
    pub ports: Vec<WorkloadPort>,
    /// Whether the pod is being deleted.
    pub terminating: bool,
    /// For whom rules are selected.
    pub viewer: Arc<Viewer>,
    /// Policies of the pod's namespace.
    pub policies: Arc<Policies>,
    /// Policies of the root namespace, which hold for the whole mesh. Empty where the pod itself is in it: then they are
    /// in `policies`.
    pub root_policies: Arc<Policies>,
    /// Settings of the mesh.
    pub mesh: Arc<MeshConfig>,
    /// Whether all of it came from the control plane; before that nothing may be judged by it.
    pub complete: bool,
    /// Grows with every change.
    pub generation: u64,
}

impl Own {
    /// What the settings alone say.
    #[must_use]
    pub fn new(workload: Workload) -> Self {
        let mesh = Arc::new(MeshConfig::default());
        let viewer = viewer(&workload, &mesh);
        Self {
            workload: Arc::new(workload),
            ports: Vec::new(),
            terminating: false,
            viewer,
            policies: Arc::default(),
            root_policies: Arc::default(),
            mesh,
            complete: false,
            generation: 0,
        }
    }

    /// The pod's port as services know it.
    #[must_use]
    pub fn port(&self, port: u16) -> Option<&WorkloadPort> {
        self.ports.iter().find(|p| p.port == port)
    }

    /// Takes over what the control plane says of the pod's address.
    pub(super) fn set_address(&mut self, address: &Address) {
        if let AddressTarget::Workload { workload, ports, terminating } = &address.target {
            self.workload = Arc::clone(workload);
            self.ports.clone_from(ports);
            self.terminating = *terminating;
        }
        self.viewer = viewer(&self.workload, &self.mesh);
    }

    /// Takes over the mesh's settings.
    pub(super) fn set_mesh(&mut self, mesh: Arc<MeshConfig>) {
        self.mesh = mesh;
        self.viewer = viewer(&self.workload, &self.mesh);
    }
}

fn viewer(workload: &Workload, mesh: &MeshConfig) -> Arc<Viewer> {
    Arc::new(Viewer {
        namespace: workload.namespace.clone(),
        labels: workload.labels.clone(),
        root_namespace: mesh.root_namespace.clone(),
    })
}
