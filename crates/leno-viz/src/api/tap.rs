//! `GET /api/v1/tap`: requests as they end, a line of JSON each, until the reader goes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::given;
use super::mesh::Mesh;
use crate::guard;
use crate::identity::Identity;
use crate::model::{Kind, Resource, parse_duration};
use crate::rules::Rules;
use crate::tap::follow::{Ask, Places, follow};
use crate::tap::pick::Subject;
use crate::tap::{DEFAULT_PACE, Filter};

#[derive(Clone, Debug)]
struct Tap {
    mesh: Mesh,
    places: Places,
    readers: Arc<Semaphore>,
}

/// The route, for the pod's own loopback only: what requests hold is for those whom the API server let through.
pub fn router(mesh: Mesh, identity: Identity) -> Router {
    let places =
        Places { window: Arc::clone(&mesh.window), control: mesh.control.clone(), identity: Arc::new(identity) };
    let tap = Tap { mesh, places, readers: Arc::new(Semaphore::new(READERS)) };
    Router::new().route("/api/v1/tap", get(serve)).layer(middleware::from_fn(guard::near)).with_state(tap)
}

async fn serve(State(tap): State<Tap>, Query(parameters): Query<Parameters>) -> Response {
    let refused = |status: StatusCode, why: String| (status, Json(json!({ "error": why }))).into_response();
    let ask = match parameters.ask() {
        Ok(ask) => ask,
        Err(why) => return refused(StatusCode::BAD_REQUEST, why),
    };
    let Ok(place) = Arc::clone(&tap.readers).try_acquire_owned() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, format!("{READERS} taps are open, which is all there may be"));
    };
    if let Err(why) = tap.places.identity.client().await {
        return refused(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    let (lines, received) = mpsc::channel(LINES);
    tokio::spawn(async move {
        let mesh = tap.mesh;
        let rules = || async { Rules::read(&*mesh.dump().await) };
        follow(tap.places, ask, lines, rules).await;
        drop(place);
    });
    let stream = futures::stream::unfold(received, |mut received| async {
        received.recv().await.map(|text| (Ok::<String, Infallible>(text), received))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], Body::from_stream(stream))
        .into_response()
}

/// Parameters as they come; all optional, an empty one is none.
#[derive(Debug, Default, Deserialize)]
struct Parameters {
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    from: Option<String>,
    to: Option<String>,
    method: Option<String>,
    path: Option<String>,
    authority: Option<String>,
    status: Option<String>,
    min_latency: Option<String>,
    max_rps: Option<String>,
    headers: Option<String>,
}

impl Parameters {
    fn ask(&self) -> Result<Ask, String> {
        let owned = |text: &Option<String>| given(text).map(str::to_owned);
        let subject = Subject {
            kind: parsed::<Kind>("kind", &self.kind)?,
            name: owned(&self.name),
            namespace: owned(&self.namespace),
        };
        if subject.kind == Some(Kind::Service) {
            return Err("kind: a service has no sidecar: ask for what goes to it, `to=svc/NAME`".to_owned());
        }
        let min_latency = given(&self.min_latency).map(parse_duration).transpose();
        Ok(Ask {
            filter: Filter {
                from: parsed::<Resource>("from", &self.from)?,
                to: parsed::<Resource>("to", &self.to)?,
                namespace: owned(&self.namespace),
                method: owned(&self.method),
                path: owned(&self.path),
                authority: owned(&self.authority),
                status: parsed("status", &self.status)?,
                min_latency: min_latency.map_err(|e| format!("min_latency: {e}"))?,
            },
            subject,
            max_rps: parsed::<u32>("max_rps", &self.max_rps)?.unwrap_or(DEFAULT_PACE).min(MOST_PACE),
            headers: given(&self.headers).is_some_and(|h| h != "0"),
        })
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &Option<String>,
) -> Result<Option<T>, String> {
    given(text).map(str::parse).transpose().map_err(|e: T::Err| format!("{name}: {e}"))
}

/// Taps at a time.
const READERS: usize = 8;
/// Requests a second in one tap at most, whatever is asked for.
const MOST_PACE: u32 = 1000;
/// Batches that wait for a slow reader; then the sidecars are asked less often.
const LINES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked_and_named() {
        let with = |change: fn(&mut Parameters)| {
            let mut parameters = Parameters::default();
            change(&mut parameters);
            parameters.ask()
        };
        assert!(with(|p| p.status = Some("7xx".to_owned())).is_err_and(|e| e.starts_with("status: `7xx`")));
        assert!(with(|p| p.to = Some("web".to_owned())).is_err_and(|e| e.starts_with("to: ")));
        assert!(with(|p| p.min_latency = Some("x".to_owned())).is_err_and(|e| e.starts_with("min_latency: ")));
        assert!(with(|p| p.kind = Some("svc".to_owned())).is_err_and(|e| e.contains("to=svc/NAME")));
        let ask = with(|p| (p.max_rps, p.headers) = (Some("1000000".to_owned()), Some("1".to_owned()))).unwrap();
        assert_eq!((ask.max_rps, ask.headers), (MOST_PACE, true));
        let ask = with(|p| p.from = Some(String::new())).unwrap();
        assert_eq!((ask.max_rps, ask.headers, ask.filter), (DEFAULT_PACE, false, Filter::default()));
    }
}
