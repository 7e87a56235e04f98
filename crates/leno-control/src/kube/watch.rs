//! Follows the kinds of [`KINDS`]: a list, then every change, resumed where it broke off, with growing delays.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::connect::{Delays, words};
use super::feed::{News, Told};
use super::kinds::{KINDS, Kind};
use super::object::seen;

/// A watch that goes on failing says so this often.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// A definition that could not be read is read again after this.
const AGAIN: Duration = Duration::from_secs(2);
/// Name of the `ConfigMap` with the mesh's settings, but for the revision's suffix.
pub const SETTINGS: &str = "leno";

/// Where the settings of this control plane are.
#[derive(Clone, Debug)]
pub struct Home {
    /// The namespace that Leno is installed in.
    pub namespace: String,
    /// Name of the `ConfigMap`.
    pub settings: String,
}

/// Watches everything until dropped; ends when nobody takes the news.
pub async fn everything(client: Client, home: Home, news: mpsc::Sender<News>) {
    let mut watches = JoinSet::new();
    for (at, kind) in KINDS.iter().enumerate().filter(|(_, k)| k.built_in) {
        watches.spawn(follow(client.clone(), home.clone(), at, kind.versions[0], news.clone()));
    }
    watches.spawn(Definitions { client, home, news, running: HashMap::new() }.follow());
    // Each ends only with the receiver.
    watches.join_next().await;
}

/// Watches one kind.
async fn follow(client: Client, home: Home, at: usize, version: &'static str, news: mpsc::Sender<News>) {
    let kind = &KINDS[at];
    let resource = kind.resource(version);
    let (api, config) = scope(client, &home, kind, &resource);
    let mut events = pin!(watcher(api, config).backoff(Delays::default()));
    let mut complaint = Complaint::default();
    while let Some(event) = events.next().await {
        let told = match event {
            Ok(event) => {
                complaint.over();
                told(kind, version, event)
            }
            Err(error) => {
                complaint.about(&format!("{} {version}", kind.kind), &error);
                None
            }
        };
        if let Some(told) = told
            && news.send(News::Kind(at, told)).await.is_err()
        {
            return;
        }
    }
}

fn scope(client: Client, home: &Home, kind: &Kind, resource: &ApiResource) -> (Api<DynamicObject>, watcher::Config) {
    let config = watcher::Config::default();
    match kind.kind {
        "ConfigMap" => {
            let only = config.fields(&format!("metadata.name={}", home.settings));
            (Api::namespaced_with(client, &home.namespace, resource), only)
        }
        // A pod that has ended has no address any more.
        "Pod" => (Api::all_with(client, resource), config.fields("status.phase!=Succeeded,status.phase!=Failed")),
        _ => (Api::all_with(client, resource), config),
    }
}

fn told(kind: &Kind, version: &str, event: Event<DynamicObject>) -> Option<Told> {
    Some(match event {
        Event::Init => Told::Init,
        Event::InitApply(object) => Told::Listed(Box::new(seen(kind, version, object)?)),
        Event::InitDone => Told::InitDone,
        Event::Apply(object) => Told::Applied(Box::new(seen(kind, version, object)?)),
        Event::Delete(object) => {
            Told::Deleted { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
        }
    })
}

/// Says that a watch fails: at once, and again now and then.
#[derive(Debug, Default)]
struct Complaint {
    said: Option<Instant>,
}

impl Complaint {
    fn about(&mut self, what: &str, error: &watcher::Error) {
        // A watch that the server ended for its age is resumed at once.
        let expired = matches!(error, watcher::Error::WatchError(status) if status.code == 410);
        if !expired && self.said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            tracing::warn!(error = %words(error), "cannot follow {what}; trying again");
            self.said = Some(Instant::now());
        }
    }

    fn over(&mut self) {
        self.said = None;
    }
}

