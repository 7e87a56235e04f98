//! Policies: each one's verdict, and what follows.

use crate::harness::{Case, case, mtls, policy, virtual_service};

const WEB: &str = "GET http://catalog/items --from deploy/web -n shop";

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn cases() -> Vec<Case> {
    let select = "  selector: {matchLabels: {app: catalog}}\n";
    let with = |name: &str, action: &str, rules: &str| policy(name, &format!("{select}  action: {action}\n{rules}"));
    vec![
        case("no policy", "", WEB, "answered", -1, &["allowed: no policy selects this pod"]),
        case(
            "nothing is allowed",
            &policy("none", "  {}\n"),
            WEB,
            "policy_denied",
            403,
            &["denied: shop/none", "ALLOW: has no rules, so nothing matches"],
        ),
        case(
            "allowed by principal",
            &with("a", "ALLOW", "  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]\n"),
            WEB,
            "answered",
            -1,
            &["allowed by shop/a", "ALLOW: rule 1 matches"],
        ),
        case(
            "not allowed to others",
            &with("a", "ALLOW", "  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/pay]}}]}]\n"),
            WEB,
            "policy_denied",
            403,
            &["ALLOW: does not match (rule 1: no source of `from`)"],
        ),
        case(
            "allowed by namespace",
            &with("a", "ALLOW", "  rules: [{from: [{source: {namespaces: [shop]}}]}]\n"),
            WEB,
            "answered",
            -1,
            &["allowed by shop/a"],
        ),
        case(
            "plaintext proves no namespace",
            &with("a", "ALLOW", "  rules: [{from: [{source: {namespaces: [out]}}]}]\n"),
            "GET http://catalog.shop/ --from deploy/client -n out",
            "policy_denied",
            403,
            &["no source of `from`"],
        ),
        case(
            "a method that is not allowed",
            &with("a", "ALLOW", "  rules: [{to: [{operation: {methods: [POST]}}]}]\n"),
            WEB,
            "policy_denied",
            403,
            &["no operation of `to`"],
        ),
        case(
            "a path that is",
            &with("a", "ALLOW", "  rules: [{to: [{operation: {paths: ['/items*']}}]}]\n"),
            WEB,
            "answered",
            -1,
            &["allowed by shop/a"],
        ),
        case(
            "a header that is wanted",
            &with("a", "ALLOW", "  rules: [{when: [{key: 'request.headers[x-key]', values: ['7']}]}]\n"),
            WEB,
            "policy_denied",
            403,
            &["not `when` request.headers[x-key]"],
        ),
        case(
            "DENY before ALLOW",
            &format!(
                "{}{}",
                with("a", "ALLOW", "  rules: [{}]\n"),
                with("d", "DENY", "  rules: [{to: [{operation: {paths: [/items]}}]}]\n")
            ),
            WEB,
            "policy_denied",
            403,
            &["denied: shop/d (rule 1)", "ALLOW: rule 1 matches"],
        ),
        case(
            "DENY that does not match",
            &with("d", "DENY", "  rules: [{to: [{operation: {paths: [/other]}}]}]\n"),
            WEB,
            "answered",
            -1,
            &["no policy denies it", "DENY: does not match"],
        ),
        case(
            "AUDIT decides nothing",
            &with("note", "AUDIT", "  rules: [{}]\n"),
            WEB,
            "answered",
            -1,
            &["AUDIT: rule 1 matches"],
        ),
        case(
            "the pod's port, not the service's",
            &with("a", "ALLOW", "  rules: [{to: [{operation: {ports: ['80']}}]}]\n"),
            WEB,
            "policy_denied",
            403,
            &[],
        ),
        case(
            "an opaque connection cannot meet what speaks of requests",
            &policy(
                "db",
                "  selector: {matchLabels: {app: db}}\n  action: ALLOW\n  rules: [{to: [{operation: {methods: [GET]}}]}]\n",
            ),
            "tcp://db:5432 --from deploy/web -n shop",
            "policy_denied",
            0,
            &["no operation of `to`"],
        ),
        case(
            "what is judged is the rewritten path",
            &format!(
                "{}{}",
                virtual_service("catalog", "  - rewrite: {uri: /inner}\n    route: [{destination: {host: catalog}}]\n"),
                with("a", "ALLOW", "  rules: [{to: [{operation: {paths: ['/inner*']}}]}]\n")
            ),
            WEB,
            "answered",
            -1,
            &["allowed by shop/a"],
        ),
        case(
            "STRICT is asked before policies",
            &format!("{}{}", mtls("shop", "default", "  mtls: {mode: STRICT}\n"), policy("none", "  {}\n")),
            "GET http://catalog.shop/ --from deploy/client -n out",
            "plaintext_refused",
            0,
            &["STRICT"],
        ),
    ]
}
