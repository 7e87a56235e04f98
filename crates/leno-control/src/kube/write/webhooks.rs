//! The API server must trust the webhooks of this revision: their `caBundle` is kept equal to the roots.

use std::fmt::Debug;
use std::pin::pin;

use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::Resource;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{AGAIN, Duties, MANAGER};
use crate::kube::connect::{Delays, words};

/// Writes it wherever it is another.
pub(super) async fn keep(duties: &Duties) {
    let mutating = |c: &MutatingWebhookConfiguration| {
        c.webhooks.iter().flatten().map(|w| (w.name.clone(), w.client_config.clone())).collect()
    };
    let validating = |c: &ValidatingWebhookConfiguration| {
        c.webhooks.iter().flatten().map(|w| (w.name.clone(), w.client_config.clone())).collect()
    };
    tokio::join!(
        keep_one(duties, format!("leno-injector{}", duties.suffix), mutating),
        keep_one(duties, format!("leno-validator{}", duties.suffix), validating),
    );
}

async fn keep_one<K>(duties: &Duties, name: String, webhooks: impl Fn(&K) -> Vec<(String, WebhookClientConfig)>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let api: Api<K> = Api::all(duties.client.clone());
    let mut events = pin!(watch_object(api.clone(), &name).backoff(Delays::default()));
    let mut keys = duties.keys.clone();
    let (mut present, mut failed) = (None, false);
    loop {
        tokio::select! {
            Some(event) = events.next() => match event {
                Ok(configuration) => present = configuration,
                Err(error) => {
                    tracing::warn!(name, error = %words(&error), "the webhook configuration cannot be followed");
                    continue;
                }
            },
            Ok(()) = keys.changed() => {}
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
        let root = ByteString(duties.keys.borrow().roots_pem().into_bytes());
        let wrong = present.as_ref().map(|c| wrong(&webhooks(c), &root)).unwrap_or_default();
        if wrong.is_empty() {
            failed = false;
            continue;
        }
        let entries: Vec<_> =
            wrong.iter().map(|webhook| json!({ "name": webhook, "clientConfig": { "caBundle": root } })).collect();
        // Entries are merged by name: what others wrote of them stays.
        let patch = Patch::Strategic(json!({ "webhooks": entries }));
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(&name, &params, &patch).await {
            Ok(patched) => {
                tracing::info!(name, "the webhooks' caBundle is renewed");
                present = Some(patched);
                failed = false;
            }
            Err(error) => {
                failed = true;
                tracing::warn!(name, error = %words(&error), "the webhooks' caBundle cannot be written");
            }
        }
    }
}

/// Names of webhooks with another bundle. Those that are reached by URL are somebody else's.
pub(in crate::kube) fn wrong(webhooks: &[(String, WebhookClientConfig)], root: &ByteString) -> Vec<String> {
    let ours = webhooks.iter().filter(|(_, client)| client.service.is_some());
    ours.filter(|(_, client)| client.ca_bundle.as_ref() != Some(root)).map(|(name, _)| name.clone()).collect()
}
