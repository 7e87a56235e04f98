//! The rules that traffic goes by, from the control plane's resources: which object and line a route is from, and which share
//! of a service's traffic is meant for which workload.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

/// What is known of the rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Those that divide traffic.
    pub splits: Vec<Split>,
    /// All, by service and name of the rule.
    pub routes: BTreeMap<(String, String, String), RuleRef>,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRef {
    /// Kind of the object.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The rule in it: `spec.http[0]`.
    pub path: String,
}

impl RuleRef {
    /// Of a rule as a config dump has it, at its place in a table.
    #[must_use]
    pub fn of(table: &Value, index: usize, rule: &Value) -> Self {
        // A rule of a table that several objects make says where it is from.
        let own = &rule["origin"];
        let (origin, index) = match own["index"].as_u64() {
            Some(index) => (&own["object"], index),
            None => (&table["origin"], index as u64),
        };
        // A TrafficSplit is one rule as a whole; the others have a list of them.
        let path = match origin["kind"].as_str() {
            Some("VirtualService") => format!("spec.http[{index}]"),
            Some("HTTPRoute" | "GRPCRoute") => format!("spec.rules[{index}]"),
            _ => "spec".to_owned(),
        };
        Self { kind: text(&origin["kind"]), namespace: text(&origin["namespace"]), name: text(&origin["name"]), path }
    }
}

impl Rules {
    /// What `GET /debug/config_dump` of the control plane tells.
    #[must_use]
    pub fn read(dump: &Value) -> Self {
        Self { splits: splits(dump), routes: routes(dump) }
    }

    /// The rule of a service's route.
    #[must_use]
    pub fn route(&self, namespace: &str, service: &str, route: &str) -> Option<&RuleRef> {
        self.routes.get(&(namespace.to_owned(), service.to_owned(), route.to_owned()))
    }
}

fn routes(dump: &Value) -> BTreeMap<(String, String, String), RuleRef> {
    let mut found = BTreeMap::new();
    for entry in list(&dump["Routes"]) {
        let (id, table) = (&entry["value"]["service"], &entry["value"]["tables"][0]);
        for (index, rule) in list(&table["http"]).iter().enumerate() {
            let at = RuleRef::of(table, index, rule);
            // Of several rules with one name the first is meant: samples tell no more than the name.
            found.entry((text(&id["namespace"]), text(&id["name"]), text(&rule["name"]))).or_insert(at);
        }
    }
    found
}

/// One rule that divides a service's traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Namespace of the service.
    pub namespace: String,
    /// The service.
    pub service: String,
    /// Name of the rule, as samples carry it; may be empty.
    pub route: String,
    /// Share by workload, 0 to 1 each.
    pub shares: BTreeMap<String, f64>,
}

impl Split {
    /// What the rule gives to a workload; 0 where it names it not.
    #[must_use]
    pub fn share_of(&self, workload: &str) -> f64 {
        self.shares.get(workload).copied().unwrap_or(0.0)
    }
}

/// All rules with at least two destinations in `GET /debug/config_dump` of the control plane.
#[must_use]
pub fn splits(dump: &Value) -> Vec<Split> {
    let mut found = Vec::new();
    for entry in list(&dump["Routes"]) {
        let id = &entry["value"]["service"];
        // The first table is the one that holds for most who call; others are for some namespaces only.
        for rule in list(&entry["value"]["tables"][0]["http"]) {
            let backends = list(&rule["action"]["forward"]);
            let total: f64 = backends.iter().filter_map(|b| b["weight"].as_f64()).sum();
            if backends.len() < 2 || total <= 0.0 {
                continue;
            }
            let mut shares = BTreeMap::new();
            for backend in backends {
                let share = backend["weight"].as_f64().unwrap_or(0.0) / total;
                for workload in workloads(dump, &backend["backend"]) {
                    *shares.entry(workload).or_default() += share;
                }
            }
            found.push(Split {
                namespace: text(&id["namespace"]),
                service: text(&id["name"]),
                route: text(&rule["name"]),
                shares,
            });
        }
    }
    found
}

/// The workloads behind a destination: a service, or a subset of it.
fn workloads(dump: &Value, backend: &Value) -> BTreeSet<String> {
    let key = format!("{}/{}", text(&backend["service"]["namespace"]), text(&backend["service"]["name"]));
    let of = |kind: &str| list(&dump[kind]).iter().find(|e| e["name"] == key.as_str()).map(|e| &e["value"]);
    let wanted = backend["subset"].as_str().map(|name| {
        let rules = of("Service").map(|s| list(&s["destination_rules"])).unwrap_or_default();
        let subset = rules.iter().flat_map(|r| list(&r["subsets"])).find(|s| s["name"] == name);
        subset.and_then(|s| s["labels"].as_object()).cloned()
    });
    let takes = |labels: &Value| match &wanted {
        None => true,
        Some(None) => false,
        Some(Some(selector)) => selector.iter().all(|(k, v)| labels[k] == *v),
    };
    let endpoints = of("Endpoints").map(|e| list(&e["endpoints"])).unwrap_or_default();
    endpoints.iter().filter(|e| takes(&e["workload"]["labels"])).map(|e| text(&e["workload"]["name"])).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
