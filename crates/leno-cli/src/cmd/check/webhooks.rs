//! The webhooks: is someone there, and trusted?

use serde_json::Value;

use super::certificates::{of_bundle, roots};
use super::outcome::{Category, Status};
use super::state::{ClusterState, list, text};

const KINDS: [(&str, &str, &str); 2] = [
    ("MutatingWebhookConfiguration", "leno-injector", "no pod gets a sidecar"),
    ("ValidatingWebhookConfiguration", "leno-validator", "bad objects are not refused when they are applied"),
];

pub(crate) fn check(state: &ClusterState) -> Category {
    let mut out = Category::new("webhooks");
    let roots = roots(state);
    let (mut missing, mut unreachable, mut stale) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, prefix, consequence) in KINDS {
        let own = |o: &&Value| {
            let name = text(&o["metadata"]["name"]);
            name == prefix || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('-'))
        };
        let all: Vec<&Value> = state.of(kind).filter(own).collect();
        if all.is_empty() {
            missing.push(format!("there is no {kind} {prefix}: {consequence}"));
        }
        for object in all {
            let name = text(&object["metadata"]["name"]);
            let mut said: Vec<String> = Vec::new();
            for webhook in list(&object["webhooks"]) {
                let service = &webhook["clientConfig"]["service"];
                let (namespace, target) = (text(&service["namespace"]), text(&service["name"]));
                let problem = match ready_endpoints(state, namespace, target) {
                    None => format!("{kind} {name}: its Service {namespace}/{target} does not exist"),
                    Some(0) => format!("{kind} {name}: its Service {namespace}/{target} has no ready endpoints"),
                    Some(_) => String::new(),
                };
                if !problem.is_empty() && !said.contains(&problem) {
                    said.push(problem);
                }
                let bundle = of_bundle(text(&webhook["clientConfig"]["caBundle"]));
                let trusted = bundle.iter().any(|c| roots.iter().any(|root| root.der == c.der));
                if !roots.is_empty() && !trusted {
                    let what = if bundle.is_empty() { "has no caBundle" } else { "has the caBundle of another root" };
                    stale.push(format!("{kind} {name}, {}: {what}", text(&webhook["name"])));
                }
            }
            unreachable.extend(said);
        }
    }
    out.add("the webhooks are there", Status::Failure, missing, "`leno install` makes them");
    let hint = "pods in meshed namespaces cannot start meanwhile; see the control plane's pods";
    out.add("the webhooks can be reached", Status::Failure, unreachable, hint);
    let hint =
        "the control plane's leader patches it: see `kubectl logs deploy/leno-control`, and restart it if it is silent";
    out.add("the webhooks are trusted by the API server", Status::Failure, stale, hint);
    out
}

/// Ready addresses behind a service; `None` where there is no such service.
fn ready_endpoints(state: &ClusterState, namespace: &str, service: &str) -> Option<usize> {
    let is = |o: &Value| o["metadata"]["namespace"] == namespace;
    state.of("Service").find(|s| is(s) && s["metadata"]["name"] == service)?;
    let slices =
        state.of("EndpointSlice").filter(|s| is(s) && s["metadata"]["labels"]["kubernetes.io/service-name"] == service);
    Some(slices.flat_map(|s| list(&s["endpoints"])).filter(|e| e["conditions"]["ready"] != false).count())
}
