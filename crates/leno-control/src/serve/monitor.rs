//! What people and Prometheus ask: metrics, health, connected proxies, objects and their fate. Plain HTTP on 15014.

mod reports;

pub(crate) use reports::live_of;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

use super::proxies::Proxies;
use crate::hub::Hub;
use crate::webhook::Counters;

/// What the server reads.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// What is in force.
    pub hub: Arc<Hub>,
    /// Who is connected.
    pub proxies: Arc<Proxies>,
    /// Whether the control plane can serve.
    pub ready: Arc<Readiness>,
    /// What the webhooks did, where there are any.
    pub webhooks: Option<Arc<Counters>>,
}

/// Whether the control plane can serve, and what it waits for where it cannot.
#[derive(Debug, Default)]
pub struct Readiness {
    waits_for: Mutex<Option<String>>,
}

impl Readiness {
    /// It waits for this.
    pub fn wait_for(&self, what: impl Into<String>) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.into());
    }

    /// It can serve.
    pub fn set(&self) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What it waits for; `None` when it can serve.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Narrows a report down.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filter {
    /// Kind of object or resource.
    kind: Option<String>,
    /// Namespace.
    namespace: Option<String>,
    /// Name of an object, or key of a resource.
    name: Option<String>,
}

impl Filter {
    fn takes(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w.eq_ignore_ascii_case(is));
        fits(&self.kind, kind) && fits(&self.namespace, namespace) && fits(&self.name, name)
    }
}

impl Monitor {
    /// Serves until `end`.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(end).await
    }

    fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz/ready", get(ready))
            .route("/ready", get(ready))
            .route("/healthz/live", get(|| async { StatusCode::OK }))
            .route("/version", get(|| async { Json(serde_json::json!({ "version": crate::metrics::VERSION })) }))
            .route("/debug/syncz", get(|State(m): State<Self>| async move { Json(reports::syncz(&m)) }))
            .route("/debug/config_dump", get(config_dump))
            .route("/leno/v1/proxies", get(|State(m): State<Self>| async move { Json(reports::proxies(&m)) }))
            .route("/leno/v1/objects", get(objects))
            .route("/leno/v1/changes", get(|State(m): State<Self>| async move { Json(m.hub.history.all()) }))
            .with_state(self)
    }
}

async fn metrics(State(monitor): State<Monitor>) -> impl IntoResponse {
    let mut text = monitor.hub.metrics.render(monitor.proxies.count());
    if let Some(webhooks) = &monitor.webhooks {
        text.push_str(&webhooks.render());
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn ready(State(monitor): State<Monitor>) -> (StatusCode, String) {
    match monitor.ready.waits_for() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {what}\n")),
    }
}

async fn objects(State(monitor): State<Monitor>, Query(filter): Query<Filter>) -> impl IntoResponse {
    Json(reports::objects(&monitor, &filter))
}

async fn config_dump(State(monitor): State<Monitor>, Query(filter): Query<Filter>) -> impl IntoResponse {
    Json(reports::config_dump(&monitor, &filter))
}
