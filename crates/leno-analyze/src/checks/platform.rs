//! What the cluster itself says: webhooks, conditions.

use leno_config::Object;
use leno_config::object::Path;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{list, text};
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[&WEBHOOK, &CONDITION];

/// A webhook of a mesh leads to a service that does not exist.
static WEBHOOK: Code = Code {
    id: "IST0139",
    name: "InvalidWebhook",
    level: Level::Error,
    what: "A webhook of a mesh leads to a Service that does not exist: what it is asked about fails, or goes past it. It is \
           most often left over from a mesh, or a revision, that was uninstalled.",
    mend: "Delete the webhook configuration if nothing uses it any more (`leno uninstall --purge` lists what is left), or \
           install the control plane that it belongs to.",
};

/// The control plane has refused the object.
static CONDITION: Code = Code {
    id: "IST0171",
    name: "NegativeConditionStatus",
    level: Level::Warning,
    what: "The status of an object says that it was not accepted, or that something it needs is not there.",
    mend: "Do as the condition's message says.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        for object in set.of("admissionregistration.k8s.io", kind) {
            webhook(set, out, object);
        }
    }
    for object in set.all() {
        conditions(out, object);
    }
}

fn webhook(set: &Set<'_>, out: &mut Report, object: &Object) {
    if !set.options.complete {
        return;
    }
    for (index, webhook) in list(&object.json, "/webhooks").iter().enumerate() {
        let name = text(webhook, "/name").unwrap_or_default();
        let of_a_mesh = [".istio.io", ".linkerd.io", ".leno.dev"].iter().any(|suffix| name.ends_with(suffix));
        let service = |key: &str| text(webhook, &format!("/clientConfig/service/{key}"));
        let (Some(namespace), Some(service)) = (service("namespace"), service("name")) else { continue };
        if of_a_mesh && !set.has("", "Service", namespace, service) {
            let message = format!(
                "The webhook {name} refers to a control plane service that does not exist: {namespace}/{service}."
            );
            out.add(&WEBHOOK, object, &Path::root().key("webhooks").index(index), message);
        }
    }
}

/// Conditions that say that an object has no effect, where they are False.
const NEEDED: &[&str] = &["Accepted", "Programmed", "ResolvedRefs"];
const GROUPS: &[&str] = &["istio.io", "linkerd.io", "smi-spec.io", "gateway.networking.k8s.io"];

fn conditions(out: &mut Report, object: &Object) {
    if !GROUPS.iter().any(|g| object.group() == *g || object.group().ends_with(&format!(".{g}"))) {
        return;
    }
    let parents = list(&object.json, "/status/parents").iter().flat_map(|p| list(p, "/conditions"));
    for condition in list(&object.json, "/status/conditions").iter().chain(parents) {
        let of = |key: &str| text(condition, key).unwrap_or_default();
        if of("/status") == "False" && NEEDED.contains(&of("/type")) {
            let message = format!(
                "A condition with a negative status is present: type={}, reason={}, message={}.",
                of("/type"),
                of("/reason"),
                of("/message")
            );
            out.at(&CONDITION, object, "status", message);
        }
    }
}
