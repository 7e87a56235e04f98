//! Objects as JSON, and reading in them.

use std::sync::Arc;

use leno_config::object::{Lines, strip_nulls};
use leno_config::{Object, Position};
use leno_core::model::Labels;
use serde_json::Value;

/// An object as an API server gives it: without a file. `None` where it has no kind or name.
#[must_use]
pub fn object_from_json(mut json: Value) -> Option<Object> {
    strip_nulls(&mut json);
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).filter(|s| !s.is_empty());
    Some(Object {
        api_version: text("/apiVersion")?.to_owned(),
        kind: text("/kind")?.to_owned(),
        namespace: text("/metadata/namespace").map(str::to_owned),
        name: text("/metadata/name")?.to_owned(),
        position: Position { file: Arc::from(""), line: 0, column: 0 },
        lines: Lines::default(),
        json,
    })
}

/// The text at `pointer` (`/spec/host`).
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// The items of the list at `pointer`; none where it is no list.
pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The texts in the list at `pointer`.
pub(crate) fn texts<'v>(value: &'v Value, pointer: &str) -> Vec<&'v str> {
    list(value, pointer).iter().filter_map(Value::as_str).collect()
}

/// The entries of the map at `pointer` whose values are texts.
pub(crate) fn labels(value: &Value, pointer: &str) -> Labels {
    let map = value.pointer(pointer).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// The port number at `pointer`.
pub(crate) fn port(value: &Value, pointer: &str) -> Option<u16> {
    value.pointer(pointer).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok())
}

/// `a=b,c=d`, as selectors are written.
pub(crate) fn selector_text(labels: &Labels) -> String {
    labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

/// A list of names for a message: `[a b]`, as istioctl writes it.
pub(crate) fn names<T: AsRef<str>>(names: &[T]) -> String {
    format!("[{}]", names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" "))
}

/// Whether a Kubernetes label selector (`matchLabels`, `matchExpressions`) takes `labels`. An empty one takes all.
pub(crate) fn selects(selector: &Value, labels: &Labels) -> bool {
    let exact = self::labels(selector, "/matchLabels").iter().all(|(k, v)| labels.get(k) == Some(v));
    exact
        && list(selector, "/matchExpressions").iter().all(|e| {
            let value = labels.get(text(e, "/key").unwrap_or_default());
            let values = texts(e, "/values");
            let is_in = value.is_some_and(|v| values.contains(&v.as_str()));
            match text(e, "/operator") {
                Some("In") => is_in,
                Some("NotIn") => !is_in,
                Some("Exists") => value.is_some(),
                Some("DoesNotExist") => value.is_none(),
                _ => false,
            }
        })
}
