//! HTTPRoute and GRPCRoute, which take destinations that do not exist for an error of their own; and what holds for one port.

use crate::harness::{Case, case, destination_rule, mtls, split};

const WEB: &str = "GET http://catalog/items --from deploy/web -n shop";
const CHARGE: &str = "grpc://pay:9090/shop.Pay/Charge --from deploy/web -n shop";
const STRICT: &str = "  mtls: {mode: STRICT}\n";

pub(crate) fn cases() -> Vec<Case> {
    [matching(), by_itself(), backends(), grpc(), ports()].concat()
}

/// A route of the shop with this parent and these rules.
fn route(kind: &str, name: &str, parent: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         parentRefs: [{{group: '', kind: Service, {parent}}}]\n  rules:\n{rules}---\n"
    )
}

fn http(rules: &str) -> String {
    route("HTTPRoute", "catalog", "name: catalog", rules)
}

const TO_CATALOG: &str = "backendRefs: [{name: catalog, port: 80}]";

fn matching() -> Vec<Case> {
    let path = |kind: &str, value: &str| {
        http(&format!("  - matches: [{{path: {{type: {kind}, value: {value}}}}}]\n    {TO_CATALOG}\n"))
    };
    vec![
        case(
            "HTTPRoute: a prefix of the path",
            &path("PathPrefix", "/items"),
            WEB,
            "answered",
            -1,
            &["rule 1: path begins with /items", "HTTPRoute shop/catalog, case.yaml:7"],
        ),
        case(
            "HTTPRoute: nothing matches",
            &path("Exact", "/other"),
            WEB,
            "route_not_found",
            404,
            &["no rule of shop/catalog matches", "path /items: wanted that it is /other"],
        ),
        case(
            "HTTPRoute: the more particular rule, with its place in the object",
            &http(&format!(
                "  - matches: [{{path: {{type: PathPrefix, value: /}}}}]\n    backendRefs: [{{name: empty, port: 80}}]\n  - matches: [{{path: {{type: Exact, value: /items}}}}]\n    {TO_CATALOG}\n"
            )),
            WEB,
            "answered",
            -1,
            &["rule 2: path is /items", "case.yaml:9"],
        ),
        case(
            "HTTPRoute: a header that is missing",
            &http(&format!("  - matches: [{{headers: [{{name: x-user, value: jason}}]}}]\n    {TO_CATALOG}\n")),
            WEB,
            "route_not_found",
            404,
            &["header x-user is missing"],
        ),
    ]
}

fn by_itself() -> Vec<Case> {
    vec![
        case(
            "HTTPRoute: a redirect",
            &http("  - filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]\n"),
            WEB,
            "redirected",
            301,
            &["redirects to https://catalog/items"],
        ),
        case(
            "HTTPRoute: a rewrite",
            &http(&format!(
                "  - matches: [{{path: {{type: PathPrefix, value: /items}}}}]\n    filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}}}}]\n    {TO_CATALOG}\n"
            )),
            "GET http://catalog/items/7 --from deploy/web -n shop",
            "answered",
            -1,
            &["path /v2/7"],
        ),
        case(
            "HTTPRoute: times",
            &http(&format!("  - timeouts: {{request: 5s, backendRequest: 2s}}\n    {TO_CATALOG}\n")),
            WEB,
            "answered",
            -1,
            &["5s for the whole request, retries included; 2s for each try"],
        ),
    ]
}

fn backends() -> Vec<Case> {
    vec![
        case(
            "HTTPRoute: a destination that does not exist",
            &http("  - backendRefs: [{name: nowhere, port: 80}]\n"),
            WEB,
            "invalid_backend",
            500,
            &["the route names shop/nowhere and may not, or cannot, send there"],
        ),
        case(
            "HTTPRoute: a port that the destination does not have",
            &http("  - backendRefs: [{name: catalog, port: 99}]\n"),
            WEB,
            "invalid_backend",
            500,
            &["the route names shop/catalog"],
        ),
        case(
            "HTTPRoute: a destination that is no Service",
            &http("  - backendRefs: [{group: example.com, kind: Bucket, name: files, port: 80}]\n"),
            WEB,
            "invalid_backend",
            500,
            &[],
        ),
        case(
            "HTTPRoute: no destination takes anything",
            &http("  - backendRefs: [{name: catalog, port: 80, weight: 0}]\n"),
            WEB,
            "invalid_backend",
            500,
            &[],
        ),
        split(
            "HTTPRoute: one of two destinations does not exist",
            &http("  - backendRefs: [{name: catalog, port: 80, weight: 3}, {name: nowhere, port: 80, weight: 1}]\n"),
            WEB,
            &[("answered", -1, 75.0), ("invalid_backend", 500, 25.0)],
            &["75 % (weight 3) shop/catalog:80", "25 % (weight 1) shop/nowhere:80"],
        ),
        case(
            "HTTPRoute: a destination without pods",
            &http("  - backendRefs: [{name: empty, port: 80}]\n"),
            WEB,
            "no_healthy_upstream",
            503,
            &["the service has no pod"],
        ),
    ]
}

