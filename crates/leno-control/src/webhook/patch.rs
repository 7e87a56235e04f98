//! The JSON patch (RFC 6902) that makes one value of another.

use serde_json::{Value, json};

/// Operations that make `to` of `from`.
#[must_use]
pub fn diff(from: &Value, to: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    compare("", from, to, &mut operations);
    operations
}

fn compare(path: &str, from: &Value, to: &Value, out: &mut Vec<Value>) {
    match (from, to) {
        _ if from == to => {}
        (Value::Object(old), Value::Object(new)) => {
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                out.push(json!({"op": "remove", "path": child(path, key)}));
            }
            for (key, value) in new {
                match old.get(key) {
                    Some(was) => compare(&child(path, key), was, value, out),
                    None => out.push(json!({"op": "add", "path": child(path, key), "value": value})),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (was, is)) in old.iter().zip(new).enumerate() {
                compare(&child(path, &index.to_string()), was, is, out);
            }
        }
        (Value::Array(old), Value::Array(new)) => match added(old, new) {
            Some(indices) => {
                let add =
                    |index: usize| json!({"op": "add", "path": child(path, &index.to_string()), "value": new[index]});
                out.extend(indices.into_iter().map(add));
            }
            None => out.push(json!({"op": "replace", "path": path, "value": to})),
        },
        _ => out.push(json!({"op": "replace", "path": path, "value": to})),
    }
}

/// Which items of `new` come to those of `old`, if nothing else happens to these.
fn added(old: &[Value], new: &[Value]) -> Option<Vec<usize>> {
    let mut rest = old.iter().peekable();
    let mut indices = Vec::new();
    for (index, item) in new.iter().enumerate() {
        if rest.peek().is_some_and(|next| *next == item) {
            rest.next();
        } else {
            indices.push(index);
        }
    }
    rest.next().is_none().then_some(indices)
}

fn child(path: &str, key: &str) -> String {
    format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"))
}
