//! Linkerd's `linkerd.io`.

use serde_json::{Value, json};

use super::schema::{count, flag, int_or_text, list, number, obj, obj_with, text, texts};
use super::{AGE, Definition};

/// `ServiceProfile`.
pub(super) fn service_profile() -> Definition {
    let class = obj(&[("condition", response()), ("isFailure", flag())]);
    let route = obj_with(
        &["name", "condition"],
        &[
            ("name", text()),
            ("condition", request()),
            ("isRetryable", flag()),
            ("timeout", text()),
            ("responseClasses", list(class)),
        ],
    );
    let budget = obj(&[("minRetriesPerSecond", count()), ("retryRatio", number()), ("ttl", text())]);
    let dst = obj_with(&["authority"], &[("authority", text()), ("weight", int_or_text())]);
    Definition {
        group: "linkerd.io",
        kind: "ServiceProfile",
        plural: "serviceprofiles",
        short: &["sp"],
        versions: &["v1alpha2", "v1alpha1"],
        storage: "v1alpha2",
        columns: &[AGE],
        spec_required: true,
        spec: obj(&[
            ("routes", list(route)),
            ("retryBudget", budget),
            ("dstOverrides", list(dst)),
            ("opaquePorts", texts()),
        ]),
    }
}

/// Conditions nest without end, which a structural schema cannot say: their inner parts are left to the webhook.
fn nested() -> [(&'static str, Value); 3] {
    let open = || json!({"x-kubernetes-preserve-unknown-fields": true});
    [("all", list(open())), ("any", list(open())), ("not", open())]
}

fn request() -> Value {
    let mut parts = vec![("method", text()), ("pathRegex", text())];
    parts.extend(nested());
    obj(&parts)
}

fn response() -> Value {
    let range = obj(&[("min", count()), ("max", count())]);
    let mut parts = vec![("status", range)];
    parts.extend(nested());
    obj(&parts)
}
