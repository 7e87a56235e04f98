//! What the leader writes, each duty for itself, repeated until it holds and whenever somebody undoes it.
//!
//! A revision has duties of its own; what all revisions would write to the same objects is the duty of one of them.

pub mod bundle;
pub mod mirror;
pub mod route_status;
pub mod status;
pub mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;

use super::feed::Reports;
use super::namespaces::Namespaces;
use super::peers::Peers;
use crate::hub::Hub;
use crate::serve::proxies::Proxies;
use crate::serve::tls::Keys;

/// Name under which the leader's writes are kept apart from those of others.
pub const MANAGER: &str = "leno-control";
/// After a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// What the duties need.
#[derive(Clone)]
pub struct Duties {
    /// The cluster.
    pub client: Client,
    /// Suffix of this revision's objects: empty, or `-REVISION`.
    pub suffix: String,
    /// The authority.
    pub keys: Keys,
    /// All namespaces.
    pub namespaces: Arc<Namespaces>,
    /// What objects say of themselves.
    pub reports: Arc<Reports>,
    /// What became of them.
    pub hub: Arc<Hub>,
    /// Where they live.
    pub proxies: Arc<Proxies>,
    /// The other replicas.
    pub peers: Peers,
}

impl Duties {
    /// Does the revision's own while this replica leads its revision.
    pub async fn of_revision(self, leads: watch::Receiver<bool>) {
        while_leading(leads, || webhooks::keep(&self)).await;
    }

    /// Does what there is once in a mesh while this replica leads among all revisions.
    pub async fn of_mesh(self, leads: watch::Receiver<bool>) {
        while_leading(leads, || async {
            tokio::join!(bundle::keep(&self), mirror::keep(&self), status::keep(&self));
        })
        .await;
    }
}

/// Begins `work` anew each time the leadership is gained, and drops it when it is lost.
async fn while_leading<W: Future<Output = ()>>(mut leads: watch::Receiver<bool>, work: impl Fn() -> W) {
    while leads.wait_for(|leads| *leads).await.is_ok() {
        tokio::select! {
            _ = leads.wait_for(|leads| !*leads) => {}
            () = work() => {}
        }
    }
}
