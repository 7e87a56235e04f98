//! Nested settings as JSON trees: laying one over another, and finding keys that are not there.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Values;

/// As a tree.
pub(super) fn of(values: &impl Serialize) -> Value {
    serde_json::to_value(values).unwrap_or_default()
}

/// Lays `over` on `base`. Objects are merged, everything else is replaced; null takes nothing away.
pub(crate) fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, over) => *base = over.clone(),
    }
}

/// Puts a value at a path; what is in the way is replaced.
pub(crate) fn put(tree: &mut Value, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *tree = value;
        return;
    };
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    if let Some(map) = tree.as_object_mut() {
        put(map.entry(*first).or_insert(Value::Null), rest, value);
    }
}

/// Whether there is something at `a.b.c`.
pub(super) fn has(tree: &Value, path: &str) -> bool {
    path.split('.').try_fold(tree, |tree, key| tree.get(key)).is_some()
}

/// A sentence for each key of `tree` that no setting has.
pub(super) fn unknown_keys(tree: &Value) -> Vec<String> {
    let known = of(&Values::default());
    let mut out = Vec::new();
    if tree.is_object() {
        walk(tree, &known, "", &mut out);
    } else if !tree.is_null() {
        out.push("settings are an object, such as `hub: docker.io/leno`".to_owned());
    }
    out
}

fn walk(tree: &Value, known: &Value, at: &str, out: &mut Vec<String>) {
    let (Some(given), Some(all)) = (tree.as_object(), known.as_object()) else { return };
    for (key, value) in given {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        if OPEN.contains(&at) {
            continue;
        }
        match all.get(key) {
            Some(known) => walk(value, known, &path, out),
            None => {
                let hint = match meant(key, &path) {
                    Some(meant) => format!("; is `{meant}` meant?"),
                    None if at.is_empty() => format!("; there are: {}", keys(all)),
                    None => format!("; `{at}` has: {}", keys(all)),
                };
                out.push(format!("`{path}` is no setting{hint}"));
            }
        }
    }
}

fn keys(map: &Map<String, Value>) -> String {
    map.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The path of a setting that looks like this one: whose last part is nearly the same, best where the whole is.
fn meant(key: &str, path: &str) -> Option<String> {
    let mut all = Vec::new();
    paths(&of(&Values::default()), "", &mut all);
    let best = all.into_iter().map(|known| {
        let last = known.rsplit('.').next().unwrap_or_default().to_owned();
        let near = distance(&last.to_lowercase(), &key.to_lowercase());
        (near, distance(&known, path), known)
    });
    let (near, _, known) = best.min()?;
    (near <= key.len().div_ceil(4)).then_some(known)
}

fn paths(tree: &Value, at: &str, out: &mut Vec<String>) {
    for (key, value) in tree.as_object().into_iter().flatten() {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        paths(value, &path, out);
        out.push(path);
    }
}

/// How many letters differ (Levenshtein).
pub(super) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Settings whose keys are the user's own.
pub(super) const OPEN: &[&str] = &[
    "mesh",
    "control.podAnnotations",
    "control.podLabels",
    "control.nodeSelector",
    "control.resources.requests",
    "control.resources.limits",
    "proxy.env",
    "proxy.resources.requests",
    "proxy.resources.limits",
    "viz.nodeSelector",
    "viz.resources.requests",
    "viz.resources.limits",
];
