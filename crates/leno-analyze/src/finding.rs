//! One finding, and how findings are gathered.

use std::collections::BTreeMap;
use std::fmt;

use leno_config::object::Path;
use leno_config::{Diagnostic, Object};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::code::{Code, Level};

/// Where each code has a section that says how to mend it.
pub const DOCUMENTATION: &str = "https://github.com/leno-mesh/leno/blob/main/docs/codes.md";

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding.
    pub code: &'static Code,
    /// What, about this object.
    pub message: String,
    /// `Kind namespace/name`; empty where no object could be read.
    pub origin: String,
    /// Namespace of the object (a Namespace is in itself); empty for cluster-scoped kinds.
    pub namespace: String,
    /// `file:line`; empty for objects from a cluster.
    pub reference: String,
}

impl Finding {
    /// How bad it is.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.code.level
    }

    /// The section that says how to mend it.
    #[must_use]
    pub fn documentation_url(&self) -> String {
        format!("{DOCUMENTATION}#{}", self.code.id.to_ascii_lowercase())
    }

    fn order(&self) -> (Level, &str, &str, &str, &str) {
        (self.code.level, self.code.id, &self.origin, &self.reference, &self.message)
    }
}

/// `Level [CODE] (Kind ns/name file:line) message`, as istioctl writes it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.code.level, self.code.id)?;
        match [self.origin.as_str(), self.reference.as_str()].join(" ").trim() {
            "" => {}
            place => write!(f, " ({place})")?,
        }
        write!(f, " {}", self.message)
    }
}

/// istioctl's fields, in its order.
impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code.id)?;
        map.serialize_entry("documentationUrl", &self.documentation_url())?;
        map.serialize_entry("level", &self.code.level)?;
        map.serialize_entry("message", &self.message)?;
        if !self.origin.is_empty() {
            map.serialize_entry("origin", &self.origin)?;
        }
        if !self.reference.is_empty() {
            map.serialize_entry("reference", &self.reference)?;
        }
        map.end()
    }
}

/// What the checks have found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    found: Vec<Finding>,
}

impl Report {
    /// A finding about the field at `path`; its line is that of the nearest field that exists.
    pub(crate) fn add(&mut self, code: &'static Code, object: &Object, path: &Path, message: impl Into<String>) {
        if is_suppressed(object, code.id) {
            return;
        }
        self.found.push(Finding {
            code,
            message: message.into(),
            origin: object.describe(),
            namespace: if object.kind == "Namespace" { object.name.clone() } else { object.namespace().to_owned() },
            reference: reference(object, path),
        });
    }

    /// What `leno_config` found, in other words, at the line that it found.
    pub(crate) fn diagnostic(&mut self, code: &'static Code, object: &Object, from: &Diagnostic, message: String) {
        let before = self.found.len();
        self.add(code, object, &Path::root(), message);
        let position = from.position.as_ref().filter(|p| !p.file.is_empty());
        if let (Some(added), Some(position)) = (self.found.get_mut(before), position) {
            added.reference = format!("{}:{}", position.file, position.line);
        }
    }

    /// The same, about a field given as `a.b.c`.
    pub(crate) fn at(&mut self, code: &'static Code, object: &Object, fields: &str, message: impl Into<String>) {
        self.add(code, object, &Path::root().keys(fields), message);
    }

    /// Objects that are there twice in files: only the last one can be applied.
    pub(crate) fn duplicates(&mut self, objects: &[Object]) {
        let mut first: BTreeMap<(&str, &str, &str, &str), &Object> = BTreeMap::new();
        for object in objects.iter().filter(|o| !o.position.file.is_empty()) {
            let key = (object.group(), object.kind.as_str(), object.namespace(), object.name.as_str());
            if let Some(other) = first.insert(key, object) {
                let message = format!("The object is there twice: it replaces the one of {}.", other.position);
                self.at(&DUPLICATE_OBJECT, object, "metadata.name", message);
            }
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.found.sort_by(|a, b| a.order().cmp(&b.order()));
        self.found.dedup();
        self.found
    }
}

fn reference(object: &Object, path: &Path) -> String {
    match &*object.position.file {
        "" => String::new(),
        file => format!("{file}:{}", object.line_of(path)),
    }
}

fn is_suppressed(object: &Object, code: &str) -> bool {
    let annotation = object.json.pointer("/metadata/annotations/galley.istio.io~1analyze-suppress");
    annotation.and_then(|v| v.as_str()).is_some_and(|list| list.split(',').any(|c| c.trim() == "*" || c.trim() == code))
}

/// Two documents with one name: `kubectl apply` lets the last one win in silence.
pub(crate) static DUPLICATE_OBJECT: Code = Code {
    id: "LENO0004",
    name: "DuplicateObject",
    level: Level::Warning,
    what: "Two documents in the files are of the same kind, namespace and name. Applied together, the later one replaces \
           the earlier one in silence.",
    mend: "Join the two, or give one another name.",
};
