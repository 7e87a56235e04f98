//! By files: the mesh on one machine.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use leno_config::LowerContext;
use leno_core::names::CONTROL_HOSTS;
use leno_identity::{Authority, TokenVerifier};
use leno_kit::drain;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{App, BATCHES, Parts, listen, monitor};
use crate::boot::Settings;
use crate::hub::Hub;
use crate::serve::auth::Authenticator;
use crate::serve::monitor::Readiness;
use crate::serve::proxies::Proxies;
use crate::serve::tls::Certificate;
use crate::source::files::{Files, watch};

/// Starts.
pub(super) async fn start(settings: Settings) -> anyhow::Result<App> {
    let config = settings.config.clone().context("--config DIR or --kubernetes is needed")?;
    let authority = Arc::new(authority(settings.ca_dir.as_deref(), &settings.trust_domain)?);
    let verifier = settings.token_key.as_deref().map(token_verifier).transpose()?;
    if verifier.is_none() {
        tracing::warn!("no --token-key: every proxy will be refused");
    }
    let xds = listen(settings.listen).await?;
    let monitoring = listen(settings.monitoring).await?;

    // Before anything is served: a proxy that comes back must not hear that services are gone.
    let (batches, inbox) = mpsc::channel(BATCHES);
    let context = LowerContext { trust_domain: settings.trust_domain.clone(), ..LowerContext::default() };
    let files = Files::new(&config, context);
    let first = tokio::task::spawn_blocking(move || watch(files, batches)).await?;
    let first = first.with_context(|| format!("--config {}", config.display()))?;
    let hub = Hub::new(&settings.trust_domain, first);

    let (trigger, drain) = drain::channel();
    let proxies = Arc::new(Proxies::default());
    let (_, keys) = watch::channel(Arc::clone(&authority));
    let names = CONTROL_HOSTS.iter().map(ToString::to_string).collect();
    let certificate = Certificate::new(&keys, names)?;
    let (xds_address, monitoring_address) = (xds.local_addr()?, monitoring.local_addr()?);
    let mut tasks = JoinSet::new();
    monitor(monitoring, &hub, &proxies, &Arc::new(Readiness::default()), None, &drain, &mut tasks);
    let auth = Authenticator::new(verifier);
    let parts = Parts { hub: Arc::clone(&hub), proxies, keys, auth, certificate, drain };
    parts.follow(inbox, &mut tasks);
    parts.serve(xds, settings.cert_ttl_max, &mut tasks)?;
    tracing::info!(xds = %xds_address, monitoring = %monitoring_address, config = %config.display(), "leno-control is ready");
    Ok(App { xds: xds_address, monitoring: monitoring_address, hub, authority, trigger, tasks })
}

fn authority(dir: Option<&Path>, trust_domain: &str) -> anyhow::Result<Authority> {
    match dir {
        Some(dir) => {
            let authority = Authority::load(dir, trust_domain);
            authority.with_context(|| format!("cannot use the certificate authority in {}", dir.display()))
        }
        None => {
            tracing::warn!("no --ca-dir: a new root is made in memory; certificates of an earlier run are worthless");
            Ok(Authority::generate(trust_domain)?)
        }
    }
}

fn token_verifier(file: &Path) -> anyhow::Result<TokenVerifier> {
    let context = || format!("--token-key {}", file.display());
    let pem = std::fs::read_to_string(file).with_context(context)?;
    TokenVerifier::from_pem(&pem).with_context(context)
}
