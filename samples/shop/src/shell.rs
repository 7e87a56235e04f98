//! What every HTTP service of this program does: `/healthz`, `/mode`, `/count`, and misbehaving as told.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::mode::{Mode, ModeCell};
use crate::plan::Plan;
use crate::server::{Answer, App, Body, Peer, full};
use crate::units::{Me, pause};

/// The part of a service that is its own.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers a request after the plan's delay; the plan's status is for the handler to send.
    fn answer(&self, request: Request<Incoming>, plan: Plan, peer: Peer) -> impl Future<Output = Answer> + Send;
}

/// A service with the common parts around it.
pub(crate) struct Shell<H> {
    handler: H,
    me: Me,
    mode: ModeCell,
    counts: Mutex<BTreeMap<String, u64>>,
    /// Whether the path asks for behaviour (`/hang`, `/status/503`): a test server's do, a shop's paths are its own.
    knobs: bool,
}

impl<H: Handler> Shell<H> {
    /// A test server: paths ask for behaviour.
    pub(crate) fn with_knobs(handler: H, me: Me) -> Arc<Self> {
        Arc::new(Self { handler, me, mode: ModeCell::default(), counts: Mutex::default(), knobs: true })
    }

    /// A shop's service.
    pub(crate) fn new(handler: H, me: Me) -> Arc<Self> {
        Arc::new(Self { handler, me, mode: ModeCell::default(), counts: Mutex::default(), knobs: false })
    }

    async fn set_mode(&self, request: Request<Incoming>) -> Response<Body> {
        let method = request.method().clone();
        let now = Instant::now();
        if method == Method::DELETE {
            self.mode.set(Mode::default());
        } else if method != Method::GET {
            let body = match Limited::new(request.into_body(), MODE_LIMIT).collect().await {
                Ok(body) => body.to_bytes(),
                Err(error) => return text(StatusCode::BAD_REQUEST, &format!("body: {error}\n")),
            };
            match Mode::read(&body, now) {
                Ok(mode) => self.mode.set(mode),
                Err(error) => return text(StatusCode::BAD_REQUEST, &format!("mode: {error}\n")),
            }
        }
        json_reply(StatusCode::OK, &self.mode.show(now), &self.me)
    }

    fn count(&self, request: &Request<Incoming>) -> Response<Body> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = id(request) {
            let count = counts.get(&format!("?id={id}")).copied().unwrap_or_default();
            return json_reply(StatusCode::OK, &json!({"pod": self.me.pod, "id": id, "count": count}), &self.me);
        }
        if request.method() == Method::DELETE {
            counts.clear();
        }
        let total: u64 = counts.iter().filter(|(key, _)| key.starts_with('/')).map(|(_, n)| n).sum();
        let value = json!({"pod": self.me.pod, "version": self.me.version, "total": total, "paths": *counts});
        drop(counts);
        json_reply(StatusCode::OK, &value, &self.me)
    }

    fn counted(&self, path: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() < PATHS || counts.contains_key(path) {
            *counts.entry(path.to_owned()).or_default() += 1;
        }
    }
}

impl<H: Handler> App for Shell<H> {
    async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Answer {
        let path = request.uri().path();
        match path {
            "/healthz" => {
                let unready = self.mode.get(Instant::now()).unready;
                let status = if unready { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
                return Answer::Reply(text(status, if unready { "unready\n" } else { "ok\n" }));
            }
            "/mode" => return Answer::Reply(self.set_mode(request).await),
            "/count" => return Answer::Reply(self.count(&request)),
            _ => {
                self.counted(path);
                if let Some(id) = id(&request) {
                    self.counted(&format!("?id={id}"));
                }
            }
        }
        let draws = [rand::random(), rand::random()];
        let planned =
            if self.knobs { Plan::read(path, request.uri().query().unwrap_or(""), draws) } else { Ok(Plan::default()) };
        let mode = self.mode.concerning(path, rand::random::<f64>() * 100.0, Instant::now());
        let plan = match planned {
            Ok(plan) => plan.with(mode.as_ref()),
            Err(error) => return Answer::Reply(text(StatusCode::BAD_REQUEST, &format!("{error}\n"))),
        };
        pause(plan.delay).await;
        if plan.reset {
            return Answer::Reset;
        }
        if plan.hang {
            return std::future::pending().await;
        }
        if !self.knobs && plan.status != 200 {
            return Answer::Reply(text(code(plan.status), "told to fail by POST /mode\n"));
        }
        self.handler.answer(request, plan, peer).await
    }
}

/// The query's `id`, by which a test counts the tries of one of its requests.
fn id(request: &Request<Incoming>) -> Option<&str> {
    request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("id="))
}

/// A status that [`Plan`] or [`Mode`] has checked.
pub(crate) fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A plain answer.
pub(crate) fn text(status: StatusCode, body: &str) -> Response<Body> {
    let mut reply = Response::new(full(body.to_owned()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    reply
}

/// A JSON answer that also names its version and pod in headers.
pub(crate) fn json_reply(status: StatusCode, body: &Value, me: &Me) -> Response<Body> {
    let mut reply = Response::new(full(format!("{body}\n")));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [("x-version", &me.version), ("x-pod", &me.pod)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    reply
}

/// Longest body of `POST /mode`, bytes.
const MODE_LIMIT: usize = 64 * 1024;

/// Most paths counted apart, so that a test with random paths does not grow this process without end.
const PATHS: usize = 10_000;
