//! The description against real answers, field by field.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use leno_core::id::{Direction, ServiceId};
use leno_core::samples::{PeerLabels, RequestLabels, RequestSample, Samples};
use leno_core::sketch::Sketch;
use leno_core::tap::Tapped;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{PATHS, document};
use crate::api::{self, now};
use crate::gather::Control;
use crate::identity::Identity;
use crate::objects::Source;
use crate::rules::RuleRef;
use crate::tap::follow::{Problem, State, Told};
use crate::watch::Watch;
use crate::window::Window;

#[tokio::test]
async fn answers_are_as_described() {
    let api = serve_all().await;
    let document = ask(api, "/api/v1/openapi.json").await;
    assert_eq!(document, super::document());
    for path in PATHS {
        if matches!(path.at, "/api/v1/tap" | "/api/v1/object") {
            continue;
        }
        let answer = ask(api, &format!("{}?kind=deploy&namespace=shop&name=web&window=5m&detail=1", path.at)).await;
        let problems = check_as(path.gives, &answer, &document);
        assert!(problems.is_empty(), "{}: {problems:#?}\n{answer:#}", path.at);
    }
    // What has rows is not checked by empty ones.
    for at in [
        "stat?kind=deploy",
        "edges?kind=deploy",
        "routes?kind=svc",
        "authz?kind=deploy",
        "series?kind=deploy&window=5m",
    ] {
        let answer = ask(api, &format!("/api/v1/{at}")).await;
        assert!(answer["rows"].as_array().is_some_and(|rows| !rows.is_empty()), "{at}: {answer:#}");
    }
    let graph = ask(api, "/api/v1/topology").await;
    assert!(graph["edges"].as_array().is_some_and(|e| e.iter().any(|e| e["failures"] != json!([]))), "{graph:#}");
    let wrong = ask(api, "/api/v1/stat?kind=gateway").await;
    assert!(check_as("Error", &wrong, &document).is_empty(), "{wrong}");
}

#[test]
fn a_taps_lines_are_as_described() {
    let rule = RuleRef {
        kind: "VirtualService".to_owned(),
        namespace: "shop".to_owned(),
        name: "reviews".to_owned(),
        path: "spec.http[0]".to_owned(),
    };
    let pair = || vec![("accept".to_owned(), "*/*".to_owned())];
    let request = Tapped { request_headers: pair(), response_headers: pair(), grpc: Some(14), ..Tapped::default() };
    let problem = Problem { namespace: "shop".to_owned(), pod: "web-1".to_owned(), why: "gone".to_owned() };
    for line in [
        serde_json::to_value(Told { request: &request, rule: Some(&rule) }).unwrap(),
        serde_json::to_value(Told { request: &Tapped::default(), rule: None }).unwrap(),
        json!({ "tap": State { problems: vec![problem], ..State::default() } }),
    ] {
        let problems = check_as("TapLine", &line, &document());
        assert!(problems.is_empty(), "{problems:#?}\n{line:#}");
    }
}

#[test]
fn what_differs_is_found() {
    let of = |value: &Value| check_as("Meshed", value, &document());
    assert!(of(&json!({"meshed": 1, "total": null})).is_empty());
    assert_eq!(of(&json!({"meshed": 1})), ["Meshed: total is missing"]);
    assert_eq!(of(&json!({"meshed": 1, "total": 2, "more": 3})), ["Meshed: more is not described"]);
    assert_eq!(of(&json!({"meshed": "1", "total": 2})).len(), 1);
}

