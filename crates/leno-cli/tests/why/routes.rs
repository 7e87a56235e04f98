//! Rules: which one, what it does by itself, how long and how often.

use crate::harness::{Case, SUBSETS, case, destination_rule, split, virtual_service};

const WEB: &str = "GET http://catalog/items --from deploy/web -n shop";

fn to_v2() -> String {
    "  - route: [{destination: {host: catalog, subset: v2}}]\n".to_owned()
}

pub(crate) fn cases() -> Vec<Case> {
    [matching(), by_itself(), faults_and_time(), weights()].concat()
}

fn matching() -> Vec<Case> {
    let rule = |m: &str| {
        virtual_service("catalog", &format!("  - match: [{m}]\n    route: [{{destination: {{host: catalog}}}}]\n"))
    };
    vec![
        case("no rule at all", "", WEB, "answered", -1, &["no route rule speaks of the service", "mutual TLS; must be spiffe://cluster.local/ns/shop/sa/catalog"]),
        case("a path that begins so", &rule("{uri: {prefix: /it}}"), WEB, "answered", -1, &["rule 1: path begins with /it", "case.yaml:7"]),
        case("a path that does not", &rule("{uri: {prefix: /other}}"), WEB, "route_not_found", 404, &["path /items: wanted that it begins with /other"]),
        case("an exact path", &rule("{uri: {exact: /items}}"), WEB, "answered", -1, &["path is /items"]),
        case("a pattern", &rule("{uri: {regex: '/i.*s'}}"), WEB, "answered", -1, &["path matches /i.*s"]),
        case("another method", &rule("{method: {exact: POST}}"), WEB, "route_not_found", 404, &["method GET: wanted that it is POST"]),
        case("a header that is missing", &rule("{headers: {x-user: {exact: jason}}}"), WEB, "route_not_found", 404, &["header x-user is missing"]),
        case("a header that is there", &rule("{headers: {x-user: {exact: jason}}}"), "GET http://catalog/items --from deploy/web -n shop -H X-User:_jason", "answered", -1, &["header x-user is jason"]),
        case("a header of another value", &rule("{headers: {x-user: {exact: jason}}}"), "GET http://catalog/ --from deploy/web -n shop -H x-user:_eve", "route_not_found", 404, &["header x-user: wanted that it is jason"]),
        case("a header that must not be", &rule("{withoutHeaders: {x-bot: {}}}"), "GET http://catalog/ --from deploy/web -n shop -H x-bot:_1", "route_not_found", 404, &["header x-bot"]),
        case("a query", &rule("{queryParams: {v: {exact: '2'}}}"), "GET http://catalog/items?v=2 --from deploy/web -n shop", "answered", -1, &["query v is 2"]),
        case("another query", &rule("{queryParams: {v: {exact: '2'}}}"), "GET http://catalog/items?v=3 --from deploy/web -n shop", "route_not_found", 404, &["query v: wanted that it is 2"]),
        case("callers of other labels", &rule("{sourceLabels: {app: pay}}"), WEB, "route_not_found", 404, &["the caller has not app=pay"]),
        case("callers of these labels", &rule("{sourceLabels: {app: web}}"), WEB, "answered", -1, &["caller has app=web"]),
        case("callers of another namespace", &rule("{sourceNamespace: else}"), WEB, "route_not_found", 404, &["the caller is in namespace shop, not else"]),
        case("another port", &rule("{port: 81}"), WEB, "route_not_found", 404, &["port 80 is not 81"]),
        case("the authority", &rule("{authority: {exact: catalog}}"), "GET http://catalog:80/ --from deploy/web -n shop", "answered", -1, &["authority is catalog"]),
        case(
            "the second rule, and why not the first",
            &virtual_service("catalog", "  - match: [{uri: {exact: /a}}, {uri: {exact: /b}}]\n    route: [{destination: {host: catalog}}]\n  - name: rest\n    route: [{destination: {host: catalog}}]\n"),
            WEB,
            "answered",
            -1,
            &["rule 2 `rest`: takes every request", "rule 1: path /items: wanted that it is /a; or path /items: wanted that it is /b"],
        ),
        case("not exported to the caller", &format!("{}\n", virtual_service("catalog", "  - fault: {abort: {percentage: {value: 100}, httpStatus: 500}}\n    route: [{destination: {host: catalog}}]\n").replace("hosts:", "exportTo: [elsewhere]\n  hosts:")), WEB, "answered", -1, &["no route rule speaks"]),
    ]
}

