//! The connection to the cluster.

use std::time::Duration;

use anyhow::Context;
use kube::runtime::utils::Backoff;
use kube::{Client, Config};

/// First and longest delay after a failed call.
const DELAYS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A client by the pod's ServiceAccount, or by KUBECONFIG outside of a cluster.
///
/// # Errors
/// Says what is missing.
pub async fn client() -> anyhow::Result<Client> {
    let config = Config::infer().await.context("--kubernetes: neither in a cluster nor with a usable KUBECONFIG")?;
    tracing::info!(server = %config.cluster_url, "following the cluster");
    Client::try_from(config).context("--kubernetes: cannot make a client of the cluster")
}

/// Delays between attempts: doubled each time, cut by up to half at random so that replicas do not call in step.
#[derive(Clone, Debug)]
pub struct Delays {
    next: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self { next: DELAYS.0 }
    }
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = self.next;
        self.next = (delay * 2).min(DELAYS.1);
        Some(delay.mul_f64(1.0 - f64::from(chance()) / 512.0))
    }
}

impl Backoff for Delays {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Any byte.
fn chance() -> u8 {
    let mut byte = [0_u8];
    // Without chance there is no jitter, which does no harm.
    let _ = leno_identity::tls::provider().secure_random.fill(&mut byte);
    byte[0]
}

/// An error in one line, its causes included: the client's own words hide them.
#[must_use]
pub fn words(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(kube::Error::Api(status)) = find_api(error) {
        return format!("{} ({})", status.message, status.code);
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn find_api<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e kube::Error> {
    let own = error.downcast_ref::<kube::Error>();
    own.or_else(|| error.source().and_then(find_api))
}
