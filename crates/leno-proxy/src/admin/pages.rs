//! What is served where.

use std::time::SystemTime;

use http::{Method, Response, StatusCode, header};
use leno_core::merge::telemetry::reporting;
use serde_json::{Value, json};

use super::body::Body;
use super::clusters;
use super::server::Ask;
use crate::App;
use crate::discovery::Lookup;
use crate::probe;
use crate::telemetry::time::Utc;
use crate::telemetry::{Exposition, resident_bytes};

/// 15000, on loopback.
pub(super) async fn admin(app: &App, ask: &Ask) -> Response<Body> {
    match (ask.path.as_str(), &ask.method) {
        ("/" | "/help", &Method::GET | &Method::HEAD) => text(StatusCode::OK, HELP),
        ("/quitquitquit", &Method::POST) => quit(app),
        ("/logging", &Method::POST) => set_log(app, ask),
        ("/quitquitquit", _) => only("POST"),
        // A GET that changes something could come from any page that a browser on this machine shows.
        ("/logging", _) if ask.query("level").is_some() => only("POST"),
        (_, &Method::GET | &Method::HEAD) => match ask.path.as_str() {
            "/config_dump" => as_json(&config_dump(app)),
            "/certs" => as_json(&certs(app)),
            "/clusters" if ask.query("format") == Some("json") => as_json(&clusters::json(app)),
            "/clusters" => text(StatusCode::OK, clusters::text(app)),
            "/stats" | "/stats/prometheus" => stats(app, ask),
            "/samples" => samples(app),
            "/leno/v1/tap" => tap(app, ask),
            "/leno/v1/failures" => as_json(&serde_json::to_value(app.telemetry.failures()).unwrap_or_default()),
            "/leno/v1/why" => why(app, ask).await,
            "/logging" => text(StatusCode::OK, format!("active loggers:\n  {}\n", app.log.get())),
            "/ready" => ready(app),
            "/server_info" => as_json(&server_info(app)),
            "/memory" => as_json(&json!({ "resident_bytes": resident_bytes() })),
            _ => not_found(),
        },
        _ => only("GET"),
    }
}

/// 15020.
pub(super) async fn status(app: &App, ask: &Ask) -> Response<Body> {
    if probe::is_path(&ask.path) && matches!(ask.method, Method::GET | Method::HEAD) {
        return app_health(app, ask).await;
    }
    match (ask.path.as_str(), &ask.method) {
        ("/quitquitquit", &Method::POST) if ask.peer.ip().to_canonical().is_loopback() => quit(app),
        ("/quitquitquit", &Method::POST) => {
            text(StatusCode::FORBIDDEN, "only from inside of the pod, by its loopback address\n")
        }
        ("/quitquitquit", _) => only("POST"),
        ("/healthz/ready", &Method::GET | &Method::HEAD) => ready(app),
        ("/stats/prometheus" | "/metrics", &Method::GET | &Method::HEAD) => merged(app, ask).await,
        ("/leno/v1/samples", &Method::GET | &Method::HEAD) => samples(app),
        ("/leno/v1/state", &Method::GET | &Method::HEAD) => as_json(&short_state(app)),
        ("/leno/v1/tap", &Method::GET | &Method::HEAD) if ask.caller.as_ref() == Some(&app.settings.viz) => {
            tap(app, ask)
        }
        ("/leno/v1/tap", &Method::GET | &Method::HEAD) => {
            let who = ask.caller.as_ref().map_or_else(|| "nobody by mutual TLS".to_owned(), ToString::to_string);
            text(StatusCode::FORBIDDEN, format!("only {} may tap here, and you are {who}\n", app.settings.viz))
        }
        (_, &Method::GET | &Method::HEAD) => not_found(),
        _ => only("GET"),
    }
}

/// How the application is: the status of its own answer, in our words. Nothing else of it gets out here.
async fn app_health(app: &App, ask: &Ask) -> Response<Body> {
    let Some(probe) = app.settings.app_probes.at(&ask.path) else {
        return text(StatusCode::NOT_FOUND, "the pod declares no such probe\n");
    };
    let Some(pod) = app.settings.instance_ips.first() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the pod has no address\n");
    };
    let from = probe::Origin { pod: *pod, mark: app.settings.socket_mark };
    let verdict = probe.ask(from, ask.agent.as_ref()).await;
    if verdict.status.is_success() {
        return text(StatusCode::OK, "");
    }
    tracing::debug!(path = ask.path, status = verdict.status.as_u16(), "a probe is not well: {}", verdict.why);
    text(verdict.status, format!("{}\n", verdict.why))
}

/// 15021.
pub(super) fn health(app: &App, ask: &Ask) -> Response<Body> {
    match (ask.path.as_str(), &ask.method) {
        ("/healthz/ready", &Method::GET | &Method::HEAD) => ready(app),
        (_, &Method::GET | &Method::HEAD) => not_found(),
        _ => only("GET"),
    }
}

/// 15090.
pub(super) fn metrics(app: &App, ask: &Ask) -> Response<Body> {
    match (ask.path.as_str(), &ask.method) {
        ("/stats/prometheus" | "/metrics", &Method::GET | &Method::HEAD) => stats(app, ask),
        (_, &Method::GET | &Method::HEAD) => not_found(),
        _ => only("GET"),
    }
}

