//! The namespaces, for whoever decides by their labels and annotations: the injector and the leader.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use leno_config::Object;
use leno_install::NamespaceMeta;
use serde_json::Value;
use tokio::sync::watch;

/// A namespace.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    /// Name, labels and annotations.
    pub meta: Arc<NamespaceMeta>,
    /// Whether it is going away: nothing can be made in it any more.
    pub terminating: bool,
}

/// All namespaces as they are now.
#[derive(Debug)]
pub struct Namespaces {
    known: RwLock<BTreeMap<String, Namespace>>,
    changed: watch::Sender<()>,
}

impl Default for Namespaces {
    fn default() -> Self {
        Self { known: RwLock::default(), changed: watch::channel(()).0 }
    }
}

impl Namespaces {
    /// A namespace's labels and annotations.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<NamespaceMeta>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).map(|n| Arc::clone(&n.meta))
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Namespace> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Hears when any changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Takes over a Namespace object.
    pub fn set(&self, object: &Object) {
        let texts = |field: &str| {
            let map = object.json.pointer(field).and_then(Value::as_object);
            let texts = map.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
            texts.collect::<BTreeMap<_, _>>()
        };
        let meta = NamespaceMeta {
            name: object.name.clone(),
            labels: texts("/metadata/labels"),
            annotations: texts("/metadata/annotations"),
        };
        let terminating = object.json.pointer("/status/phase").is_some_and(|p| p == "Terminating");
        let namespace = Namespace { meta: Arc::new(meta), terminating };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(object.name.clone(), namespace);
        self.changed.send_replace(());
    }

    /// Forgets a namespace that is gone.
    pub fn remove(&self, name: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.changed.send_replace(());
    }
}
