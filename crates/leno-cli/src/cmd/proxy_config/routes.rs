//! Route rules in one line each.

use serde_json::{Value, json};

use super::{NOTHING, list, word};
use crate::table::{Screen, Table};

/// The rules of a config dump: `[{service, source, rule, match, to, timeout, retries, more}]`.
pub(super) fn rules(dump: &Value) -> Value {
    let mut all = Vec::new();
    for service in list(&dump["services"]) {
        let name = word(&service["service"]);
        let table = &service["routes"];
        if table.is_null() {
            all.push(json!({"service": name, "match": "any", "to": name, "timeout": "-", "retries": "default"}));
            continue;
        }
        let source = source(&table["origin"]);
        for rule in list(&table["http"]) {
            let own = &rule["origin"]["object"];
            all.push(json!({
                "service": name,
                "source": if own.is_null() { source.clone() } else { self::source(own) },
                "line": rule["line"],
                "rule": rule["name"],
                "match": matches(&rule["matches"]),
                "to": action(&rule["action"]),
                "timeout": duration(&rule["timeout"]),
                "retries": retries(&rule["retry"]),
                "more": more(rule),
            }));
        }
        for (kind, rules) in [("tcp", &table["tcp"]), ("tls", &table["tls"])] {
            for rule in list(rules) {
                let to = backends(&rule["backends"]);
                all.push(json!({"service": name, "source": source, "rule": kind, "match": kind, "to": to}));
            }
        }
    }
    Value::Array(all)
}

/// `NAMESPACE/NAME`, with the kind where it is none of Istio's.
fn source(origin: &Value) -> String {
    let name = format!("{}/{}", word(&origin["namespace"]), word(&origin["name"]));
    match origin["kind"].as_str() {
        Some(kind @ ("HTTPRoute" | "GRPCRoute")) => format!("{kind} {name}"),
        _ => name,
    }
}

/// The rules as a table.
pub(super) fn text(rules: &Value, screen: &Screen) -> String {
    let rules = list(rules);
    if rules.is_empty() {
        return NOTHING.to_owned();
    }
    let mut table = Table::new(&["SERVICE", "RULE", "MATCH", "TO", "TIMEOUT", "RETRIES", "MORE", "SOURCE"]);
    for rule in rules {
        let cell = |name: &str| match &rule[name] {
            Value::String(text) if text.is_empty() => "-".to_owned(),
            other => word(other),
        };
        let row = ["service", "rule", "match", "to", "timeout", "retries", "more", "source"];
        table.row(row.iter().map(|name| cell(name).into()).collect());
    }
    table.render(screen)
}

fn matches(matches: &Value) -> String {
    let all: Vec<String> = list(matches).iter().map(one_match).collect();
    if all.is_empty() { "any".to_owned() } else { all.join(" or ") }
}

fn one_match(one: &Value) -> String {
    let mut parts = Vec::new();
    let by_element = one["uri"]["prefix"].as_str().filter(|_| one["uri_by_element"] == true);
    if let Some(prefix) = by_element {
        // The empty one is the prefix of all.
        parts.extend((!prefix.is_empty()).then(|| format!("{prefix}/*")));
    } else if !one["uri"].is_null() {
        parts.push(string_match("", &one["uri"]));
    }
    for name in ["scheme", "method", "authority"] {
        if !one[name].is_null() {
            parts.push(string_match(name, &one[name]));
        }
    }
    for (field, before) in [("headers", ""), ("without_headers", "not "), ("query", "?")] {
        for pair in list(&one[field]) {
            parts.push(format!("{before}{}", string_match(&word(&pair[0]), &pair[1])));
        }
    }
    if let Some(port) = one["port"].as_u64() {
        parts.push(format!("port={port}"));
    }
    if let Some(labels) = one["source_labels"].as_object() {
        parts.extend(labels.iter().map(|(k, v)| format!("from {k}={}", word(v))));
    }
    if let Some(namespace) = one["source_namespace"].as_str() {
        parts.push(format!("from {namespace}/"));
    }
    if parts.is_empty() { "any".to_owned() } else { parts.join(" ") }
}

fn string_match(name: &str, value: &Value) -> String {
    match value.as_object().and_then(|o| o.iter().next()) {
        Some((kind, text)) => match kind.as_str() {
            "exact" if name.is_empty() => word(text),
            "prefix" if name.is_empty() => format!("{}*", word(text)),
            "exact" => format!("{name}={}", word(text)),
            "prefix" => format!("{name}={}*", word(text)),
            _ => format!("{name}~{}", word(text)),
        },
        None => format!("{name} present"),
    }
}

fn action(action: &Value) -> String {
    if let Some(to) = action.get("forward") {
        return backends(to);
    }
    if let Some(answer) = action.get("respond") {
        return format!("answer {}", word(&answer["status"]));
    }
    let redirect = &action["redirect"];
    let part = |name: &str| redirect[name].as_str().unwrap_or_default().to_owned();
    let prefix = redirect["prefix"].as_str().map(|prefix| format!("{prefix}/*")).unwrap_or_default();
    format!("redirect {} {}{}{prefix}", word(&redirect["status"]), part("authority"), part("uri"))
}

fn backends(list_of: &Value) -> String {
    let all = list(list_of);
    let total: u64 = all.iter().filter_map(|b| b["weight"].as_u64()).sum();
    let texts = all.iter().map(|b| {
        let backend = &b["backend"];
        let mut text = word(&backend["service"]["name"]);
        if let Some(subset) = backend["subset"].as_str() {
            text = format!("{text}:{subset}");
        }
        if let Some(port) = backend["port"].as_u64() {
            text = format!("{text}:{port}");
        }
        if b["invalid"] == true {
            text = format!("{text} (500)");
        }
        let weight = b["weight"].as_u64().unwrap_or(0);
        if all.len() > 1 && total > 0 {
            #[allow(clippy::cast_precision_loss)]
            let share = weight as f64 * 100.0 / total as f64;
            text = format!("{text} {}%", (share * 10.0).round() / 10.0);
        }
        text
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// `Duration` as serde writes it.
fn duration(value: &Value) -> String {
    #[allow(clippy::cast_precision_loss)]
    let of = |value: &Value| Some(value["secs"].as_u64()? as f64 + value["nanos"].as_u64()? as f64 / 1e9);
    match of(value) {
        Some(seconds) if seconds < 1.0 => format!("{}ms", (seconds * 1e3).round()),
        Some(seconds) => format!("{seconds}s"),
        None => "-".to_owned(),
    }
}

fn retries(policy: &Value) -> String {
    if policy.is_null() {
        return "default".to_owned();
    }
    let attempts = word(&policy["attempts"]);
    match duration(&policy["per_try_timeout"]).as_str() {
        "-" => attempts,
        each => format!("{attempts} x {each}"),
    }
}

fn more(rule: &Value) -> String {
    let mut parts = Vec::new();
    for (kind, value) in [("delay", &rule["fault"]["delay"]), ("abort", &rule["fault"]["abort"])] {
        if !value.is_null() {
            let what = duration(&value[1]);
            let what = if what == "-" {
                value[1].as_object().and_then(|o| o.values().next()).map(word).unwrap_or_default()
            } else {
                what
            };
            parts.push(format!("{kind} {what} {}%", word(&value[0])));
        }
    }
    for (name, value) in [("rewrite", &rule["rewrite"]), ("cors", &rule["cors"])] {
        if !value.is_null() {
            parts.push(name.to_owned());
        }
    }
    for mirror in list(&rule["mirrors"]) {
        parts.push(format!("mirror {}", word(&mirror["backend"]["service"]["name"])));
    }
    parts.join(", ")
}
