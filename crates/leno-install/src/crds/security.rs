//! `security.istio.io`.

use serde_json::{Value, json};

use super::policy::{selector, target_ref, target_refs};
use super::schema::{duration, flag, list, map, nonempty, obj, obj_with, text, texts, word};
use super::{AGE, Definition};

/// All of the group.
pub(super) fn kinds() -> Vec<Definition> {
    vec![
        Definition {
            short: &["pa"],
            columns: &[("Mode", "string", ".spec.mtls.mode"), AGE],
            ..kind("PeerAuthentication", "peerauthentications", peer_authentication())
        },
        Definition {
            short: &["ap"],
            columns: &[("Action", "string", ".spec.action"), AGE],
            ..kind("AuthorizationPolicy", "authorizationpolicies", authorization_policy())
        },
        Definition {
            short: &["ra"],
            ..kind("RequestAuthentication", "requestauthentications", request_authentication())
        },
    ]
}

fn kind(kind: &'static str, plural: &'static str, spec: Value) -> Definition {
    Definition {
        group: "security.istio.io",
        kind,
        plural,
        short: &[],
        versions: &["v1", "v1beta1"],
        storage: "v1",
        columns: &[],
        spec_required: false,
        spec,
    }
}

fn peer_authentication() -> Value {
    let mtls = || obj(&[("mode", word(&["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]))]);
    obj(&[("selector", selector()), ("mtls", mtls()), ("portLevelMtls", map(mtls()))])
}

fn authorization_policy() -> Value {
    // Each word has its opposite.
    let both = |names: &[&'static str]| -> Vec<(String, Value)> {
        let not = |n: &str| {
            let mut letters = n.chars();
            let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            format!("not{first}{}", letters.as_str())
        };
        names.iter().flat_map(|n| [((*n).to_owned(), texts()), (not(n), texts())]).collect()
    };
    let closed = |names: &[&'static str]| {
        let properties = both(names);
        let properties: Vec<(&str, Value)> = properties.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        obj(&properties)
    };
    let source = closed(&[
        "principals",
        "requestPrincipals",
        "namespaces",
        "serviceAccounts",
        "trustDomains",
        "ipBlocks",
        "remoteIpBlocks",
    ]);
    let operation = closed(&["hosts", "ports", "methods", "paths"]);
    let when = obj_with(&["key"], &[("key", text()), ("values", texts()), ("notValues", texts())]);
    let rule = obj(&[
        ("from", list(obj(&[("source", source)]))),
        ("to", list(obj(&[("operation", operation)]))),
        ("when", list(when)),
    ]);
    obj(&[
        ("selector", selector()),
        ("targetRef", target_ref()),
        ("targetRefs", target_refs()),
        ("action", word(&["ALLOW", "DENY", "AUDIT", "CUSTOM"])),
        ("provider", obj(&[("name", text())])),
        ("rules", list(rule)),
    ])
}

fn request_authentication() -> Value {
    let names = || list(nonempty());
    let uri = || json!({"type": "string", "minLength": 1, "maxLength": 2048});
    let header = obj_with(&["name"], &[("name", nonempty()), ("prefix", text())]);
    let claim = obj_with(&["header", "claim"], &[("header", nonempty()), ("claim", nonempty())]);
    let rule = obj(&[
        ("issuer", nonempty()),
        ("audiences", names()),
        ("jwksUri", uri()),
        ("jwks_uri", uri()),
        ("jwks", text()),
        ("fromHeaders", list(header)),
        ("fromParams", names()),
        ("fromCookies", names()),
        ("outputPayloadToHeader", text()),
        ("outputClaimToHeaders", list(claim)),
        ("forwardOriginalToken", flag()),
        ("spaceDelimitedClaims", names()),
        ("timeout", duration()),
    ]);
    obj(&[
        ("selector", selector()),
        ("targetRef", target_ref()),
        ("targetRefs", target_refs()),
        ("jwtRules", list(rule)),
    ])
}