fn grpc() -> Vec<Case> {
    let pay = "name: pay, port: 9090";
    let method =
        "  - matches: [{method: {service: shop.Pay, method: Charge}}]\n    backendRefs: [{name: pay, port: 9090}]\n";
    let other =
        "  - matches: [{method: {service: shop.Pay, method: Refund}}]\n    backendRefs: [{name: pay, port: 9090}]\n";
    let all = "  - backendRefs: [{name: nowhere, port: 80}]\n";
    vec![
        case(
            "GRPCRoute: a method",
            &route("GRPCRoute", "pay", pay, method),
            CHARGE,
            "answered",
            -1,
            &["path is /shop.Pay/Charge", "GRPCRoute shop/pay"],
        ),
        case(
            "GRPCRoute: another method",
            &route("GRPCRoute", "pay", pay, other),
            CHARGE,
            "route_not_found",
            404,
            &["wanted that it is /shop.Pay/Refund"],
        ),
        case(
            "GRPCRoute: an HTTPRoute for the same port is put aside",
            &format!("{}{}", route("HTTPRoute", "old", pay, all), route("GRPCRoute", "pay", pay, method)),
            CHARGE,
            "answered",
            -1,
            &["GRPCRoute shop/pay"],
        ),
        case(
            "GRPCRoute: a destination that does not exist",
            &route("GRPCRoute", "pay", pay, all),
            CHARGE,
            "invalid_backend",
            500,
            &[],
        ),
    ]
}

fn ports() -> Vec<Case> {
    let route_8080 =
        route("HTTPRoute", "pay", "name: pay, port: 8080", "  - backendRefs: [{name: nowhere, port: 80}]\n");
    let strict_port = mtls(
        "shop",
        "pay",
        "  selector: {matchLabels: {app: pay}}\n  mtls: {mode: PERMISSIVE}\n  portLevelMtls: {8080: {mode: STRICT}}\n",
    );
    let plain_port = format!(
        "{}{}",
        mtls("shop", "default", STRICT),
        destination_rule(
            "pay",
            "  trafficPolicy: {portLevelSettings: [{port: {number: 9090}, tls: {mode: DISABLE}}]}\n"
        )
    );
    let pool_port = destination_rule(
        "pay",
        "  trafficPolicy:\n    connectionPool: {tcp: {maxConnections: 5}}\n    portLevelSettings: [{port: {number: 9090}, connectionPool: {tcp: {maxConnections: 9}}}]\n",
    );
    vec![
        case(
            "a route for one port, asked at it",
            &route_8080,
            "GET http://pay:8080/ --from deploy/web -n shop",
            "invalid_backend",
            500,
            &[],
        ),
        case(
            "a route for one port, asked at another",
            &route_8080,
            "GET http://pay:7070/ --from deploy/web -n shop",
            "answered",
            -1,
            &["no rule speaks of port 7070: to the service itself"],
        ),
        case(
            "STRICT for one port, asked at it",
            &strict_port,
            "GET http://pay.shop:8080/ --from deploy/client -n out",
            "plaintext_refused",
            0,
            &["STRICT; the client speaks plaintext"],
        ),
        case(
            "STRICT for one port, asked at another",
            &strict_port,
            "GET http://pay.shop:7070/ --from deploy/client -n out",
            "answered",
            -1,
            &["PERMISSIVE; the client speaks plaintext"],
        ),
        case(
            "plaintext towards one port, asked at it",
            &plain_port,
            CHARGE,
            "upstream_reset",
            503,
            &["plaintext: the DestinationRule says DISABLE"],
        ),
        case(
            "plaintext towards one port, asked at another",
            &plain_port,
            "GET http://pay:8080/ --from deploy/web -n shop",
            "answered",
            -1,
            &["mutual TLS; must be"],
        ),
        case("limits of one port", &pool_port, CHARGE, "answered", -1, &["at most: connections 9"]),
        case(
            "limits of the other ports",
            &pool_port,
            "GET http://pay:8080/ --from deploy/web -n shop",
            "answered",
            -1,
            &["at most: connections 5"],
        ),
    ]
}