/// Envoy's states.
enum State {
    Live,
    /// Why traffic cannot be judged yet.
    Initializing(String),
    Draining,
}

impl State {
    fn of(app: &App) -> Self {
        if app.drain.is_draining() {
            return Self::Draining;
        }
        if !app.identity.is_ready() {
            let why = app.identity.problem();
            return Self::Initializing(format!(
                "no certificate yet{}",
                why.map(|w| format!(": {w}")).unwrap_or_default()
            ));
        }
        if !app.discovery.is_ready() {
            let why = app.discovery.summary().disconnected;
            return Self::Initializing(format!(
                "no configuration yet{}",
                why.map(|w| format!(": {w}")).unwrap_or_default()
            ));
        }
        Self::Live
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Initializing(_) => "INITIALIZING",
            Self::Draining => "DRAINING",
        }
    }
}

fn ready(app: &App) -> Response<Body> {
    match State::of(app) {
        State::Live => text(StatusCode::OK, "LIVE\n"),
        State::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "DRAINING\n"),
        State::Initializing(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("INITIALIZING: {why}\n")),
    }
}

/// What ended since the number asked for. Only on loopback and for leno-viz: paths are nobody else's business.
fn tap(app: &App, ask: &Ask) -> Response<Body> {
    let from = match ask.query("from").map(str::parse) {
        None => None,
        Some(Ok(from)) => Some(from),
        Some(Err(_)) => return text(StatusCode::BAD_REQUEST, "from: a number, as `next` of the last answer\n"),
    };
    let taps = app.telemetry.tap(from, ask.query("headers") == Some("1"));
    // Not for people, and much: without the layout of the other pages.
    response(StatusCode::OK, JSON, Body::from(serde_json::to_vec(&taps).unwrap_or_default()))
}

/// What would become of a request. Only here, on loopback: policies are nobody else's business.
async fn why(app: &App, ask: &Ask) -> Response<Body> {
    match crate::why::answer(app, ask.query("asked"), ask.query("arriving")).await {
        Ok(value) => as_json(&value),
        Err(problem) => text(StatusCode::BAD_REQUEST, problem),
    }
}

fn server_info(app: &App) -> Value {
    let settings = &app.settings;
    let uptime = app.started.elapsed().unwrap_or_default();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": State::of(app).name(),
        "uptime_all_epochs": format!("{}s", uptime.as_secs()),
        "started": Utc(app.started).to_string(),
        "node": {
            "id": format!("{}.{}", settings.pod_name, settings.pod_namespace),
            "addresses": settings.instance_ips,
            "identity": settings.identity().to_string(),
        },
        "control_plane": settings.control_address,
        "workers": settings.workers,
        "resident_bytes": resident_bytes(),
    })
}

/// Everything that this proxy decides by, each part with the name of its resource.
fn config_dump(app: &App) -> Value {
    let own = app.discovery.own();
    let summary = app.discovery.summary();
    let addresses: Vec<_> = summary
        .addresses
        .iter()
        .map(|(ip, lookup)| json!({ "ip": ip, "state": state(lookup), "address": found(lookup) }))
        .collect();
    let services: Vec<_> = summary
        .services
        .iter()
        .map(|(id, lookup)| {
            let view = found(lookup);
            json!({
                "service": id.to_string(),
                "state": state(lookup),
                "generation": view.map(|v| v.generation),
                "definition": view.map(|v| &v.service),
                "endpoints": view.map(|v| &v.endpoints.endpoints),
                "routes": view.and_then(|v| v.routes.as_ref()),
                "destinationRule": view.and_then(|v| v.rule.as_ref()),
            })
        })
        .collect();
    let refused: Vec<_> =
        summary.refused.iter().map(|(name, why)| json!({ "resource": name.to_string(), "reason": why })).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "node": format!("{}.{}", app.settings.pod_name, app.settings.pod_namespace),
        "controlPlane": {
            "address": app.settings.control_address,
            "connected": summary.disconnected.is_none(),
            "problem": summary.disconnected,
        },
        "own": {
            "complete": own.complete,
            "generation": own.generation,
            "workload": own.workload,
            "ports": own.ports,
            "policies": own.policies,
            "rootPolicies": own.root_policies,
            "mesh": own.mesh,
            "reporting": reporting(&[&*own.policies, &*own.root_policies], &own.viewer, &own.mesh),
        },
        "addresses": addresses,
        "services": services,
        "refused": refused,
    })
}

const fn found<T>(lookup: &Lookup<T>) -> Option<&T> {
    match lookup {
        Lookup::Found(value) => Some(value),
        Lookup::Absent | Lookup::Unavailable => None,
    }
}

fn state<T>(lookup: &Lookup<T>) -> &'static str {
    match lookup {
        Lookup::Found(_) => "found",
        Lookup::Absent => "absent",
        Lookup::Unavailable => "unavailable",
    }
}

