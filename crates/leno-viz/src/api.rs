//! The API, JSON: `GET /api/v1/stat`, `/api/v1/edges`, `/api/v1/routes` and more, all described by `/api/v1/openapi.json`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::model::{DEFAULT_WINDOW, Kind, Question, Resource, parse_duration};
use crate::query;
use crate::series;
use crate::window::Window;

mod detail;
pub mod mesh;
mod objects;
pub mod tap;

/// The window as the server and the gatherer share it.
pub type Shared = Arc<Mutex<Window>>;

/// The routes.
pub fn router(window: Shared) -> Router {
    Router::new()
        .route("/api/v1/stat", get(stat))
        .route("/api/v1/edges", get(edges))
        .route("/api/v1/routes", get(routes))
        .route("/api/v1/authz", get(authz))
        .route("/api/v1/series", get(over_time))
        .route("/api/v1/openapi.json", get(crate::openapi::serve))
        .route("/api/v1/healthz", get(healthz))
        // Where the local runtime and Kubernetes look whether a program is ready.
        .route("/healthz/ready", get(healthz))
        .with_state(window)
}

/// Milliseconds since 1970.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn stat(State(window): State<Shared>, Query(parameters): Query<Parameters>) -> Response {
    answer(&parameters, |question| query::stat(&lock(&window), question, now()))
}

async fn edges(State(window): State<Shared>, Query(parameters): Query<Parameters>) -> Response {
    answer(&parameters, |question| query::edges(&lock(&window), question, now()))
}

async fn routes(State(window): State<Shared>, Query(parameters): Query<Parameters>) -> Response {
    answer(&parameters, |question| query::routes(&lock(&window), question, now()))
}

async fn authz(State(window): State<Shared>, Query(parameters): Query<Parameters>) -> Response {
    answer(&parameters, |question| query::authz(&lock(&window), question, now()))
}

async fn over_time(State(window): State<Shared>, Query(parameters): Query<Parameters>) -> Response {
    let detail = given(&parameters.detail).is_some();
    answer(&parameters, |question| series::series(&lock(&window), question, detail, now()))
}

async fn healthz(State(window): State<Shared>) -> Response {
    let window = lock(&window);
    let alive = window.proxies().filter(|(_, p)| p.alive).count();
    let (frames, series) = window.size();
    Json(json!({
        "ready": true,
        "proxies": alive,
        "bytes": { "frames": frames, "series": series },
        "left_out": window.left_out(),
    }))
    .into_response()
}

fn answer<T: serde::Serialize>(parameters: &Parameters, ask: impl FnOnce(&Question) -> T) -> Response {
    match parameters.question() {
        Ok(question) => Json(ask(&question)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response(),
    }
}

/// Parameters as they come; all optional.
#[derive(Debug, Deserialize)]
struct Parameters {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    window: Option<String>,
    from: Option<String>,
    to: Option<String>,
    /// Anything: with percentiles over time.
    detail: Option<String>,
}

impl Parameters {
    /// Checked. An empty value is none, so that forms can be sent as they are.
    fn question(&self) -> Result<Question, String> {
        let resource = |name: &str, text: &Option<String>| match given(text) {
            Some(text) => text.parse::<Resource>().map(Some).map_err(|e| format!("{name}: {e}")),
            None => Ok(None),
        };
        let kind: Kind = given(&self.kind).unwrap_or("deploy").parse().map_err(|e| format!("kind: {e}"))?;
        let window =
            given(&self.window).map_or(Ok(DEFAULT_WINDOW), parse_duration).map_err(|e| format!("window: {e}"))?;
        if window < Duration::from_secs(1) {
            return Err("window: at least 1s".to_owned());
        }
        Ok(Question {
            kind,
            namespace: given(&self.namespace).map(str::to_owned),
            name: given(&self.name).map(str::to_owned),
            window,
            from: resource("from", &self.from)?,
            to: resource("to", &self.to)?,
        })
    }
}

pub(crate) fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|t| !t.is_empty())
}

pub(crate) fn lock(window: &Shared) -> std::sync::MutexGuard<'_, Window> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
