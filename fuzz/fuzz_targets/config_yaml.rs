//! Files of anyone: read, judged and lowered, whatever they hold.
#![no_main]

use leno_config::{LowerContext, check_all, lower, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    // `read` takes text by itself; the kinds are deep, so that the same bytes are also tried as the spec of each.
    judge(&text);
    let Some((selector, spec)) = text.split_at_checked(1) else { return };
    let index = usize::from(selector.as_bytes().first().copied().unwrap_or_default()) % KINDS.len();
    let (api_version, kind) = KINDS[index];
    judge(&format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a, namespace: istio-system}}\nspec: {spec}\n"));
});

const KINDS: &[(&str, &str)] = &[
    ("v1", "Service"),
    ("v1", "Pod"),
    ("v1", "ConfigMap"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "Job"),
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.istio.io/v1", "DestinationRule"),
    ("security.istio.io/v1", "PeerAuthentication"),
    ("security.istio.io/v1", "AuthorizationPolicy"),
    ("split.smi-spec.io/v1alpha4", "TrafficSplit"),
];

fn judge(text: &str) {
    let read = read("fuzz.yaml", text);
    let context = LowerContext::default();
    for object in &read.objects {
        if let Ok((_, findings)) = lower(object, &context) {
            assert!(!findings.iter().any(leno_config::Diagnostic::is_error), "an error beside a result");
        }
    }
    for diagnostic in read.diagnostics.iter().chain(&check_all(&read.objects, &context)) {
        let _ = diagnostic.to_string();
    }
}
