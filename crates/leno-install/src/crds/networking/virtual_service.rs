//! `VirtualService`.

use serde_json::{Value, json};

use crate::crds::policy::{destination, percentage, string_match};
use crate::crds::schema::{
    at_most_one, count, duration, flag, int, labels, list, map, maybe_count, maybe_flag, obj, obj_with, text, texts,
    word,
};

/// Schema of its spec.
pub(super) fn spec() -> Value {
    obj(&[
        ("hosts", texts()),
        ("gateways", texts()),
        ("exportTo", texts()),
        ("http", list(http())),
        ("tcp", list(obj(&[("match", list(l4_match(&[]))), ("route", list(l4_route()))]))),
        ("tls", list(obj_with(&["match"], &[("match", list(tls_match())), ("route", list(l4_route()))]))),
    ])
}

fn http() -> Value {
    let delegate = obj(&[("name", text()), ("namespace", text())]);
    let mirror = obj_with(&["destination"], &[("destination", destination()), ("percentage", percentage())]);
    obj(&[
        ("name", text()),
        ("match", list(http_match())),
        ("route", list(http_route())),
        ("redirect", redirect()),
        ("directResponse", direct_response()),
        ("delegate", delegate),
        ("rewrite", rewrite()),
        ("timeout", duration()),
        ("retries", retries()),
        ("fault", fault()),
        ("mirror", destination()),
        ("mirrors", list(mirror)),
        ("mirrorPercent", maybe_count()),
        ("mirror_percent", maybe_count()),
        ("mirrorPercentage", percentage()),
        ("corsPolicy", cors()),
        ("headers", headers()),
    ])
}

fn http_match() -> Value {
    obj(&[
        ("name", text()),
        ("uri", string_match()),
        ("scheme", string_match()),
        ("method", string_match()),
        ("authority", string_match()),
        ("headers", map(string_match())),
        ("withoutHeaders", map(string_match())),
        ("queryParams", map(string_match())),
        ("ignoreUriCase", flag()),
        ("port", count()),
        ("sourceLabels", labels()),
        ("sourceNamespace", text()),
        ("gateways", texts()),
        ("statPrefix", text()),
    ])
}

fn http_route() -> Value {
    obj_with(&["destination"], &[("destination", destination()), ("weight", int()), ("headers", headers())])
}

fn l4_route() -> Value {
    obj_with(&["destination"], &[("destination", destination()), ("weight", int())])
}

fn l4_match(more: &[(&str, Value)]) -> Value {
    let mut properties = vec![
        ("destinationSubnets", texts()),
        ("gateways", texts()),
        ("port", count()),
        ("sourceLabels", labels()),
        ("sourceNamespace", text()),
        ("sourceSubnet", text()),
    ];
    properties.extend_from_slice(more);
    obj(&properties)
}

fn tls_match() -> Value {
    let mut schema = l4_match(&[("sniHosts", texts())]);
    schema["required"] = json!(["sniHosts"]);
    schema
}

fn redirect() -> Value {
    let redirect = obj(&[
        ("uri", text()),
        ("authority", text()),
        ("port", count()),
        ("derivePort", word(&["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"])),
        ("scheme", text()),
        ("redirectCode", count()),
        ("prefixRewrite", text()),
    ]);
    at_most_one(redirect, &["port", "derivePort"])
}

fn direct_response() -> Value {
    let body = obj(&[("string", text()), ("bytes", json!({"type": "string", "format": "byte"}))]);
    obj_with(&["status"], &[("status", count()), ("body", at_most_one(body, &["string", "bytes"]))])
}

fn rewrite() -> Value {
    let regex = obj(&[("match", text()), ("rewrite", text())]);
    obj(&[("uri", text()), ("authority", text()), ("uriRegexRewrite", regex)])
}

fn retries() -> Value {
    obj(&[
        ("attempts", int()),
        ("perTryTimeout", duration()),
        ("retryOn", text()),
        ("backoff", duration()),
        ("retryRemoteLocalities", maybe_flag()),
        ("retryIgnorePreviousHosts", maybe_flag()),
    ])
}

fn fault() -> Value {
    let abort =
        obj(&[("httpStatus", int()), ("grpcStatus", text()), ("http2Error", text()), ("percentage", percentage())]);
    let delay = obj(&[
        ("fixedDelay", duration()),
        ("exponentialDelay", duration()),
        ("percent", int()),
        ("percentage", percentage()),
    ]);
    obj(&[
        ("abort", at_most_one(abort, &["httpStatus", "grpcStatus", "http2Error"])),
        ("delay", at_most_one(delay, &["fixedDelay", "exponentialDelay"])),
    ])
}

fn cors() -> Value {
    obj(&[
        ("allowOrigin", texts()),
        ("allowOrigins", list(string_match())),
        ("allowMethods", texts()),
        ("allowHeaders", texts()),
        ("exposeHeaders", texts()),
        ("maxAge", duration()),
        ("allowCredentials", maybe_flag()),
        ("unmatchedPreflights", word(&["UNSPECIFIED", "FORWARD", "IGNORE"])),
    ])
}

fn headers() -> Value {
    let change = || obj(&[("set", labels()), ("add", labels()), ("remove", texts())]);
    obj(&[("request", change()), ("response", change())])
}
