//! `GET /api/v1/topology` and what else needs the control plane's own view beside the window.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Shared, detail, given, lock, now, objects};
use crate::events::{self, Change};
use crate::gather::{Control, fetch};
use crate::model::{DEFAULT_WINDOW, parse_duration};
use crate::objects::{Reader, Source};
use crate::rules::Rules;
use crate::watch::Watch;
use crate::{graph, guard};

/// What the endpoints read.
#[derive(Clone, Debug)]
pub struct Mesh {
    pub(super) window: Shared,
    pub(super) control: Control,
    pub(super) watch: Arc<Watch>,
    dump: Arc<Mutex<Option<Dump>>>,
    /// The objects as they were written.
    pub(super) objects: Reader,
}

/// When it was fetched, and what it was.
type Dump = (Instant, Arc<Value>);

impl Mesh {
    /// Joins what it reads from.
    #[must_use]
    pub fn new(window: Shared, control: Control, objects: Source, watch: Arc<Watch>) -> Self {
        Self { window, control, watch, dump: Arc::default(), objects: Reader::new(objects) }
    }

    /// The control plane's resources, at most [`FRESH`] old; what they were while it does not answer, `null` if it
    /// never did.
    pub(crate) async fn dump(&self) -> Arc<Value> {
        let mut kept = self.dump.lock().await;
        if let Some((at, dump)) = &*kept
            && at.elapsed() < FRESH
        {
            return Arc::clone(dump);
        }
        let fetched = fetch::get(self.control.one(), "/debug/config_dump", PATIENCE).await;
        let parsed = fetched.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok()).map(Arc::new);
        let dump = parsed.or_else(|| kept.take().map(|(_, old)| old)).unwrap_or_default();
        *kept = Some((Instant::now(), Arc::clone(&dump)));
        dump
    }
}

impl Mesh {
    /// GET of JSON from the control plane.
    pub(super) async fn control(&self, path: &str) -> Result<Value, String> {
        let body = fetch::get(self.control.one(), path, PATIENCE).await;
        let body = body.map_err(|e| format!("the control plane at {} does not answer: {e}", self.control.one()))?;
        serde_json::from_slice(&body).map_err(|e| format!("the control plane's answer to {path}: {e}"))
    }
}

/// The routes.
pub fn router(mesh: Mesh) -> Router {
    let near = Router::new()
        .route("/api/v1/objects", get(objects::list))
        .route("/api/v1/object", get(objects::one))
        .layer(middleware::from_fn(guard::near));
    Router::new()
        .merge(near)
        .route("/api/v1/topology", get(topology))
        .route("/api/v1/status", get(status))
        .route("/api/v1/events", get(events))
        .route("/api/v1/rules", get(detail::rules))
        .route("/api/v1/workload", get(detail::workload))
        .route("/api/v1/service", get(detail::service))
        .route("/api/v1/policies", get(detail::policies))
        .with_state(mesh)
}

/// Parameters, all optional.
#[derive(Debug, Deserialize)]
struct Narrowed {
    namespace: Option<String>,
    window: Option<String>,
}

async fn topology(State(mesh): State<Mesh>, Query(parameters): Query<Narrowed>) -> Response {
    let span = match span(&parameters.window) {
        Ok(span) => span,
        Err(error) => return refused(&error),
    };
    let rules = Rules::read(&*mesh.dump().await);
    let graph = graph::graph(&lock(&mesh.window), &rules, given(&parameters.namespace), span, now());
    Json(graph).into_response()
}

/// How leno-viz itself is: what a page says when there is nothing new.
async fn status(State(mesh): State<Mesh>) -> Response {
    let control_lost = mesh.watch.control_lost();
    let window = lock(&mesh.window);
    let proxies = window.proxies().filter(|(_, p)| p.alive).count();
    let last = window.proxies().map(|(_, p)| p.times().1).max();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now_ms": now(),
        "began_ms": window.began(),
        "proxies": proxies,
        "last_ms": last,
        "control_lost_ms": control_lost,
    }))
    .into_response()
}

/// What happened within the window, the latest first.
async fn events(State(mesh): State<Mesh>, Query(parameters): Query<Narrowed>) -> Response {
    let span = match span(&parameters.window) {
        Ok(span) => span,
        Err(error) => return refused(&error),
    };
    let changes = mesh.control("/leno/v1/changes").await.unwrap_or_default();
    let changes: Vec<Change> = serde_json::from_value(changes).unwrap_or_default();
    let mut found: Vec<_> = changes.iter().map(events::of_change).collect();
    found.extend(events::rollouts(&lock(&mesh.window)));
    found.extend(mesh.watch.events());
    let from = now().saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    let namespace = given(&parameters.namespace);
    found.retain(|e| e.at_ms >= from && namespace.is_none_or(|ns| e.namespace == ns));
    found.sort_by_key(|e| std::cmp::Reverse(e.at_ms));
    found.truncate(MOST_EVENTS);
    Json(json!({ "events": found })).into_response()
}

/// The `window` of a question.
fn span(text: &Option<String>) -> Result<Duration, String> {
    let span = given(text).map_or(Ok(DEFAULT_WINDOW), parse_duration).map_err(|e| format!("window: {e}"))?;
    if span < Duration::from_secs(1) {
        return Err("window: at least 1s".to_owned());
    }
    Ok(span)
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

/// Events in one answer.
const MOST_EVENTS: usize = 500;
/// How old the control plane's resources may be.
const FRESH: Duration = Duration::from_secs(2);
/// For one answer of the control plane.
const PATIENCE: Duration = Duration::from_secs(3);
