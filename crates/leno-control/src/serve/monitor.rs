//! What people and Prometheus ask: metrics, health, connected proxies, objects and their fate. Plain HTTP on 15014.

mod reports;

use std::future::Future;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

use super::proxies::Proxies;
use crate::hub::Hub;

/// What the server reads.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// What is in force.
    pub hub: Arc<Hub>,
    /// Who is connected.
    pub proxies: Arc<Proxies>,
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
            .route("/version", get(|| async { Json(serde_json::json!({ "version": crate::metrics::VERSION })) }))
            .route("/debug/syncz", get(|State(m): State<Self>| async move { Json(reports::syncz(&m)) }))
            .route("/debug/config_dump", get(config_dump))
            .route("/leno/v1/proxies", get(|State(m): State<Self>| async move { Json(reports::proxies(&m)) }))
            .route("/leno/v1/objects", get(objects))
            .with_state(self)
    }
}

async fn metrics(State(monitor): State<Monitor>) -> impl IntoResponse {
    let text = monitor.hub.metrics.render(monitor.proxies.count());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// Always: nothing listens before the configuration has been read.
async fn ready() -> StatusCode {
    StatusCode::OK
}

async fn objects(State(monitor): State<Monitor>, Query(filter): Query<Filter>) -> impl IntoResponse {
    Json(reports::objects(&monitor, &filter))
}

async fn config_dump(State(monitor): State<Monitor>, Query(filter): Query<Filter>) -> impl IntoResponse {
    Json(reports::config_dump(&monitor, &filter))
}
