//! `GET /api/v1/openapi.json`: the API described in OpenAPI 3.1. A test holds it to what the API answers.

mod records;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use records::{RECORDS, Record};

/// The document.
pub async fn serve() -> Response {
    Json(document()).into_response()
}

/// The document. Everything in it is read; there is nothing else.
#[must_use]
pub fn document() -> Value {
    let paths: Map<String, Value> =
        PATHS.iter().map(|path| (path.at.to_owned(), json!({ "get": operation(path) }))).collect();
    let schemas: Map<String, Value> = RECORDS.iter().map(|record| (record.name.to_owned(), schema(record))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "leno-viz",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Live golden signals of the mesh. It is read-only. Reach it by `leno dashboard` or a port-forward to \
                leno-viz's pod: what is marked so answers there alone.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// A path that answers GET.
struct Path {
    at: &'static str,
    /// What it answers, in a sentence.
    what: &'static str,
    /// By name, see [`PARAMETERS`].
    takes: &'static [&'static str],
    /// Name of a [`Record`].
    gives: &'static str,
    /// Answers to the pod's own loopback only.
    near: bool,
}

fn operation(path: &Path) -> Value {
    let parameters: Vec<Value> = path.takes.iter().map(|name| parameter(name)).collect();
    let reference = json!({ "$ref": format!("#/components/schemas/{}", path.gives) });
    // A stream of lines, each of which is one.
    let media = if path.at == "/api/v1/tap" { "application/x-ndjson" } else { "application/json" };
    let error = |why: &str| {
        let schema = json!({ "$ref": "#/components/schemas/Error" });
        json!({ "description": why, "content": { "application/json": { "schema": schema } } })
    };
    let mut responses = json!({
        "200": { "description": path.what, "content": { media: { "schema": reference } } },
        "400": error("A parameter is not what it should be; the message names it."),
        "421": error("It was asked under a name that is not its own."),
    });
    if path.near {
        responses["403"] = error("It was not asked from the pod's loopback, that is by a port-forward.");
        responses["503"] = error("It cannot be answered now; the message says why.");
    }
    json!({
        "summary": path.what,
        "operationId": path.at.trim_start_matches("/api/v1/").replace(['/', '.'], "_"),
        "parameters": parameters,
        "responses": responses,
    })
}

fn parameter(name: &str) -> Value {
    let what = PARAMETERS.iter().find(|(n, _)| *n == name).map_or("", |(_, what)| *what);
    json!({ "name": name, "in": "query", "required": false, "description": what, "schema": { "type": "string" } })
}

fn schema(record: &Record) -> Value {
    let properties: Map<String, Value> = record
        .fields
        .iter()
        .map(|(name, kind, what)| {
            let mut schema = kind_of(kind.trim_end_matches('!'));
            if !what.is_empty() {
                schema["description"] = json!(what);
            }
            ((*name).to_owned(), schema)
        })
        .collect();
    // `!` marks what may be missing.
    let required: Vec<&str> =
        record.fields.iter().filter(|(_, kind, _)| !kind.ends_with('!')).map(|(name, ..)| *name).collect();
    json!({
        "type": "object",
        "description": record.what,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// `string`, `number`, `integer`, `boolean`, `any`, the name of a record, `[…]` a list of it, `…?` that or null.
fn kind_of(kind: &str) -> Value {
    if let Some(inner) = kind.strip_suffix('?') {
        return match inner {
            "string" | "number" | "integer" | "boolean" => json!({ "type": [inner, "null"] }),
            _ => json!({ "oneOf": [kind_of(inner), { "type": "null" }] }),
        };
    }
    if let Some(inner) = kind.strip_prefix('[').and_then(|k| k.strip_suffix(']')) {
        return json!({ "type": "array", "items": kind_of(inner) });
    }
    match kind {
        "any" => json!({}),
        "string" | "number" | "integer" | "boolean" => json!({ "type": kind }),
        record => json!({ "$ref": format!("#/components/schemas/{record}") }),
    }
}

const QUESTION: &[&str] = &["kind", "namespace", "name", "window", "from", "to"];

const PATHS: &[Path] = &[
    Path {
        at: "/api/v1/stat",
        what: "Golden signals: of workloads as they were asked, of services as their callers saw.",
        takes: QUESTION,
        gives: "Stat",
        near: false,
    },
    Path {
        at: "/api/v1/edges",
        what: "Who talks to whom, and how it is secured.",
        takes: QUESTION,
        gives: "Edges",
        near: false,
    },
    Path {
        at: "/api/v1/routes",
        what: "Golden signals of each route rule, as callers saw.",
        takes: QUESTION,
        gives: "Routes",
        near: false,
    },
    Path {
        at: "/api/v1/authz",
        what: "What each authorization policy let pass and denied.",
        takes: QUESTION,
        gives: "Authz",
        near: false,
    },
    Path {
        at: "/api/v1/series",
        what: "Golden signals over time.",
        takes: &["kind", "namespace", "name", "window", "from", "to", "detail"],
        gives: "Series",
        near: false,
    },
    Path {
        at: "/api/v1/topology",
        what: "The mesh as a graph.",
        takes: &["namespace", "window"],
        gives: "Graph",
        near: false,
    },
    Path { at: "/api/v1/status", what: "How leno-viz itself is.", takes: &[], gives: "Status", near: false },
    Path {
        at: "/api/v1/events",
        what: "What happened, the latest first.",
        takes: &["namespace", "window"],
        gives: "Events",
        near: false,
    },
    Path { at: "/api/v1/rules", what: "The route rules in force.", takes: &["namespace"], gives: "Rules", near: false },
    Path {
        at: "/api/v1/workload",
        what: "A workload: pods, certificates, policies, configuration.",
        takes: &["namespace", "kind", "name"],
        gives: "Workload",
        near: false,
    },
    Path {
        at: "/api/v1/service",
        what: "A service: addresses, endpoints, rules, configuration.",
        takes: &["namespace", "name"],
        gives: "Service",
        near: false,
    },
    Path {
        at: "/api/v1/policies",
        what: "Who may talk how, by namespace.",
        takes: &[],
        gives: "Policies",
        near: false,
    },
    Path {
        at: "/api/v1/objects",
        what: "The mesh's objects, what became of them, and how many findings each has.",
        takes: &["kind", "namespace", "name"],
        gives: "Objects",
        near: true,
    },
    Path {
        at: "/api/v1/object",
        what: "One object, its YAML and what was found in it.",
        takes: &["kind", "namespace", "name"],
        gives: "Object",
        near: true,
    },
    Path {
        at: "/api/v1/tap",
        what: "Requests as they end, a line of JSON each, until the reader goes.",
        takes: &[
            "kind",
            "namespace",
            "name",
            "from",
            "to",
            "method",
            "path",
            "authority",
            "status",
            "min_latency",
            "max_rps",
            "headers",
        ],
        gives: "TapLine",
        near: true,
    },
    Path {
        at: "/api/v1/healthz",
        what: "Whether it serves, and how much it keeps.",
        takes: &[],
        gives: "Health",
        near: false,
    },
];

const PARAMETERS: &[(&str, &str)] = &[
    (
        "kind",
        "ns, deploy, sts, ds, job, pod or svc; for objects their kind, such as VirtualService. deploy by default.",
    ),
    ("namespace", "Only in this namespace; all by default."),
    ("name", "Only of this name."),
    ("window", "How far back: 30s, 5m, 1h. 1m by default, at least 1s."),
    ("from", "Only what comes from here: KIND/NAME or KIND/NAME.NAMESPACE."),
    ("to", "Only what goes to here. Of workloads, the rows are the callers then."),
    ("detail", "Anything: with percentiles."),
    ("method", "Only requests of this method."),
    ("path", "Only where the path begins so."),
    ("authority", "Only of this host, with or without port."),
    ("status", "Only with this status: 503, or 5xx."),
    ("min_latency", "Only what took at least so long: 100ms, 2s."),
    ("max_rps", "At most so many a second, 100 by default and 1000 at most; the others are counted."),
    ("headers", "1: with headers, but for what may be secret."),
];

#[cfg(test)]
mod tests;