/// Follows the definitions, and starts and ends the watches of their kinds.
struct Definitions {
    client: Client,
    home: Home,
    news: mpsc::Sender<News>,
    running: HashMap<usize, (&'static str, JoinHandle<()>)>,
}

impl Definitions {
    async fn follow(mut self) {
        // Of definitions only names: their schemas are large, and most are of others.
        let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(self.client.clone());
        let mut events = pin!(watcher(api, watcher::Config::default()).backoff(Delays::default()));
        let mut complaint = Complaint::default();
        let mut listing = BTreeSet::new();
        // Kinds whose definition has to be read, and whether all are known that there are.
        let (mut unread, mut listed, mut told) = (BTreeSet::new(), false, false);
        loop {
            let event = tokio::select! {
                Some(event) = events.next() => Some(event),
                () = tokio::time::sleep(AGAIN), if !unread.is_empty() => None,
                () = self.news.closed() => return,
            };
            match event {
                None => {}
                Some(Err(error)) => complaint.about("CustomResourceDefinition", &error),
                Some(Ok(Event::Init)) => listing.clear(),
                Some(Ok(Event::InitApply(definition) | Event::Apply(definition))) => {
                    if let Some(at) = Kind::by_definition(&definition.name_any()) {
                        listing.insert(at);
                        unread.insert(at);
                    }
                }
                Some(Ok(Event::InitDone)) => {
                    complaint.over();
                    listed = true;
                    let gone: Vec<usize> = self.running.keys().filter(|at| !listing.contains(at)).copied().collect();
                    for at in gone {
                        self.end(at).await;
                    }
                }
                Some(Ok(Event::Delete(definition))) => {
                    if let Some(at) = Kind::by_definition(&definition.name_any()) {
                        listing.remove(&at);
                        unread.remove(&at);
                        self.end(at).await;
                    }
                }
            }
            if listed {
                self.read(&mut unread).await;
                if unread.is_empty() && !told {
                    told = true;
                    let _ = self.news.send(News::DefinitionsListed).await;
                }
            }
        }
    }

    /// Reads definitions and follows the best version that each serves; what cannot be read stays in `unread`.
    async fn read(&mut self, unread: &mut BTreeSet<usize>) {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &definitions());
        for at in std::mem::take(unread) {
            let kind = &KINDS[at];
            match api.get_opt(&format!("{}.{}", kind.plural, kind.group)).await {
                Ok(Some(definition)) => match kind.served(&definition.data) {
                    Some(version) => self.start(at, version).await,
                    None => tracing::info!(kind = kind.kind, "its definition serves no version that is known here yet"),
                },
                Ok(None) => self.end(at).await,
                Err(error) => {
                    tracing::warn!(kind = kind.kind, error = %words(&error), "its definition cannot be read");
                    unread.insert(at);
                }
            }
        }
    }

    async fn start(&mut self, at: usize, version: &'static str) {
        if self.running.get(&at).is_some_and(|(v, task)| *v == version && !task.is_finished()) {
            return;
        }
        if let Some((_, task)) = self.running.remove(&at) {
            stop(task).await;
        }
        tracing::info!(kind = KINDS[at].kind, version, "following");
        let _ = self.news.send(News::Kind(at, Told::Expect)).await;
        let watch = follow(self.client.clone(), self.home.clone(), at, version, self.news.clone());
        self.running.insert(at, (version, tokio::spawn(watch)));
    }

    async fn end(&mut self, at: usize) {
        if let Some((_, task)) = self.running.remove(&at) {
            stop(task).await;
            tracing::info!(kind = KINDS[at].kind, "its definition is gone");
            let _ = self.news.send(News::Kind(at, Told::Gone)).await;
        }
    }
}

impl Drop for Definitions {
    fn drop(&mut self) {
        self.running.values().for_each(|(_, task)| task.abort());
    }
}

/// Ends a watch; after this it sends nothing more.
async fn stop(task: JoinHandle<()>) {
    task.abort();
    let _ = task.await;
}

fn definitions() -> ApiResource {
    ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    }
}