fn by_itself() -> Vec<Case> {
    let cors = virtual_service(
        "catalog",
        "  - corsPolicy: {allowOrigins: [{exact: 'https://a.example'}], allowMethods: [GET]}\n    route: [{destination: {host: catalog}}]\n",
    );
    vec![
        case(
            "a redirect",
            &virtual_service("catalog", "  - redirect: {uri: /new, redirectCode: 302}\n"),
            WEB,
            "redirected",
            302,
            &["redirects to http://catalog/new"],
        ),
        case(
            "a redirect's usual status",
            &virtual_service("catalog", "  - redirect: {authority: else.example}\n"),
            WEB,
            "redirected",
            301,
            &["http://else.example/items"],
        ),
        case(
            "a direct answer",
            &virtual_service("catalog", "  - directResponse: {status: 418, body: {string: tea}}\n"),
            WEB,
            "direct_response",
            418,
            &["answers 418 itself"],
        ),
        case(
            "a preflight",
            &cors,
            "OPTIONS http://catalog/ --from deploy/web -n shop -H origin:_https://a.example -H access-control-request-method:_GET",
            "cors_preflight",
            200,
            &["preflight of an allowed origin"],
        ),
        case(
            "a preflight of another origin",
            &cors,
            "OPTIONS http://catalog/ --from deploy/web -n shop -H origin:_https://b.example -H access-control-request-method:_GET",
            "answered",
            -1,
            &[],
        ),
        case(
            "a rewrite",
            &virtual_service(
                "catalog",
                "  - match: [{uri: {prefix: /items}}]\n    rewrite: {uri: /v2/, authority: inner}\n    route: [{destination: {host: catalog}}]\n",
            ),
            "GET http://catalog/items/7 --from deploy/web -n shop",
            "answered",
            -1,
            &["path /v2/7, authority inner"],
        ),
        case(
            "a rewrite that makes no path",
            &virtual_service("catalog", "  - rewrite: {uri: '/a b'}\n    route: [{destination: {host: catalog}}]\n"),
            WEB,
            "client_protocol",
            400,
            &["invalid path or authority"],
        ),
        case(
            "a mirror",
            &virtual_service(
                "catalog",
                "  - route: [{destination: {host: catalog}}]\n    mirror: {host: pay, port: {number: 8080}}\n    mirrorPercentage: {value: 10}\n",
            ),
            WEB,
            "answered",
            -1,
            &["10 % are copied to shop/pay:8080"],
        ),
    ]
}

