//! A small language for structural schemas.

use serde_json::{Map, Value, json};

/// An object with these properties.
#[must_use]
pub fn obj(properties: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = properties.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    json!({"type": "object", "properties": properties})
}

/// An object that must have the properties in `required`.
#[must_use]
pub fn obj_with(required: &[&str], properties: &[(&str, Value)]) -> Value {
    let mut schema = obj(properties);
    schema["required"] = json!(required);
    schema
}

/// At most one of these properties may be there.
#[must_use]
pub fn at_most_one(mut schema: Value, of: &[&str]) -> Value {
    let alone: Vec<Value> = of.iter().map(|p| json!({"required": [p]})).collect();
    let mut one = vec![json!({"not": {"anyOf": alone}})];
    one.extend(alone);
    schema["oneOf"] = Value::Array(one);
    schema
}

/// A list.
#[must_use]
pub fn list(of: Value) -> Value {
    holder("array", "items", of)
}

/// A list of texts.
#[must_use]
pub fn texts() -> Value {
    list(text())
}

/// Names to values of one form.
#[must_use]
pub fn map(of: Value) -> Value {
    holder("object", "additionalProperties", of)
}

/// Names to texts.
#[must_use]
pub fn labels() -> Value {
    map(text())
}

/// A text.
#[must_use]
pub fn text() -> Value {
    json!({"type": "string"})
}

/// A text that is not empty.
#[must_use]
pub fn nonempty() -> Value {
    json!({"type": "string", "minLength": 1})
}

/// One of these words.
#[must_use]
pub fn word(of: &[&str]) -> Value {
    json!({"type": "string", "enum": of})
}

/// `true` or `false`.
#[must_use]
pub fn flag() -> Value {
    json!({"type": "boolean"})
}

/// `true`, `false` or null.
#[must_use]
pub fn maybe_flag() -> Value {
    json!({"type": "boolean", "nullable": true})
}

/// A whole number of 32 bits.
#[must_use]
pub fn int() -> Value {
    json!({"type": "integer", "format": "int32"})
}

/// A whole number from 0 on.
#[must_use]
pub fn count() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
}

/// A whole number from 0 on, or null.
#[must_use]
pub fn maybe_count() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u32::MAX, "nullable": true})
}

/// A number.
#[must_use]
pub fn number() -> Value {
    json!({"type": "number", "format": "double"})
}

/// From 0 to 100, or null.
#[must_use]
pub fn percent() -> Value {
    json!({"type": "number", "format": "double", "minimum": 0, "maximum": 100, "nullable": true})
}

/// A time such as `1.5s` or `1h30m`.
#[must_use]
pub fn duration() -> Value {
    json!({"type": "string", "pattern": r"^[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^0$"})
}

/// A number or a text.
#[must_use]
pub fn int_or_text() -> Value {
    json!({"x-kubernetes-int-or-string": true})
}

/// An object of any form.
#[must_use]
pub fn any() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn holder(kind: &str, key: &str, of: Value) -> Value {
    let mut map = Map::new();
    map.insert("type".into(), kind.into());
    map.insert(key.into(), of);
    Value::Object(map)
}
