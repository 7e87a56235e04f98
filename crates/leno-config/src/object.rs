//! A parsed document that remembers where each of its nodes stood.

use std::fmt;
use std::sync::Arc;

use leno_core::id::Origin;
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Position, Severity};

/// One Kubernetes object as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// `apiVersion`, such as `apps/v1`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace` as written; `None` where the object names none (callers fill in `-n NS`).
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
    /// Where it starts.
    pub position: Position,
    /// The whole object. Null fields are left out, as Kubernetes treats them as absent.
    pub json: Value,
    /// Lines of its nodes, in the shape of `json`.
    pub lines: Lines,
}

/// Line of a node and of what is in it, parallel to a [`Value`]: children in the order of the map or list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Line, from 1; for a field, the line of its key.
    pub line: u32,
    /// Lines of fields or items.
    pub children: Vec<Self>,
}

/// One step into an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A field.
    Key(String),
    /// An item of a list.
    Index(usize),
}

/// A way into an object: `spec.http[0].route[1].weight`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The object itself.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// A field of this.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// Several fields of this, `a.b.c`.
    #[must_use]
    pub fn keys(&self, keys: &str) -> Self {
        keys.split('.').fold(self.clone(), |path, key| path.key(key))
    }

    /// An item of this.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                // Keys with dots (labels, annotations) would read as several fields.
                Step::Key(key) if key.contains('.') || key.contains('/') => write!(f, "[{key}]")?,
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Object {
    /// Namespace that the object belongs to: its own, else `default`; empty for cluster-scoped kinds.
    #[must_use]
    pub fn namespace(&self) -> &str {
        if self.is_cluster_scoped() { "" } else { self.namespace.as_deref().unwrap_or("default") }
    }

    /// Whether objects of this kind belong to no namespace.
    #[must_use]
    pub fn is_cluster_scoped(&self) -> bool {
        CLUSTER_SCOPED.contains(&self.kind.as_str())
    }

    /// The group part of `apiVersion`, empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// `Kind namespace/name`, or `Kind name` for cluster-scoped kinds.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.namespace() {
            "" => format!("{} {}", self.kind, self.name),
            namespace => format!("{} {namespace}/{}", self.kind, self.name),
        }
    }

    /// What rules made from this object point back at.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            kind: self.kind.clone(),
            namespace: self.namespace().to_owned(),
            name: self.name.clone(),
            source: if self.position.file.is_empty() {
                String::new()
            } else {
                format!("{}:{}", self.position.file, self.position.line)
            },
        }
    }

    /// Line of the node at `path`, or of the nearest node above it that exists.
    #[must_use]
    pub fn line_of(&self, path: &Path) -> u32 {
        let (mut value, mut lines) = (&self.json, &self.lines);
        for step in &path.0 {
            let found = match (step, value) {
                (Step::Key(key), Value::Object(map)) => map.iter().position(|(k, _)| k == key).zip(map.get(key)),
                (Step::Index(index), Value::Array(items)) => Some(*index).zip(items.get(*index)),
                _ => None,
            };
            match found.and_then(|(at, child)| Some((child, lines.children.get(at)?))) {
                Some((child, child_lines)) => (value, lines) = (child, child_lines),
                None => break,
            }
        }
        if lines.line == 0 { self.position.line } else { lines.line }
    }

    /// The node at `path`.
    #[must_use]
    pub fn value_at(&self, path: &Path) -> Option<&Value> {
        path.0.iter().try_fold(&self.json, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        })
    }

    /// The position of [`Self::line_of`].
    #[must_use]
    pub fn position_of(&self, path: &Path) -> Position {
        Position { file: Arc::clone(&self.position.file), line: self.line_of(path), column: 0 }
    }

    /// A finding about the field at `path`.
    #[must_use]
    pub fn diagnostic(&self, severity: Severity, path: &Path, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            object: self.describe(),
            field: path.to_string(),
            ..Diagnostic::at(severity, Some(self.position_of(path)), message)
        }
    }
}

/// Takes fields that are null out of JSON: to Kubernetes they are absent.
pub fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

const CLUSTER_SCOPED: &[&str] = &[
    "Namespace",
    "Node",
    "PersistentVolume",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "StorageClass",
    "PriorityClass",
    "IngressClass",
    "GatewayClass",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "APIService",
];
