//! A mesh on one machine: each pod is a network namespace with real processes in it.
//!
//! One process tree holds everything. `leno local up` starts it through `unshare`, in its own process, mount and
//! network namespaces (and a user namespace where the caller is not root), so that nothing can outlive it: when its
//! first process ends, the kernel ends all others and every namespace, rule and mount goes with them.
//!
//! - [`launch`] starts it and waits for its control socket; [`client`] talks to it ([`protocol`]).
//! - [`supervise`] is what runs inside: the store of objects, the controllers (Deployment, StatefulSet, Job, Service,
//!   endpoints), the node's network, DNS, the control plane as a child process.
//! - [`pod`] runs one pod: volumes, init containers, sidecars, probes, restarts, the end.
//! - [`enter`] is the program that becomes a container: namespaces, mounts, user, then the app.

pub mod client;
pub mod dns;
pub mod enter;
pub mod launch;
pub mod net;
pub mod object;
pub mod pod;
pub mod protocol;
pub mod state;
pub mod supervise;

pub use client::LocalMesh;
pub use state::StateDir;
