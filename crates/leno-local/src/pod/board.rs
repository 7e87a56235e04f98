//! The state of a pod, as its tasks write it down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leno_config::k8s;

use crate::protocol::ContainerStatus;

/// How far a pod is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Its network, volumes or init containers are not done.
    #[default]
    Pending,
    /// Its containers run, or will again.
    Running,
    /// All containers ended well and stay so.
    Succeeded,
    /// A container failed and stays so.
    Failed,
    /// It was told to end and nothing is left of it.
    Gone,
}

/// A copy of the state.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// How far it is.
    pub phase: Phase,
    /// What is wrong with the pod as a whole.
    pub message: String,
    /// Containers, init containers first.
    pub containers: Vec<ContainerStatus>,
}

impl Snapshot {
    /// Everything that should run is ready for traffic.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.containers.iter().filter(|c| !c.init || c.sidecar).all(|c| c.ready)
    }

    /// Whether its own containers have done their work: it waits for its sidecars' end only, and they are not ready meanwhile.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        let mut own = self.containers.iter().filter(|c| !c.init && !c.sidecar).peekable();
        own.peek().is_some() && own.all(|c| c.state == "Terminated" && c.exit_code == Some(0))
    }

    /// The first container that has a problem: its reason (`CrashLoopBackOff`) and the sentence about it.
    #[must_use]
    pub fn problem(&self) -> Option<(&str, String)> {
        self.containers.iter().find(|c| c.state == "Waiting" && c.reason != WAITING).map(|c| {
            let text = if c.message.is_empty() { c.reason.clone() } else { c.message.clone() };
            (c.reason.as_str(), format!("container {}: {text}", c.name))
        })
    }
}

/// Reason of a container whose turn has not come.
pub const WAITING: &str = "PodInitializing";

type Notify = Box<dyn Fn() + Send + Sync>;

/// Written by the pod's tasks, read by the supervisor, who is told of every change.
#[derive(Clone)]
pub struct Board(Arc<Inner>);

struct Inner {
    state: Mutex<Snapshot>,
    notify: Notify,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lock().fmt(f)
    }
}

impl Board {
    /// For the containers of this pod. `notify` is called after every change.
    pub fn new(spec: &k8s::PodSpec, notify: impl Fn() + Send + Sync + 'static) -> Self {
        let waiting = |c: &k8s::Container, init| ContainerStatus {
            name: c.name.clone(),
            init,
            sidecar: init && c.restart_policy.as_deref() == Some("Always"),
            state: "Waiting".into(),
            reason: WAITING.into(),
            ..ContainerStatus::default()
        };
        let containers = spec.init_containers.iter().map(|c| waiting(c, true));
        let containers = containers.chain(spec.containers.iter().map(|c| waiting(c, false))).collect();
        let state = Mutex::new(Snapshot { containers, ..Snapshot::default() });
        Self(Arc::new(Inner { state, notify: Box::new(notify) }))
    }

    /// The state now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// Changes the pod's phase.
    pub fn set_phase(&self, phase: Phase) {
        self.change(|s| s.phase = phase);
    }

    /// Says what is wrong with the pod as a whole; empty = nothing.
    pub fn set_message(&self, message: impl Into<String>) {
        let message = message.into();
        self.change(|s| s.message = message);
    }

    /// Changes one container's state.
    pub fn container(&self, name: &str, f: impl FnOnce(&mut ContainerStatus)) {
        self.change(|s| {
            if let Some(status) = s.containers.iter_mut().find(|c| c.name == name) {
                f(status);
            }
        });
    }

    /// One container's state.
    #[must_use]
    pub fn of(&self, name: &str) -> ContainerStatus {
        self.lock().containers.iter().find(|c| c.name == name).cloned().unwrap_or_default()
    }

    fn change(&self, f: impl FnOnce(&mut Snapshot)) {
        f(&mut self.lock());
        (self.0.notify)();
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_ends_once_its_own_containers_have_done_their_work() {
        let sidecar = ContainerStatus { init: true, sidecar: true, state: "Running".into(), ..Default::default() };
        let of = |own: &[(&str, Option<i32>)]| {
            let own = own.iter().map(|(state, exit_code)| ContainerStatus {
                state: (*state).into(),
                exit_code: *exit_code,
                ..Default::default()
            });
            Snapshot {
                phase: Phase::Running,
                containers: [sidecar.clone()].into_iter().chain(own).collect(),
                ..Default::default()
            }
        };
        assert!(of(&[("Terminated", Some(0))]).is_ending());
        assert!(!of(&[("Terminated", Some(0)), ("Running", None)]).is_ending());
        assert!(!of(&[("Terminated", Some(1))]).is_ending());
        assert!(!of(&[]).is_ending());
    }
}
