//! `--set a.b=c,d=e`: Helm's and istioctl's way to write settings.

use serde_json::{Map, Value};

use super::Layer;

/// Reads the argument of one `--set`. Numbers, `true`, `false` and `null` are such; everything is text with `text` (`--set-string`).
///
/// # Errors
/// What cannot be read, and how it is written.
pub fn parse(argument: &str, text: bool) -> Result<Layer, String> {
    let origin = format!("--set {argument}");
    let mut tree = Value::Object(Map::new());
    for pair in pairs(argument) {
        let (key, value) =
            split_once(&pair, '=').ok_or_else(|| format!("{origin}: it is KEY=VALUE, such as --set profile=demo"))?;
        let path = path_of(&key).map_err(|e| format!("{origin}: {e}"))?;
        insert(&mut tree, &path, value_of(&value, text)).map_err(|e| format!("{origin}: {e}"))?;
    }
    Ok(Layer { origin, tree })
}

/// A comma ends a pair only where another `KEY=` follows, so that lists of networks need no escapes.
fn pairs(argument: &str) -> Vec<String> {
    let mut pairs: Vec<String> = Vec::new();
    for part in split(argument, ',') {
        let is_pair = split_once(&part, '=').is_some_and(|(key, _)| path_of(&key).is_ok());
        match pairs.last_mut() {
            Some(last) if !is_pair || open_braces(last) => {
                last.push(',');
                last.push_str(&part);
            }
            _ => pairs.push(part),
        }
    }
    pairs
}

fn open_braces(text: &str) -> bool {
    text.matches('{').count() > text.matches('}').count()
}

/// Splits at a sign that no backslash precedes; the backslashes stay.
fn split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == at && !escaped {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

fn split_once(text: &str, at: char) -> Option<(String, String)> {
    let parts = split(text, at);
    let (first, rest) = parts.split_first()?;
    (!rest.is_empty()).then(|| (first.clone(), rest.join(&at.to_string())))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// `a.b[0].c`; `\.` is a point inside a key.
fn path_of(key: &str) -> Result<Vec<Step>, String> {
    let mut path = Vec::new();
    for part in split(key.trim(), '.') {
        let (name, indexes) = match part.split_once('[') {
            Some((name, rest)) => (name.to_owned(), Some(format!("[{rest}"))),
            None => (part, None),
        };
        let name = unescape(&name);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!("`{key}` is no key"));
        }
        path.push(Step::Key(name));
        for index in indexes.iter().flat_map(|i| i.split('[').skip(1)) {
            let number = index.strip_suffix(']').and_then(|n| n.parse().ok()).filter(|n| *n < LONGEST);
            path.push(Step::Index(number.ok_or_else(|| format!("`{key}`: [{index} is no index"))?));
        }
    }
    Ok(path)
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut escaped = false;
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            out.push(c);
            escaped = false;
        }
    }
    out
}

fn value_of(text: &str, plain: bool) -> Value {
    if let Some(list) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        let items = split(list, ',').into_iter().filter(|i| !list.is_empty() || !i.is_empty());
        return items.map(|item| value_of(item.trim(), plain)).collect();
    }
    let text = unescape(text);
    if plain {
        return Value::String(text);
    }
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        // `007` and `+1` are texts.
        _ => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => number.into(),
            _ => Value::String(text),
        },
    }
}

fn insert(tree: &mut Value, path: &[Step], value: Value) -> Result<(), String> {
    let Some((step, rest)) = path.split_first() else {
        *tree = value;
        return Ok(());
    };
    let slot = match step {
        Step::Key(key) => {
            if tree.is_null() {
                *tree = Value::Object(Map::new());
            }
            let map = tree.as_object_mut().ok_or_else(|| format!("`{key}` is set inside what is no object"))?;
            map.entry(key.clone()).or_insert(Value::Null)
        }
        Step::Index(index) => {
            if tree.is_null() {
                *tree = Value::Array(Vec::new());
            }
            let list = tree.as_array_mut().ok_or_else(|| format!("[{index}] is set inside what is no list"))?;
            while list.len() <= *index {
                list.push(Value::Null);
            }
            &mut list[*index]
        }
    };
    insert(slot, rest, value)
}

/// Of a list.
const LONGEST: usize = 1024;
