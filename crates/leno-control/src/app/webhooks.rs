//! The webhooks of a control plane in a cluster: their server, and the settings that they go by as they change.

use std::sync::Arc;

use leno_config::LowerContext;
use leno_install::InjectSettings;
use leno_kit::Drain;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Tasks;
use crate::boot::ClusterSettings;
use crate::kube::namespaces::Namespaces;
use crate::serve::tls::Certificate;
use crate::webhook::{self, Counters, Injector};

/// What the webhooks decide by.
pub(super) struct Inputs {
    /// What namespaces say.
    pub(super) namespaces: Arc<Namespaces>,
    /// Key `values` of the `ConfigMap` of this revision.
    pub(super) values: watch::Receiver<String>,
    /// How objects are read.
    pub(super) context: LowerContext,
    /// What is counted.
    pub(super) counters: Arc<Counters>,
}

/// Serves the webhooks on `listener`, and follows their settings.
///
/// # Errors
/// When the certificate cannot be used.
pub(super) fn serve(
    listener: TcpListener,
    inputs: Inputs,
    cluster: &ClusterSettings,
    certificate: &Arc<Certificate>,
    drain: &Drain,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let Inputs { namespaces, mut values, context, counters } = inputs;
    let fallback = InjectSettings {
        control_address: leno_install::inject::settings::control_address(&cluster.namespace, &cluster.revision),
        revision: cluster.revision.clone(),
        ..InjectSettings::default()
    };
    let first = settings(&values.borrow_and_update(), &fallback);
    let injector = Injector::new(first.unwrap_or(fallback.clone()), context, move |name| namespaces.get(name));
    let injector = Arc::new(injector.counted_by(counters));
    let tls = certificate.server(&[b"h2", b"http/1.1"])?;
    let (serving, end) = (webhook::serve(listener, tls, Arc::clone(&injector), drain.clone()), drain.clone());
    tasks.spawn(async move {
        serving.await;
        Ok(())
    });
    tasks.spawn(async move {
        tokio::select! {
            () = follow(values, &injector, &fallback) => anyhow::bail!("the injector's settings are not followed any more"),
            () = end.started() => Ok(()),
        }
    });
    Ok(())
}

async fn follow(mut values: watch::Receiver<String>, injector: &Injector, fallback: &InjectSettings) {
    while values.changed().await.is_ok() {
        let next = settings(&values.borrow_and_update(), fallback);
        if let Some(next) = next {
            injector.set(next);
            tracing::info!("the injector has new settings");
        }
    }
}

/// None where the text cannot be used: what is in force stays.
fn settings(text: &str, fallback: &InjectSettings) -> Option<InjectSettings> {
    if text.trim().is_empty() {
        return Some(fallback.clone());
    }
    match InjectSettings::from_yaml(text) {
        Ok(settings) => Some(settings),
        Err(error) => {
            tracing::error!(
                error,
                "key `values` of the injector's ConfigMap cannot be read: the settings in force stay"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::settings;
    use leno_install::InjectSettings;

    #[test]
    fn settings_that_cannot_be_read_change_nothing() {
        let fallback = InjectSettings { revision: "canary".into(), ..InjectSettings::default() };
        assert_eq!(settings("", &fallback).map(|s| s.revision), Some("canary".to_owned()));
        assert_eq!(settings("certTtl: 1h\n", &fallback).map(|s| s.cert_ttl), Some("1h".to_owned()));
        assert!(settings("certTTL: 1h\n", &fallback).is_none());
    }
}