fn faults_and_time() -> Vec<Case> {
    let route = "    route: [{destination: {host: catalog}}]\n";
    let with = |rule: &str| virtual_service("catalog", &format!("  - {rule}\n{route}"));
    vec![
        case(
            "every request is failed",
            &with("fault: {abort: {percentage: {value: 100}, httpStatus: 555}}"),
            WEB,
            "fault_abort",
            555,
            &["100 % are failed with status 555"],
        ),
        split(
            "some are",
            &with("fault: {abort: {percentage: {value: 10}, httpStatus: 503}}"),
            WEB,
            &[("fault_abort", 503, 10.0), ("answered", -1, 90.0)],
            &["10 % are failed with status 503"],
        ),
        case(
            "a delay",
            &with("fault: {delay: {percentage: {value: 50}, fixedDelay: 2s}}"),
            WEB,
            "answered",
            -1,
            &["50 % are delayed by 2s"],
        ),
        case(
            "a delay that is longer than the timeout",
            &with("timeout: 1s\n    fault: {delay: {percentage: {value: 100}, fixedDelay: 2s}}"),
            WEB,
            "timeout",
            504,
            &["longer than the timeout"],
        ),
        split(
            "a delay of some, after an abort of some",
            &with(
                "timeout: 1s\n    fault: {abort: {percentage: {value: 50}, httpStatus: 500}, delay: {percentage: {value: 50}, fixedDelay: 2s}}",
            ),
            WEB,
            &[("fault_abort", 500, 50.0), ("timeout", 504, 25.0), ("answered", -1, 25.0)],
            &[],
        ),
        case(
            "timeout and retries",
            &with("timeout: 5s\n    retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}"),
            WEB,
            "answered",
            -1,
            &["5s for the whole request, retries included; 2s for each try", "3 after the first try, on 5xx"],
        ),
        case(
            "retries turned off",
            &with("retries: {attempts: 0}"),
            WEB,
            "answered",
            -1,
            &["none: the rule turns them off"],
        ),
        case("retries by default", "", WEB, "answered", -1, &["no limit for the whole request", "2 by default"]),
        case(
            "retries by default of a POST",
            "",
            "POST http://catalog/ --from deploy/web -n shop",
            "answered",
            -1,
            &["of this method only what no application can have seen"],
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn weights() -> Vec<Case> {
    let subsets = destination_rule("catalog", SUBSETS);
    let weighted = |a: u32, b: u32| {
        virtual_service(
            "catalog",
            &format!(
                "  - route:\n    - {{destination: {{host: catalog, subset: v1}}, weight: {a}}}\n    - {{destination: {{host: catalog, subset: v2}}, weight: {b}}}\n"
            ),
        )
    };
    let split_object = "apiVersion: split.smi-spec.io/v1alpha2\nkind: TrafficSplit\nmetadata: {name: c, namespace: shop}\nspec:\n  service: catalog\n  backends: [{service: catalog, weight: 900m}, {service: empty, weight: 100m}]\n";
    vec![
        case(
            "weights",
            &format!("{subsets}{}", weighted(90, 10)),
            WEB,
            "answered",
            -1,
            &[
                "90 % (weight 90) shop/catalog:80 subset v1",
                "10 % (weight 10) shop/catalog:80 subset v2",
                "subset v2: pods with version=v2",
            ],
        ),
        case(
            "weights that do not add up to 100",
            &format!("{subsets}{}", weighted(3, 1)),
            WEB,
            "answered",
            -1,
            &["75 % (weight 3)", "25 % (weight 1)"],
        ),
        case(
            "a rule that is refused is not in force",
            &format!("{subsets}{}", weighted(0, 0)),
            WEB,
            "answered",
            -1,
            &["no route rule speaks of the service"],
        ),
        case(
            "one destination takes all",
            &format!("{subsets}{}", virtual_service("catalog", &to_v2())),
            WEB,
            "answered",
            -1,
            &["100 % shop/catalog:80 subset v2"],
        ),
        case(
            "a subset that is not defined",
            &virtual_service("catalog", &to_v2()),
            WEB,
            "cluster_not_found",
            503,
            &["no DestinationRule for shop/catalog is seen here, so it has no subset v2"],
        ),
        case(
            "a subset that the rule does not have",
            &format!(
                "{}{}",
                destination_rule("catalog", "  subsets: [{name: v1, labels: {version: v1}}]\n"),
                virtual_service("catalog", &to_v2())
            ),
            WEB,
            "cluster_not_found",
            503,
            &["the DestinationRule has no subset v2"],
        ),
        split(
            "one of two destinations does not exist",
            &virtual_service(
                "catalog",
                "  - route:\n    - {destination: {host: catalog}, weight: 80}\n    - {destination: {host: nowhere}, weight: 20}\n",
            ),
            WEB,
            &[("answered", -1, 80.0), ("cluster_not_found", 503, 20.0)],
            &["there is no service shop/nowhere"],
        ),
        case(
            "a port that the destination does not have",
            &virtual_service("catalog", "  - route: [{destination: {host: catalog, port: {number: 99}}}]\n"),
            WEB,
            "cluster_not_found",
            503,
            &["service shop/catalog has no port 99"],
        ),
        case(
            "a destination's only port",
            &virtual_service("pay", "  - route: [{destination: {host: catalog}}]\n"),
            "GET http://pay:8080/ --from deploy/web -n shop",
            "answered",
            -1,
            &["shop/catalog:80"],
        ),
        split(
            "a TrafficSplit",
            split_object,
            WEB,
            &[("answered", -1, 90.0), ("no_healthy_upstream", 503, 10.0)],
            &["TrafficSplit shop/c", "the service has no pod"],
        ),
        case(
            "a subset without pods",
            &format!(
                "{}{}",
                destination_rule("catalog", "  subsets: [{name: v2, labels: {version: v9}}]\n"),
                virtual_service("catalog", &to_v2())
            ),
            WEB,
            "no_healthy_upstream",
            503,
            &["no pod has the subset's labels"],
        ),
    ]
}
