//! `/inject`: a pod gets its sidecar as it is made.

use std::sync::Arc;

use leno_install::inject::SKIPPED_ANNOTATION;
use leno_install::{InjectOutcome, InjectSettings, NamespaceMeta, inject};
use serde_json::{Value, json};

use super::patch;
use super::review::{Answer, Review};

/// What became of the pod, for counters and log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has a sidecar.
    Injected,
    /// It has none, for this reason.
    Skipped(String),
    /// It is refused, so that it does not run without what it is to have.
    Refused(String),
}

/// The answer to an `AdmissionReview` of a pod.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The whole `AdmissionReview`.
    pub review: Value,
    /// What became of the pod.
    pub outcome: Outcome,
    /// `namespace/name` of the pod, as far as it is known.
    pub pod: String,
}

/// Answers an `AdmissionReview`: with a JSON patch if the pod or its namespace asks for a sidecar.
///
/// # Errors
/// The bytes are no `AdmissionReview`.
pub fn admit_pod(
    review: &[u8],
    settings: &InjectSettings,
    namespaces: &dyn Fn(&str) -> Option<Arc<NamespaceMeta>>,
) -> Result<Admission, String> {
    let review = Review::read(review)?;
    let meta = &review.object["metadata"];
    let name = meta["name"].as_str().or_else(|| meta["generateName"].as_str()).unwrap_or_default();
    let pod = format!("{}/{name}", review.namespace);
    let done = |answer: Answer, outcome: Outcome| Ok(Admission { review: review.answer(answer), outcome, pod });
    if review.kind != "Pod" || review.operation != "CREATE" || !review.subresource.is_empty() {
        let reason = "only pods that are made get a sidecar".to_owned();
        return done(Answer::default(), Outcome::Skipped(reason));
    }
    let Some(namespace) = namespaces(&review.namespace) else {
        // Let through, it might run without the sidecar that its policies count on. Controllers try again.
        let reason = format!("the control plane does not know namespace {} yet: try again", review.namespace);
        let denied = Some((503, "ServiceUnavailable", reason.clone()));
        return done(Answer { denied, ..Answer::default() }, Outcome::Refused(reason));
    };
    let mut injected = review.object.clone();
    match inject(&mut injected, &namespace, settings) {
        InjectOutcome::Injected { warnings } => {
            let patch = patch::diff(&review.object, &injected);
            done(Answer { warnings, patch, denied: None }, Outcome::Injected)
        }
        InjectOutcome::Skipped { reason, impossible: false } => done(Answer::default(), Outcome::Skipped(reason)),
        InjectOutcome::Skipped { reason, impossible: true } => {
            // Whoever made the pod was a controller, as a rule: a warning alone would reach nobody.
            let patch = annotate(&review.object, &reason);
            let warnings = vec![format!("the pod gets no sidecar: {reason}")];
            done(Answer { warnings, patch, denied: None }, Outcome::Skipped(reason))
        }
    }
}

fn annotate(pod: &Value, reason: &str) -> Vec<Value> {
    let mut noted = pod.clone();
    let Some(metadata) = noted.get_mut("metadata").and_then(Value::as_object_mut) else { return Vec::new() };
    let annotations = metadata.entry("annotations").or_insert(Value::Null);
    if annotations.is_null() {
        *annotations = json!({});
    }
    let Some(annotations) = annotations.as_object_mut() else { return Vec::new() };
    annotations.insert(SKIPPED_ANNOTATION.to_owned(), json!(reason));
    patch::diff(pod, &noted)
}
