//! The life of a pod.

use std::sync::Arc;
use std::time::Duration;

use leno_config::k8s::Container;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::board::Phase;
use super::container::{Again, Ended, Stop, keep};
use super::{Pod, volumes};
use crate::net::link;
use crate::net::ns::NetNs;

/// A pod that runs.
#[derive(Clone, Debug)]
pub struct Handle {
    stop: CancellationToken,
}

impl Handle {
    /// Tells it to end: hooks, SIGTERM, and SIGKILL after its grace period; sidecars last.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

/// Starts a pod. Its board says how it goes.
#[must_use]
pub fn start(pod: Arc<Pod>) -> Handle {
    let stop = CancellationToken::new();
    tokio::spawn(live(pod, stop.clone()));
    Handle { stop }
}

async fn live(pod: Arc<Pod>, stop: CancellationToken) {
    let Some(netns) = network(&pod, &stop).await else {
        pod.board.set_phase(Phase::Gone);
        return;
    };
    let fresh = tokio::spawn(refresh(Arc::clone(&pod)));
    let mut sidecars = Sidecars::default();
    let phase = containers(&pod, &stop, &mut sidecars).await;
    sidecars.stop().await;
    fresh.abort();
    link::remove_pod(pod.index);
    netns.remove();
    volumes::remove(&pod);
    pod.board.set_phase(if stop.is_cancelled() { Phase::Gone } else { phase });
    if !stop.is_cancelled() {
        stop.cancelled().await;
        pod.board.set_phase(Phase::Gone);
    }
}

async fn network(pod: &Arc<Pod>, stop: &CancellationToken) -> Option<NetNs> {
    let mut wait = Duration::from_millis(200);
    loop {
        let (file, index, ip) = (pod.netns_file(), pod.index, pod.ip);
        let made = tokio::task::spawn_blocking(move || link::add_pod(&file, index, ip)).await;
        match made {
            Ok(Ok(ns)) => {
                pod.board.set_message("");
                return Some(ns);
            }
            Ok(Err(error)) => pod.board.set_message(format!("its network cannot be made: {error}")),
            Err(error) => pod.board.set_message(format!("its network cannot be made: {error}")),
        }
        link::remove_pod(pod.index);
        tokio::select! {
            () = sleep(wait) => wait = (wait * 2).min(Duration::from_secs(5)),
            () = stop.cancelled() => return None,
        }
    }
}

/// Tokens are renewed at four fifths of their life; everything else on the way.
async fn refresh(pod: Arc<Pod>) {
    let life = volumes::token_life(&pod).unwrap_or(Duration::from_secs(3600));
    loop {
        sleep(life.mul_f64(0.8)).await;
        if let Err(error) = volumes::write(&pod) {
            tracing::warn!("pod {}/{}: {error:#}", pod.namespace, pod.name);
        }
    }
}

/// Runs all containers to their end.
async fn containers(pod: &Arc<Pod>, stop: &CancellationToken, sidecars: &mut Sidecars) -> Phase {
    let grace = Duration::from_secs(pod.spec.termination_grace_period_seconds);
    let policy = Again::of(&pod.spec.restart_policy);
    for container in &pod.spec.init_containers {
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.start(pod, container, grace);
            if !started(pod, container, stop).await {
                return Phase::Failed;
            }
            continue;
        }
        // Always means, for what has to end, that it is tried until it ends well.
        let again = if policy == Again::Never { Again::Never } else { Again::OnFailure };
        let how = Stop { token: stop.clone(), grace };
        match keep(pod, container, again, &how).await {
            Some(ended) if ended.code == 0 => {}
            _ => return Phase::Failed,
        }
    }
    if stop.is_cancelled() {
        return Phase::Failed;
    }
    pod.board.set_phase(Phase::Running);
    let mut tasks = JoinSet::new();
    for container in &pod.spec.containers {
        let (pod, container) = (Arc::clone(pod), container.clone());
        let how = Stop { token: stop.clone(), grace };
        tasks.spawn(async move { keep(&pod, &container, policy, &how).await });
    }
    let mut well = true;
    while let Some(ended) = tasks.join_next().await {
        well &= matches!(ended, Ok(Some(Ended { code: 0, .. })));
    }
    if well { Phase::Succeeded } else { Phase::Failed }
}

async fn started(pod: &Pod, container: &Container, stop: &CancellationToken) -> bool {
    loop {
        if pod.board.of(&container.name).started {
            return true;
        }
        tokio::select! {
            () = sleep(Duration::from_millis(10)) => {}
            () = stop.cancelled() => return false,
        }
    }
}

/// Native sidecars, in the order they were started.
#[derive(Default)]
struct Sidecars(Vec<(Stop, tokio::task::JoinHandle<()>)>);

impl Sidecars {
    fn start(&mut self, pod: &Arc<Pod>, container: &Container, grace: Duration) {
        let how = Stop { token: CancellationToken::new(), grace: grace.min(LONGEST_FOR_SIDECARS) };
        let (pod, container, own) = (Arc::clone(pod), container.clone(), how.clone());
        let task = tokio::spawn(async move {
            keep(&pod, &container, Again::Always, &own).await;
        });
        self.0.push((how, task));
    }

    /// Ends them after the app, the last started first.
    async fn stop(self) {
        for (how, task) in self.0.into_iter().rev() {
            how.token.cancel();
            let _ = timeout(how.grace + Duration::from_secs(5), task).await;
        }
    }
}

/// Sidecars end when nobody needs them any more; what they drain are connections that nobody will close.
const LONGEST_FOR_SIDECARS: Duration = Duration::from_secs(10);
