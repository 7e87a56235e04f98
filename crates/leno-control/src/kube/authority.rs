//! The mesh's authority, kept in a Secret: `cacerts` of Istio's form where somebody made one, else `leno-ca-secret`, which
//! the leader makes. Its key is in memory and in the Secret, nowhere else.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use leno_identity::{Authority, AuthorityError};
use tokio::sync::watch;

use super::connect::{Delays, words};

/// The user's own.
pub const USERS: &str = "cacerts";
/// Leno's own.
pub const OWN: &str = "leno-ca-secret";
/// Type of the own Secret.
const TYPE: &str = "istio.io/ca-root";
/// Between attempts to make the Secret.
const AGAIN: Duration = Duration::from_secs(2);

type Data = BTreeMap<String, ByteString>;
type Watch = Pin<Box<dyn Stream<Item = Result<Option<Secret>, watcher::Error>> + Send>>;

/// Follows the two Secrets.
pub struct Keeper {
    api: Api<Secret>,
    trust_domain: String,
    leads: watch::Receiver<bool>,
    watches: [Watch; 2],
    /// The data of the user's and of the own Secret; the outer `None`: not known yet.
    found: [Option<Option<Data>>; 2],
    /// What is in force.
    present: Option<Data>,
    /// The last data of the own Secret, to restore it when it is deleted.
    own: Option<Data>,
}

impl Keeper {
    /// Begins to follow.
    #[must_use]
    pub fn new(client: Client, namespace: &str, trust_domain: &str, leads: watch::Receiver<bool>) -> Self {
        let api: Api<Secret> = Api::namespaced(client, namespace);
        let follow = |name: &str| -> Watch { Box::pin(watch_object(api.clone(), name).backoff(Delays::default())) };
        let watches = [follow(USERS), follow(OWN)];
        let trust_domain = trust_domain.to_owned();
        Self { api, trust_domain, leads, watches, found: [None, None], present: None, own: None }
    }

    /// The next authority that comes into force. Bad ones are named in the log and leave the last good one in force.
    pub async fn next(&mut self) -> Arc<Authority> {
        loop {
            if let Some(authority) = self.adopt() {
                return Arc::new(authority);
            }
            let none = self.found == [Some(None), Some(None)];
            // A user's authority that vanishes is not replaced by another root under the feet of all proxies.
            if none && *self.leads.borrow() && (self.present.is_none() || self.own.is_some()) {
                self.make().await;
            }
            let [users, own] = &mut self.watches;
            let (at, event) = tokio::select! {
                Some(event) = users.next() => (0, event),
                Some(event) = own.next() => (1, event),
                Ok(()) = self.leads.changed() => continue,
                () = tokio::time::sleep(AGAIN) => continue,
            };
            match event {
                Ok(secret) => {
                    let data = secret.map(|s| s.data.unwrap_or_default());
                    if at == 1 && data.is_some() {
                        self.own.clone_from(&data);
                    }
                    self.found[at] = Some(data);
                }
                Err(error) => tracing::warn!(secret = [USERS, OWN][at], error = %words(&error), "cannot be followed"),
            }
        }
    }

    /// The authority of what was found, where it is another than the one in force.
    fn adopt(&mut self) -> Option<Authority> {
        let [Some(users), Some(own)] = &self.found else { return None };
        let (name, data) = users.as_ref().map(|d| (USERS, d)).or_else(|| own.as_ref().map(|d| (OWN, d)))?;
        if self.present.as_ref() == Some(data) {
            return None;
        }
        let data = data.clone();
        let authority = read(&data, &self.trust_domain);
        self.present = Some(data);
        match authority {
            Ok(authority) => {
                tracing::info!(secret = name, "the authority is in force");
                Some(authority)
            }
            Err(reason) => {
                tracing::error!(secret = name, %reason, "the authority cannot be used; mend the Secret");
                None
            }
        }
    }

    /// Makes the own Secret, or restores it. Whoever comes second leaves it as it is.
    async fn make(&mut self) {
        let data = match &self.own {
            Some(data) => data.clone(),
            None => match generate(&self.trust_domain) {
                Ok(data) => data,
                Err(error) => return tracing::error!(%error, "a new authority cannot be made"),
            },
        };
        let secret = Secret {
            metadata: ObjectMeta { name: Some(OWN.to_owned()), ..ObjectMeta::default() },
            type_: Some(TYPE.to_owned()),
            data: Some(data),
            ..Secret::default()
        };
        match self.api.create(&PostParams::default(), &secret).await {
            Ok(_) => tracing::info!(secret = OWN, "a new authority is made"),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => tracing::error!(secret = OWN, error = %words(&error), "cannot be made"),
        }
    }
}

fn generate(trust_domain: &str) -> Result<Data, AuthorityError> {
    let texts = Authority::generate(trust_domain)?.texts();
    let kept = texts.into_iter().filter(|(_, text)| !text.is_empty());
    Ok(kept.map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes()))).collect())
}

/// The authority that a Secret of Istio's form holds.
pub(super) fn read(data: &Data, trust_domain: &str) -> Result<Authority, String> {
    let text = |name: &str| match data.get(name) {
        None => Err(format!("{name} is missing")),
        Some(ByteString(bytes)) => std::str::from_utf8(bytes).map_err(|_| format!("{name} is not text")),
    };
    let chain = if data.contains_key("cert-chain.pem") { text("cert-chain.pem")? } else { "" };
    Authority::from_pem(trust_domain, text("ca-cert.pem")?, text("ca-key.pem")?, text("root-cert.pem")?, chain)
        .map_err(|e| e.to_string())
}
