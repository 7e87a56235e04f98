//! An API server in memory: lists, watches that resume, writes with conflicts, patches by merging.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// The server.
#[derive(Clone, Default)]
pub(super) struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<String, Value>,
    /// `(version, path, type, object)` of all that happened.
    events: Vec<(u64, String, &'static str, Value)>,
    watchers: Vec<(Query, mpsc::UnboundedSender<Bytes>)>,
    calls: Vec<String>,
    review: Value,
    broken: BTreeSet<String>,
    without_status: BTreeSet<String>,
}

/// What a list or a watch asks for.
#[derive(Clone)]
struct Query {
    path: String,
    name: Option<String>,
}

impl Query {
    fn takes(&self, object: &str) -> bool {
        let Some((parent, name)) = object.rsplit_once('/') else { return false };
        let everywhere = || {
            let (before, after) = parent.split_once("/namespaces/")?;
            Some(format!("{before}/{}", after.split_once('/')?.1))
        };
        (parent == self.path || everywhere().as_deref() == Some(&self.path))
            && self.name.as_deref().is_none_or(|n| n == name)
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl Api {
    pub(super) fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                Ok::<_, Infallible>(api.answer(&head.method, &head.uri, body))
            }
        });
        kube::Client::new(service, "default")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Creates or changes an object.
    pub(super) fn set(&self, path: &str, object: Value) {
        self.lock().set(path, object);
    }

    pub(super) fn delete(&self, path: &str) {
        let mut state = self.lock();
        if let Some(object) = state.objects.remove(path) {
            state.tell(path, "DELETED", object);
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(path).cloned()
    }

    /// What a TokenReview answers as its status.
    pub(super) fn review(&self, status: Value) {
        self.lock().review = status;
    }

    /// Paths that answer 500 from now on.
    pub(super) fn breaks(&self, path: &str) {
        self.lock().broken.insert(path.to_owned());
    }

    /// The kind of this plural name has no status of its own.
    pub(super) fn has_no_status(&self, plural: &str) {
        self.lock().without_status.insert(format!("/{plural}/"));
    }

    pub(super) fn mends(&self) {
        self.lock().broken.clear();
    }

    /// How often `METHOD path` was called.
    pub(super) fn calls(&self, call: &str) -> usize {
        self.lock().calls.iter().filter(|c| *c == call).count()
    }

    /// Waits until an object is as wanted.
    pub(super) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..600 {
            if let Some(object) = self.get(path).filter(|o| wanted(o)) {
                return object;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{path}: {:#}", self.get(path).unwrap_or_default());
    }

    fn answer(&self, method: &Method, uri: &http::Uri, body: Value) -> Answer {
        let mut state = self.lock();
        let path = uri.path().to_owned();
        state.calls.push(format!("{method} {path}"));
        if state.broken.contains(&path) {
            return failure(500, "broken on purpose");
        }
        let query = uri.query().unwrap_or_default().replace("%3D", "=");
        let name = query.split('&').find_map(|p| p.strip_prefix("fieldSelector=metadata.name=")).map(str::to_owned);
        let of = |key: &str| query.split('&').find_map(|p| p.strip_prefix(key)).map(str::to_owned);
        let asked = Query { path: path.clone(), name };
        match *method {
            Method::GET if query.contains("watch=true") => {
                let since = of("resourceVersion=").and_then(|v| v.parse().ok()).unwrap_or(0);
                state.watch(asked, since)
            }
            Method::GET => match state.objects.get(&path) {
                Some(object) => success(object),
                None if last_is_name(&path) => not_found(&path),
                None => success(&state.list(&asked)),
            },
            Method::POST if path.ends_with("/tokenreviews") => {
                success(&json!({ "metadata": {}, "spec": body["spec"], "status": state.review }))
            }
            Method::POST => {
                let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
                if state.objects.contains_key(&path) {
                    return failure(409, "it exists");
                }
                success(&state.set(&path, body))
            }
            Method::PUT => match state.objects.get(&path) {
                Some(now) if now["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] => {
                    failure(409, "it was changed")
                }
                _ => success(&state.set(&path, body)),
            },
            Method::PATCH => {
                let (path, is_status) = path.strip_suffix("/status").map_or((&*path, false), |p| (p, true));
                if is_status && state.without_status.iter().any(|plural| path.contains(plural)) {
                    return failure(404, "the server could not find the requested resource");
                }
                let now = state.objects.get(path).cloned();
                if now.is_none() && (is_status || !query.contains("force=true")) {
                    return not_found(path);
                }
                let mut object = now.unwrap_or_default();
                merge(&mut object, &body);
                success(&state.set(path, object))
            }
            _ => failure(405, "not here"),
        }
    }
}

impl State {
    fn set(&mut self, path: &str, mut object: Value) -> Value {
        object["metadata"]["resourceVersion"] = json!((self.version + 1).to_string());
        if let Some((_, name)) = path.rsplit_once('/') {
            object["metadata"]["name"] = json!(name);
        }
        if let Some((namespace, _)) = path.split_once("/namespaces/").and_then(|(_, rest)| rest.split_once('/')) {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let kind = if self.objects.insert(path.to_owned(), object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        self.tell(path, kind, object.clone());
        object
    }

    fn tell(&mut self, path: &str, kind: &'static str, object: Value) {
        self.version += 1;
        self.watchers.retain(|(query, sender)| !query.takes(path) || sender.send(line(kind, &object)).is_ok());
        self.events.push((self.version, path.to_owned(), kind, object));
    }

    fn list(&self, query: &Query) -> Value {
        let items: Vec<&Value> = self.objects.iter().filter(|(path, _)| query.takes(path)).map(|(_, o)| o).collect();
        json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": self.version.to_string() }, "items": items })
    }

    fn watch(&mut self, query: Query, since: u64) -> Answer {
        let (sender, receiver) = mpsc::unbounded_channel();
        for (version, path, kind, object) in &self.events {
            if *version > since && query.takes(path) {
                let _ = sender.send(line(kind, object));
            }
        }
        self.watchers.push((query, sender));
        let frames = UnboundedReceiverStream::new(receiver).map(|b| Ok(http_body::Frame::data(b)));
        Response::new(StreamBody::new(frames).boxed_unsync())
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({ "type": kind, "object": object })))
}

/// Whether a path ends with the name of an object: the number of its parts tells.
fn last_is_name(path: &str) -> bool {
    let parts = path.split('/').count() - if path.starts_with("/apis/") { 2 } else { 1 };
    let namespaced = path.contains("/namespaces/") && parts > 4;
    if namespaced { parts % 2 == 0 } else { parts == 4 }
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        // Lists of named things are merged by name, as strategic patches do.
        (Value::Array(into), Value::Array(patch)) if patch.iter().all(|p| p.get("name").is_some()) => {
            for entry in patch {
                if let Some(same) = into.iter_mut().find(|i| i["name"] == entry["name"]) {
                    merge(same, entry);
                }
            }
        }
        (into, Value::Object(patch)) => {
            *into = json!({});
            merge(into, &Value::Object(patch.clone()));
        }
        (into, patch) => *into = patch.clone(),
    }
}

fn success(object: &Value) -> Answer {
    Response::new(Full::new(Bytes::from(object.to_string())).boxed_unsync())
}

fn not_found(path: &str) -> Answer {
    failure(404, &format!("\"{}\" not found", path.rsplit('/').next().unwrap_or_default()))
}

fn failure(code: u16, message: &str) -> Answer {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code });
    let mut answer = success(&status);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}
