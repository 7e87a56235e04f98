//! `telemetry.istio.io`.

use serde_json::{Value, json};

use super::policy::{selector, target_ref, target_refs};
use super::schema::{at_most_one, duration, list, map, maybe_flag, nonempty, obj, obj_with, percent, text, word};
use super::{AGE, Definition};

/// `Telemetry`; Istio stores it in its older version.
pub(super) fn telemetry() -> Definition {
    Definition {
        group: "telemetry.istio.io",
        kind: "Telemetry",
        plural: "telemetries",
        short: &["telemetry"],
        versions: &["v1", "v1alpha1"],
        storage: "v1alpha1",
        columns: &[AGE],
        spec_required: false,
        spec: obj(&[
            ("selector", selector()),
            ("targetRef", target_ref()),
            ("targetRefs", target_refs()),
            ("accessLogging", list(access_logging())),
            ("metrics", list(metrics())),
            ("tracing", list(tracing())),
        ]),
    }
}

fn mode() -> Value {
    word(&["CLIENT_AND_SERVER", "CLIENT", "SERVER"])
}

fn providers() -> Value {
    list(obj_with(&["name"], &[("name", nonempty())]))
}

fn access_logging() -> Value {
    obj(&[
        ("disabled", maybe_flag()),
        ("filter", obj(&[("expression", text())])),
        ("match", obj(&[("mode", mode())])),
        ("providers", providers()),
    ])
}

fn metrics() -> Value {
    let known = [
        "ALL_METRICS",
        "REQUEST_COUNT",
        "REQUEST_DURATION",
        "REQUEST_SIZE",
        "RESPONSE_SIZE",
        "TCP_OPENED_CONNECTIONS",
        "TCP_CLOSED_CONNECTIONS",
        "TCP_SENT_BYTES",
        "TCP_RECEIVED_BYTES",
        "GRPC_REQUEST_MESSAGES",
        "GRPC_RESPONSE_MESSAGES",
    ];
    let which = obj(&[("metric", word(&known)), ("customMetric", nonempty()), ("mode", mode())]);
    let tag = obj(&[("operation", word(&["UPSERT", "REMOVE"])), ("value", text())]);
    let change = obj(&[
        ("disabled", maybe_flag()),
        ("match", at_most_one(which, &["metric", "customMetric"])),
        ("tagOverrides", map(tag)),
    ]);
    obj(&[("overrides", list(change)), ("providers", providers()), ("reportingInterval", duration())])
}

fn tracing() -> Value {
    let named = || obj_with(&["name"], &[("name", nonempty()), ("defaultValue", text())]);
    let valued = || obj_with(&["value"], &[("value", nonempty())]);
    let tag = obj(&[("environment", named()), ("header", named()), ("literal", valued()), ("formatter", valued())]);
    obj(&[
        ("customTags", map(at_most_one(tag, &["literal", "environment", "header", "formatter"]))),
        ("disableContextPropagation", maybe_flag()),
        ("disableSpanReporting", maybe_flag()),
        ("enableIstioTags", maybe_flag()),
        ("match", obj(&[("mode", mode())])),
        ("providers", providers()),
        ("randomSamplingPercentage", percent()),
        ("useRequestIdForTraceSampling", json!({"type": "boolean", "nullable": true})),
    ])
}
