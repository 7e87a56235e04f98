//! Templates to pods: names, injection, typed form.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{SystemTime, UNIX_EPOCH};

use leno_config::k8s;
use leno_install::{InjectOutcome, InjectSettings, NamespaceMeta, inject};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::object::ObjectKey;

/// A pod to be made.
#[derive(Debug)]
pub(super) struct Made {
    /// The whole object, injected where it is to be.
    pub(super) object: Value,
    /// The same, typed.
    pub(super) typed: k8s::Pod,
    /// It has a sidecar.
    pub(super) meshed: bool,
    /// Why it has none.
    pub(super) note: String,
    /// What injection warned of.
    pub(super) warnings: Vec<String>,
}

/// Makes a pod from a template (`metadata` and `spec`).
///
/// # Errors
/// The template has no shape of a pod.
pub(super) fn make(
    template: &Value,
    (namespace, name): (&str, &str),
    owner: Option<&ObjectKey>,
    space: &NamespaceMeta,
    settings: &InjectSettings,
) -> Result<Made, String> {
    let mut metadata = template["metadata"].as_object().cloned().unwrap_or_default();
    metadata.insert("name".into(), json!(name));
    metadata.insert("namespace".into(), json!(namespace));
    metadata.insert("uid".into(), json!(uid()));
    metadata.insert("creationTimestamp".into(), json!(rfc3339(SystemTime::now())));
    if let Some(owner) = owner {
        let owner = json!({"apiVersion": owner.group, "kind": owner.kind, "name": owner.name, "controller": true});
        metadata.insert("ownerReferences".into(), json!([owner]));
    }
    let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]});
    object["spec"]["nodeName"] = json!(crate::pod::env::NODE_NAME);
    if let Some(account) =
        template["spec"]["serviceAccountName"].as_str().or(template["spec"]["serviceAccount"].as_str())
    {
        object["spec"]["serviceAccountName"] = json!(account);
    } else {
        object["spec"]["serviceAccountName"] = json!("default");
    }
    let (meshed, note, warnings) = match inject(&mut object, space, settings) {
        InjectOutcome::Injected { warnings } => (true, String::new(), warnings),
        InjectOutcome::Skipped { reason, .. } => (false, reason, Vec::new()),
    };
    let typed = serde_json::from_value(object.clone()).map_err(|e| format!("it is no pod: {e}"))?;
    Ok(Made { object, typed, meshed, note, warnings })
}

/// A hash of a template, short enough for names.
#[must_use]
pub(super) fn hash_of(template: &Value, salt: &str) -> String {
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    salt.hash(&mut hasher);
    letters(hasher.finish(), 5)
}

/// A name of its own for a pod.
#[must_use]
pub(super) fn name_for(base: &str) -> String {
    format!("{base}-{}", letters(rand::rng().random(), 4))
}

/// What a namespace says about its pods.
#[must_use]
pub(super) fn namespace_meta(name: &str, object: Option<&Value>) -> NamespaceMeta {
    let map = |v: &Value| -> BTreeMap<String, String> { serde_json::from_value(v.clone()).unwrap_or_default() };
    let meta = object.map(|o| &o["metadata"]);
    NamespaceMeta {
        name: name.to_owned(),
        labels: meta.map(|m| map(&m["labels"])).unwrap_or_default(),
        annotations: meta.map(|m| map(&m["annotations"])).unwrap_or_default(),
    }
}

/// A random unique id in the usual form.
#[must_use]
pub(super) fn uid() -> String {
    let n: u128 = rand::rng().random();
    let hex = format!("{n:032x}");
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// A time in RFC 3339, whole seconds, UTC.
#[must_use]
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days since 1970 (H. Hinnant's algorithm), with years that begin in March.
    let z = days + 719_468;
    let era = z / 146_097;
    let of_era = z % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

fn letters(mut n: u64, count: usize) -> String {
    // No vowels and nothing that looks like something else, as Kubernetes has it.
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut out = String::with_capacity(count);
    for _ in 0..count {
        let at = usize::try_from(n % ALPHABET.len() as u64).unwrap_or(0);
        out.push(char::from(ALPHABET[at]));
        n /= ALPHABET.len() as u64;
    }
    out
}

#[cfg(test)]
mod tests;
