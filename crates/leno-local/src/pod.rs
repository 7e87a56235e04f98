//! One pod, from its network to its end.
//!
//! [`run`] is the life of a pod, [`container`] that of one container, [`process`] starts programs, [`probe`] asks how they
//! are. [`mod@env`] and [`volumes`] make what a container is given; [`board`] is where the state of a pod is written by its
//! tasks and read by the supervisor.

pub mod board;
pub mod container;
pub mod env;
pub mod logs;
pub mod probe;
pub mod process;
pub mod run;
pub mod volumes;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use leno_config::k8s;
use leno_identity::TokenSigner;
use serde_json::Value;

use crate::object::ObjectKey;
use crate::state::StateDir;

pub use board::Board;
pub use run::{Handle, start};

/// What the pods of a machine share.
#[derive(Debug)]
pub struct Machine {
    /// The mesh's directory.
    pub state: StateDir,
    /// PATH of the containers: that of whoever started the mesh.
    pub path: String,
    /// HOME of containers that run as the mesh's own user.
    pub home: String,
    /// The sidecar's program.
    pub proxy: PathBuf,
    /// All processes have one uid (a user namespace without uids to give).
    pub single_uid: bool,
    /// Signs service account tokens.
    pub tokens: TokenSigner,
    /// The mesh's root certificate.
    pub root_pem: String,
    /// Objects, for volumes and environments.
    pub store: SharedObjects,
}

/// Objects by key: the supervisor writes, pods read.
#[derive(Clone, Debug, Default)]
pub struct SharedObjects(Arc<RwLock<BTreeMap<ObjectKey, Arc<Value>>>>);

impl SharedObjects {
    /// The object of that key.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Value>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(key).cloned()
    }

    /// Puts an object in place of what was there.
    pub fn put(&self, key: ObjectKey, object: Arc<Value>) {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key, object);
    }

    /// Removes an object.
    pub fn remove(&self, key: &ObjectKey) {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
    }
}

/// Where the sidecar's program is in every container.
pub const PROXY_PROGRAM: &str = "/run/leno/leno-proxy";

/// A pod as it is to be.
#[derive(Debug)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique id.
    pub uid: String,
    /// Address.
    pub ip: Ipv4Addr,
    /// Number of its wire to the node.
    pub index: u32,
    /// Injected or not.
    pub spec: k8s::PodSpec,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// What it shares with others.
    pub machine: Arc<Machine>,
    /// Its state.
    pub board: Board,
}

impl Pod {
    /// A directory of its own for volumes, on the mesh's tmpfs.
    #[must_use]
    pub fn volume_dir(&self) -> PathBuf {
        self.machine.state.run().join("v").join(format!("{}_{}_{}", self.namespace, self.name, self.index))
    }

    /// The handle of its network namespace.
    #[must_use]
    pub fn netns_file(&self) -> PathBuf {
        self.machine.state.run().join("netns").join(self.index.to_string())
    }
}
