//! `/validate`: Leno's objects are judged as they are applied.

use leno_config::{Diagnostic, LowerContext, Severity, check_object};
use serde_json::{Value, json};

use super::review::{Answer, Review};

/// The answer to an `AdmissionReview` of an object.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The whole `AdmissionReview`.
    pub review: Value,
    /// Why it is refused.
    pub refused: Option<String>,
}

/// Answers an `AdmissionReview`: an object that Leno would refuse is denied with field and reason, and what is not honoured
/// in one that it takes is warned of.
///
/// # Errors
/// The bytes are no `AdmissionReview`.
pub fn validate(review: &[u8], context: &LowerContext) -> Result<Judgement, String> {
    let review = Review::read(review)?;
    if !matches!(review.operation.as_str(), "CREATE" | "UPDATE") || !review.subresource.is_empty() {
        return Ok(Judgement { review: review.answer(Answer::default()), refused: None });
    }
    let findings = judge(&review, context);
    let (errors, others): (Vec<_>, Vec<_>) = findings.into_iter().partition(Diagnostic::is_error);
    let worth = others.into_iter().filter(|f| f.severity == Severity::Warning);
    let mut warnings: Vec<String> = worth.map(|f| words(&f)).collect();
    if errors.is_empty() {
        return Ok(Judgement { review: review.answer(Answer { warnings, ..Answer::default() }), refused: None });
    }
    let reason = errors.iter().map(words).collect::<Vec<_>>().join("; ");
    if keeps_what_it_says(&review) {
        // It was there before it was judged. Refused, it could not even be deleted if it has a finalizer.
        warnings.insert(0, format!("this object is not in force: {reason}"));
        return Ok(Judgement { review: review.answer(Answer { warnings, ..Answer::default() }), refused: None });
    }
    let denied = Some((422, "Invalid", reason.clone()));
    Ok(Judgement { review: review.answer(Answer { denied, warnings, ..Answer::default() }), refused: Some(reason) })
}

fn judge(review: &Review, context: &LowerContext) -> Vec<Diagnostic> {
    let mut object = review.object.clone();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return vec![Diagnostic::at(Severity::Error, None, "the object has no metadata")];
    };
    // The API server gives the name that it makes; another may ask before that.
    if metadata.get("name").and_then(Value::as_str).is_none_or(str::is_empty)
        && let Some(prefix) = metadata.get("generateName").and_then(Value::as_str)
    {
        let name = format!("{prefix}x");
        metadata.insert("name".to_owned(), json!(name));
    }
    if !review.namespace.is_empty() {
        metadata.entry("namespace").or_insert_with(|| json!(review.namespace));
    }
    let read = leno_config::read("", &object.to_string());
    let mut findings = read.diagnostics;
    for object in &read.objects {
        findings.extend(check_object(object, context));
    }
    findings
}

/// Whether an update changes nothing of what the object says, or the object is on its way out.
fn keeps_what_it_says(review: &Review) -> bool {
    let going = |o: &Value| o.pointer("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null());
    review.operation == "UPDATE" && (going(&review.object) || review.object["spec"] == review.old["spec"])
}

/// As [`Diagnostic`] writes itself, without a place in a file and without its weight, which the answer says.
fn words(finding: &Diagnostic) -> String {
    let bare = Diagnostic { position: None, ..finding.clone() }.to_string();
    let weight = format!("{}: ", finding.severity);
    bare.strip_prefix(&weight).unwrap_or(&bare).to_owned()
}
