//! `AdmissionReview`, as much of it as is needed, from whoever sent it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The question.
#[derive(Clone, Debug)]
pub(super) struct Review {
    api_version: String,
    uid: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub(super) operation: String,
    /// Of the resource, such as `Pod`.
    pub(super) kind: String,
    /// Where the object is or will be; empty for objects of the whole cluster.
    pub(super) namespace: String,
    /// The part of the object that is spoken of, such as `status`.
    pub(super) subresource: String,
    /// The object as it is to be.
    pub(super) object: Value,
    /// The object as it was.
    pub(super) old: Value,
}

/// The answer, but for what is the same in all.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// Why not, with the HTTP status that goes with it. `None`: allowed.
    pub(super) denied: Option<(u16, &'static str, String)>,
    /// Said to whoever applies the object.
    pub(super) warnings: Vec<String>,
    /// Operations of a JSON patch.
    pub(super) patch: Vec<Value>,
}

impl Review {
    /// Reads the question.
    ///
    /// # Errors
    /// The bytes are no `AdmissionReview` with a request.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut review: Value = serde_json::from_slice(bytes).map_err(|e| format!("not JSON: {e}"))?;
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        if text(&review["kind"]) != "AdmissionReview" || !review["request"].is_object() {
            return Err("not an AdmissionReview with a request".to_owned());
        }
        let api_version = text(&review["apiVersion"]);
        let request = &mut review["request"];
        let uid = text(&request["uid"]);
        if uid.is_empty() {
            return Err("the request has no uid".to_owned());
        }
        Ok(Self {
            api_version,
            uid,
            operation: text(&request["operation"]),
            kind: text(&request["kind"]["kind"]),
            namespace: text(&request["namespace"]),
            subresource: text(&request["subResource"]),
            object: request["object"].take(),
            old: request["oldObject"].take(),
        })
    }

    /// The whole answer.
    pub(super) fn answer(&self, answer: Answer) -> Value {
        let mut response = json!({"uid": self.uid, "allowed": answer.denied.is_none()});
        if let Some((code, reason, message)) = answer.denied {
            response["status"] = json!({"status": "Failure", "code": code, "reason": reason, "message": message});
        }
        if !answer.warnings.is_empty() {
            response["warnings"] = answer.warnings.iter().take(WARNINGS).map(|w| cut(w)).collect();
        }
        if !answer.patch.is_empty() {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(STANDARD.encode(Value::Array(answer.patch).to_string()));
        }
        json!({"apiVersion": self.api_version, "kind": "AdmissionReview", "response": response})
    }
}

/// The API server drops warnings that are longer, and all of them where there are too many.
fn cut(warning: &str) -> String {
    if warning.chars().count() <= WARNING {
        return warning.to_owned();
    }
    let mut short: String = warning.chars().take(WARNING - 1).collect();
    short.push('…');
    short
}

const WARNING: usize = 240;
const WARNINGS: usize = 15;
