//! One replica leads: it holds a Lease, and only it writes.
//!
//! Clocks of replicas need not agree: a lease counts as left when it has not changed for its whole length by the own
//! clock, as in Kubernetes' own components.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use leno_kit::Drain;
use tokio::sync::watch;

use super::connect::words;

/// A lease that was not renewed for so long is free.
const LENGTH: Duration = Duration::from_secs(15);
/// A leader that could not renew for so long leads no more: before anyone else can take over.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between attempts.
const EVERY: Duration = Duration::from_secs(2);
/// For one call.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs for leader.
#[derive(Debug)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    me: String,
    leads: watch::Sender<bool>,
    /// What the lease said, and since when it says so.
    seen: Option<(Record, Instant)>,
    renewed: Option<Instant>,
}

/// What tells one renewal from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    holder: String,
    renewed: Option<MicroTime>,
}

impl Election {
    /// Runs as `me` for the lease of this name. The receiver says whether it leads.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: String, me: String) -> (Self, watch::Receiver<bool>) {
        let (leads, receiver) = watch::channel(false);
        let api = Api::namespaced(client, namespace);
        (Self { api, name, me, leads, seen: None, renewed: None }, receiver)
    }

    /// Runs until the drain starts, and then lets go.
    pub async fn run(mut self, drain: Drain) {
        loop {
            match tokio::time::timeout(PATIENCE, self.attempt()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(lease = self.name, error = %words(&error), "the lease cannot be used"),
                Err(_) => tracing::warn!(lease = self.name, "the lease cannot be used: no answer within {PATIENCE:?}"),
            }
            if *self.leads.borrow() && self.renewed.is_none_or(|at| at.elapsed() >= DEADLINE) {
                tracing::warn!(lease = self.name, "this replica could not renew its lease and leads no more");
                self.leads.send_replace(false);
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = drain.started() => break,
            }
        }
        if *self.leads.borrow() {
            self.leads.send_replace(false);
            let _ = tokio::time::timeout(PATIENCE, self.release()).await;
        }
    }

    /// Takes, keeps or waits for the lease.
    async fn attempt(&mut self) -> kube::Result<()> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.spec(None)) };
            return self.written(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.take().unwrap_or_default();
        if !self.may_take(&spec, Instant::now()) {
            if *self.leads.borrow() {
                tracing::warn!(lease = self.name, holder = spec.holder_identity, "another replica leads");
                self.leads.send_replace(false);
            }
            return Ok(());
        }
        lease.spec = Some(self.spec(Some(spec)));
        // The resource version in it makes sure that nobody took it in between.
        self.written(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    /// Whether the lease is this replica's, or nobody's.
    fn may_take(&mut self, spec: &LeaseSpec, now: Instant) -> bool {
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == self.me {
            return true;
        }
        let record = Record { holder, renewed: spec.renew_time.clone() };
        match &self.seen {
            Some((seen, since)) if *seen == record => {
                let length = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
                now.duration_since(*since) >= length.map_or(LENGTH, Duration::from_secs)
            }
            _ => {
                self.seen = Some((record, now));
                false
            }
        }
    }

    fn spec(&self, before: Option<LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let before = before.unwrap_or_default();
        let mine = before.holder_identity.as_ref() == Some(&self.me);
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(LENGTH.as_secs()).ok(),
            acquire_time: if mine { before.acquire_time } else { Some(now.clone()) },
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!mine)),
            renew_time: Some(now),
            ..before
        }
    }

    fn written(&mut self, result: kube::Result<Lease>) -> kube::Result<()> {
        match result {
            Ok(_) => {
                self.renewed = Some(Instant::now());
                if !self.leads.send_replace(true) {
                    tracing::info!(lease = self.name, "this replica leads");
                }
                Ok(())
            }
            // Somebody was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Leaves the lease to whoever asks next.
    async fn release(&self) -> kube::Result<()> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let Some(spec) = lease.spec.as_mut().filter(|s| s.holder_identity.as_ref() == Some(&self.me)) else {
            return Ok(());
        };
        spec.holder_identity = Some(String::new());
        self.api.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
