//! Tokens of end users.

use leno_config::Object;
use leno_config::object::Path;
use leno_core::model::selects;
use serde_json::Value;

use crate::code::{Code, Level};
use crate::finding::Report;
use crate::json::{labels, list, text, texts};
use crate::mesh::selector_of;
use crate::set::Set;

pub(super) const CODES: &[&Code] = &[&CLAIMS, &NOT_REQUIRED, &PLAINTEXT_KEYS];

/// Routing by claims of a token that nobody checks.
static CLAIMS: Code = Code {
    id: "IST0149",
    name: "JwtClaimBasedRoutingWithoutRequestAuthN",
    level: Level::Error,
    what: "A VirtualService routes by claims of a token (`@request.auth.claims`), and no RequestAuthentication has the \
           gateway's pods check tokens: the rule never matches.",
    mend: "Make a RequestAuthentication that selects the gateway's pods.",
};

/// Tokens are checked where they are given, and need not be given.
static NOT_REQUIRED: Code = Code {
    id: "LENO0066",
    name: "JwtNotRequired",
    level: Level::Info,
    what: "A RequestAuthentication refuses bad tokens, and lets requests without any token through. No AuthorizationPolicy of \
           its namespace asks for one.",
    mend: "Add an AuthorizationPolicy that allows `from: [{source: {requestPrincipals: [\"*\"]}}]` only.",
};

/// Keys are fetched without protection.
static PLAINTEXT_KEYS: Code = Code {
    id: "LENO0067",
    name: "JwksOverPlaintext",
    level: Level::Warning,
    what: "The keys that tokens are checked by are fetched over http: who can change them on the way can sign any token.",
    mend: "Give `jwksUri` with https, or the keys themselves in `jwks`.",
};

pub(super) fn check(set: &Set<'_>, out: &mut Report) {
    for object in set.of("security.istio.io", "RequestAuthentication") {
        for (index, rule) in list(&object.json, "/spec/jwtRules").iter().enumerate() {
            let uri = text(rule, "/jwksUri").or_else(|| text(rule, "/jwks_uri"));
            if let Some(uri) = uri.filter(|u| u.starts_with("http://") && !is_within(u)) {
                let path = Path::root().keys("spec.jwtRules").index(index).key("jwksUri");
                out.add(&PLAINTEXT_KEYS, object, &path, format!("The keys are fetched from {uri} without protection."));
            }
        }
        let rules = !list(&object.json, "/spec/jwtRules").is_empty();
        if rules && !set.of("security.istio.io", "AuthorizationPolicy").any(|p| asks_for_token(set, p, object)) {
            out.at(&NOT_REQUIRED, object, "spec.jwtRules", "Requests without a token are let through.");
        }
    }
    for object in set.virtual_services() {
        claims(set, out, object);
    }
}

/// Within the cluster the mesh protects the connection.
fn is_within(uri: &str) -> bool {
    let host = uri.trim_start_matches("http://").split(['/', ':']).next().unwrap_or_default();
    !host.contains('.') || host.ends_with(".svc") || host.ends_with(".svc.cluster.local")
}

fn asks_for_token(set: &Set<'_>, policy: &Object, object: &Object) -> bool {
    let in_reach = policy.namespace() == object.namespace() || set.is_root(policy.namespace());
    in_reach
        && list(&policy.json, "/spec/rules").iter().any(|rule| {
            let from = list(rule, "/from").iter().any(|f| {
                let of = |key: &str| !texts(f, &format!("/source/{key}")).is_empty();
                of("requestPrincipals") || of("notRequestPrincipals")
            });
            let when = list(rule, "/when").iter().filter_map(|w| text(w, "/key"));
            from || when.into_iter().any(|key| key.starts_with("request.auth."))
        })
}

fn claims(set: &Set<'_>, out: &mut Report, object: &Object) {
    for name in texts(&object.json, "/spec/gateways") {
        let Some(gateway) = super::gateways::gateway(set, name, object.namespace()) else { continue };
        let selector = labels(&gateway.json, "/spec/selector");
        let Some(pod) = set.workloads().iter().find(|w| selects(&selector, &w.labels)) else { continue };
        let checked = set.of("security.istio.io", "RequestAuthentication").any(|r| {
            (r.namespace() == pod.namespace() || set.is_root(r.namespace())) && selects(&selector_of(r), &pod.labels)
        });
        if checked {
            continue;
        }
        for (index, rule) in list(&object.json, "/spec/http").iter().enumerate() {
            if let Some(key) = list(rule, "/match").iter().find_map(claim) {
                let message = format!(
                    "The virtual service uses the JWT claim based routing (key: {key}) but found no request authentication for \
                     the gateway ({}/{}) pod ({}).",
                    gateway.namespace(),
                    gateway.name,
                    pod.object.name
                );
                out.add(&CLAIMS, object, &Path::root().keys("spec.http").index(index).key("match"), message);
            }
        }
    }
}

fn claim(matches: &Value) -> Option<&str> {
    let maps = [matches.get("headers"), matches.get("withoutHeaders")];
    let keys = maps.into_iter().flatten().filter_map(Value::as_object).flat_map(|map| map.keys());
    keys.map(String::as_str).find(|key| key.starts_with("@request.auth.claims"))
}