/// The certificate and the roots; keys are shown to nobody.
fn certs(app: &App) -> Value {
    let now = SystemTime::now();
    let certificates: Vec<_> = app
        .identity
        .svid()
        .iter()
        .map(|svid| {
            json!({
                "identity": svid.id,
                "serial": svid.serial,
                "valid_from": Utc(svid.not_before).to_string(),
                "expiration_time": Utc(svid.not_after).to_string(),
                "expires_in_seconds": svid.not_after.duration_since(now).unwrap_or_default().as_secs(),
                "expired": svid.expired(now),
                "issued": Utc(svid.issued).to_string(),
                "chain_length": svid.chain().len(),
            })
        })
        .collect();
    let roots = app.identity.roots();
    json!({
        "certificates": certificates,
        "roots": roots.map(|r| json!({
            "count": r.certs().len(),
            "first_expiry": r.first_expiry().map(|t| Utc(t).to_string()),
            "pem": r.pem(),
        })),
        "problem": app.identity.problem(),
    })
}

/// What the dashboard follows: how long the certificate holds, and which endpoints outlier detection has ejected. Nothing
/// that is not also visible from outside.
fn short_state(app: &App) -> Value {
    let millis = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    };
    let certificate = app.identity.svid().map(|svid| {
        json!({
            "identity": svid.id,
            "serial": svid.serial,
            "issued_ms": millis(svid.issued),
            "not_after_ms": millis(svid.not_after),
        })
    });
    json!({ "certificate": certificate, "problem": app.identity.problem(), "ejected": clusters::ejected(app) })
}

/// The proxy's metrics and the application's own. The latter are fetched first, so that a scraper is told in the same
/// breath whether they are there.
async fn merged(app: &App, ask: &Ask) -> Response<Body> {
    let (Some(own), Some(pod)) = (&app.settings.app_metrics, app.settings.instance_ips.first()) else {
        return stats(app, ask);
    };
    let (up, text) = match own.fetch(*pod, app.settings.socket_mark).await {
        Ok(text) => (1, text),
        Err(why) => {
            tracing::debug!("the application's metrics are not there: {why}");
            (0, String::new())
        }
    };
    let state = format!(
        "# HELP leno_app_metrics_up Whether the application's own metrics were fetched.\n\
         # TYPE leno_app_metrics_up gauge\nleno_app_metrics_up {up}\n"
    );
    // One text can have one form only, and both may name families of the process: the application's are shown here, the
    // proxy's on 15090.
    let proxy = app.telemetry.exposition_beside(Exposition::Text);
    let pieces = proxy.chain([state, text]);
    response(StatusCode::OK, Exposition::Text.content_type(), Body::Pieces(Box::new(pieces)))
}

/// Made as it is sent: it may be long, and the data path shares the thread.
fn stats(app: &App, ask: &Ask) -> Response<Body> {
    let form = Exposition::wanted(ask.accept.as_ref().and_then(|a| a.to_str().ok()).unwrap_or_default());
    response(StatusCode::OK, form.content_type(), Body::Pieces(Box::new(app.telemetry.exposition(form))))
}

fn samples(app: &App) -> Response<Body> {
    response(StatusCode::OK, JSON, Body::Pieces(Box::new(app.telemetry.samples_json())))
}

fn set_log(app: &App, ask: &Ask) -> Response<Body> {
    let Some(level) = ask.query("level").or_else(|| ask.query("paths")) else {
        return text(StatusCode::BAD_REQUEST, "usage: POST /logging?level=debug or ?level=info,leno_proxy=debug\n");
    };
    match app.log.set(level) {
        Ok(()) => text(StatusCode::OK, format!("active loggers:\n  {}\n", app.log.get())),
        Err(e) => text(StatusCode::BAD_REQUEST, format!("{e}\n")),
    }
}

fn quit(app: &App) -> Response<Body> {
    tracing::info!("asked to end by /quitquitquit");
    app.quit.ask();
    text(StatusCode::OK, "OK\n")
}

fn only(method: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("use {method}\n"));
    response.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static(method));
    response
}

fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "not here; /help on 15000 lists what there is\n")
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    response(status, "text/plain; charset=utf-8", Body::from(text.into()))
}

fn as_json(value: &Value) -> Response<Body> {
    response(StatusCode::OK, JSON, Body::from(format!("{value:#}\n")))
}

fn response(status: StatusCode, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache"));
    response
}

const JSON: &str = "application/json";
const HELP: &str = "\
admin of leno-proxy
  /certs             certificate and roots in use
  /clusters          endpoints of the services in use (?format=json)
  /config_dump       everything this proxy decides by
  /help              this
  /leno/v1/failures  requests and connections that failed lately
  /leno/v1/tap       requests as they end; ?from=N with `next` of the last answer, &headers=1 with headers
  /leno/v1/why       what would become of a request: ?asked= or ?arriving=, as `leno why` asks
  /logging           the log's filter; POST ?level=debug or ?level=info,leno_proxy=debug changes it
  /memory            resident memory
  /quitquitquit      POST: drain and end
  /ready             200 when it has a certificate and configuration
  /samples           what the live window is told
  /server_info       version, state, identity
  /stats             metrics (also /stats/prometheus)
";