/// The API over a mesh of one workload that is asked, asks and fails, and a control plane that knows little.
async fn serve_all() -> SocketAddr {
    let started = now() - 60_000;
    let mut window = Window::new(Duration::from_secs(1800), started);
    for step in 1..=11 {
        window.record(samples(started + 1, step * 10), started + step * 5000);
    }
    let window = Arc::new(Mutex::new(window));
    let control = Router::new()
        .route("/debug/config_dump", get(|| async { axum::Json(json!({"Mesh": [{"value": {"root_namespace": "istio-system"}}]})) }))
        .route("/leno/v1/proxies", get(|| async { axum::Json(json!([])) }))
        .route("/leno/v1/objects", get(|| async { axum::Json(json!([])) }))
        .route("/leno/v1/changes", get(|| async {
            let change = json!({"at_ms": now(), "kind": "VirtualService", "namespace": "shop", "name": "web", "what": "changed"});
            axum::Json(json!([change]))
        }));
    let control = Control::new(serve(control).await.to_string());
    let folder = std::env::temp_dir().join(format!("leno-openapi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mesh =
        api::mesh::Mesh::new(Arc::clone(&window), control, Source::Folders(vec![folder]), Arc::new(Watch::default()));
    serve(api::router(window).merge(api::tap::router(mesh.clone(), Identity::new(None))).merge(api::mesh::router(mesh)))
        .await
}

fn samples(started_ms: u64, count: u64) -> Samples {
    let peer = |name: &str| PeerLabels {
        namespace: "shop".to_owned(),
        workload: name.to_owned(),
        kind: "deployment".to_owned(),
        pod: format!("{name}-1"),
        principal: format!("spiffe://cluster.local/ns/shop/sa/{name}"),
    };
    let sample = |direction, (from, to): (&str, &str), status| {
        let mut sketch = Sketch::new();
        (0..count).for_each(|n| sketch.record(Duration::from_millis(5 + n % 7)));
        let labels = RequestLabels {
            direction,
            source: peer(from),
            destination: peer(to),
            service: Some(ServiceId::new("shop", to)),
            route: "main".to_owned(),
            mtls: true,
            status,
            grpc: None,
            reason: if status == 504 { "timeout" } else { "answered" }.to_owned(),
            policy: "shop/allow".to_owned(),
        };
        RequestSample { labels, flags: "-".to_owned(), count, tries: count, retries: 0, sketch }
    };
    Samples {
        namespace: "shop".to_owned(),
        pod: "web-1".to_owned(),
        workload: "web".to_owned(),
        kind: "deployment".to_owned(),
        version: "0.1.0".to_owned(),
        started_ms,
        requests: vec![
            sample(Direction::Inbound, ("load", "web"), 200),
            sample(Direction::Outbound, ("web", "cart"), 504),
        ],
        tcp: Vec::new(),
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn ask(api: SocketAddr, path: &str) -> Value {
    let mut stream = TcpStream::connect(api).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|e| panic!("{path}: {e}: {answer}"))
}

/// What of a value is not as the record of that name says.
fn check_as(name: &str, value: &Value, document: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    check(&json!({ "$ref": format!("#/components/schemas/{name}") }), value, document, name, &mut problems);
    problems
}

fn check(schema: &Value, value: &Value, document: &Value, at: &str, problems: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{at}: {reference}"));
        return check(target, value, document, at, problems);
    }
    if let Some(alternatives) = schema["oneOf"].as_array() {
        let fits = |alternative: &Value| {
            let mut found = Vec::new();
            check(alternative, value, document, at, &mut found);
            found.is_empty()
        };
        if !alternatives.iter().any(fits) {
            problems.push(format!("{at} is none of {alternatives:?}"));
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        // Anything.
        _ => return,
    };
    let is = |kind: &&str| match *kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    if !types.iter().any(is) {
        problems.push(format!("{at} is {value}, not {types:?}"));
        return;
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, document, &format!("{at}[{index}]"), problems);
    }
    let Some(object) = value.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(required) {
            problems.push(format!("{at}: {required} is missing"));
        }
    }
    for (name, value) in object {
        match schema["properties"].get(name) {
            Some(field) => check(field, value, document, &format!("{at}.{name}"), problems),
            None => problems.push(format!("{at}: {name} is not described")),
        }
    }
}
