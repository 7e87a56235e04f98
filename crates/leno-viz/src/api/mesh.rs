//! `GET /api/v1/topology` and what else needs the control plane's own view beside the window.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Shared, given, lock, now};
use crate::gather::fetch;
use crate::graph;
use crate::model::{DEFAULT_WINDOW, parse_duration};
use crate::rules::Rules;

/// What the endpoints read.
#[derive(Clone, Debug)]
pub struct Mesh {
    window: Shared,
    control: Arc<str>,
    dump: Arc<Mutex<Option<Dump>>>,
}

/// When it was fetched, and what it was.
type Dump = (Instant, Arc<Value>);

impl Mesh {
    /// `control` is `host:port` of the control plane's monitoring port.
    #[must_use]
    pub fn new(window: Shared, control: impl Into<String>) -> Self {
        Self { window, control: control.into().into(), dump: Arc::default() }
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
        let fetched = fetch::get(&self.control, "/debug/config_dump", PATIENCE).await;
        let parsed = fetched.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok()).map(Arc::new);
        let dump = parsed.or_else(|| kept.take().map(|(_, old)| old)).unwrap_or_default();
        *kept = Some((Instant::now(), Arc::clone(&dump)));
        dump
    }
}

/// The routes.
pub fn router(mesh: Mesh) -> Router {
    Router::new().route("/api/v1/topology", get(topology)).with_state(mesh)
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

/// How old the control plane's resources may be.
const FRESH: Duration = Duration::from_secs(2);
/// For one answer of the control plane.
const PATIENCE: Duration = Duration::from_secs(3);
