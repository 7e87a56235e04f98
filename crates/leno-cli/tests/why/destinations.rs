//! Addresses, protocols, pods, mutual TLS.

use crate::harness::{Case, case, destination_rule, mtls, split};

const WEB: &str = "GET http://catalog/items --from deploy/web -n shop";
const STRICT: &str = "  mtls: {mode: STRICT}\n";

const REGISTRY_ONLY: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n";

pub(crate) fn cases() -> Vec<Case> {
    [addresses(), protocols(), security(), balance()].concat()
}

fn addresses() -> Vec<Case> {
    vec![
        case(
            "a service without pods",
            "",
            "GET http://empty/ --from deploy/web -n shop",
            "no_healthy_upstream",
            503,
            &["the service has no pod"],
        ),
        case(
            "a port that the service does not have",
            "",
            "GET http://catalog:81/ --from deploy/web -n shop",
            "cluster_not_found",
            0,
            &["which has no port 81; it has 80"],
        ),
        case(
            "a host outside",
            "",
            "GET http://api.example.com/ --from deploy/web -n shop",
            "answered",
            -1,
            &["api.example.com is not in the mesh", "passed through as it is (ALLOW_ANY)"],
        ),
        case(
            "a host outside, refused",
            REGISTRY_ONLY,
            "GET http://api.example.com/ --from deploy/web -n shop",
            "unknown_destination",
            0,
            &["REGISTRY_ONLY"],
        ),
        case(
            "an alias",
            "",
            "GET http://far/ --from deploy/web -n shop",
            "answered",
            -1,
            &["shop/far is an alias of api.example.com"],
        ),
        case(
            "headless",
            "",
            "GET http://pods:8080/ --from deploy/web -n shop",
            "answered",
            -1,
            &[
                "shop/pods is headless",
                "one of its 3 pods",
                "the request does not name service shop/pay, so that its rules do not apply",
            ],
        ),
        case(
            "a whole name",
            "",
            "GET http://catalog.shop.svc.cluster.local/ --from deploy/web -n shop",
            "answered",
            -1,
            &["is service shop/catalog"],
        ),
        case(
            "from another namespace",
            "",
            "GET http://catalog.shop/ --from client.out -n shop",
            "answered",
            -1,
            &["the caller has no sidecar", "Kubernetes gives it to a ready pod at random"],
        ),
        case(
            "its own pod",
            "",
            "GET http://localhost:8080/ --from deploy/web -n shop",
            "answered",
            -1,
            &["the caller's own pod: no rule and no policy applies"],
        ),
        case(
            "a pod without a sidecar",
            "",
            "GET http://old.out/ --from deploy/web -n shop",
            "answered",
            -1,
            &["plaintext: the pod has no sidecar"],
        ),
        case(
            "left out of interception",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: odd, namespace: shop, annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: '80'}}\nspec: {containers: [{name: main}]}\n",
            "GET http://catalog/ --from pod/odd -n shop",
            "answered",
            -1,
            &["the pod leaves outbound port 80 out of interception"],
        ),
    ]
}

fn protocols() -> Vec<Case> {
    vec![
        case("declared as HTTP", "", WEB, "answered", -1, &["HTTP, as declared (port 80 is named `http`)"]),
        case(
            "not declared",
            "",
            "GET http://pay:7070/ --from deploy/web -n shop",
            "answered",
            -1,
            &["HTTP/1.1, told by the first bytes"],
        ),
        case(
            "gRPC",
            "",
            "grpc://pay:9090/pay.Pay/Charge --from deploy/web -n shop",
            "answered",
            -1,
            &["gRPC, as declared"],
        ),
        case(
            "declared as opaque",
            "",
            "GET http://db:5432/ --from deploy/web -n shop",
            "answered",
            -1,
            &["opaque TCP, as declared (port 5432 is named `tcp-db`): no rule for requests applies"],
        ),
        case(
            "an opaque connection",
            "",
            "tcp://db:5432 --from deploy/web -n shop",
            "answered",
            -1,
            &["connection to db:5432", "mutual TLS"],
        ),
        case(
            "TLS of the application's own",
            "",
            "https://pay:7070/ --from deploy/web -n shop",
            "answered",
            -1,
            &["TLS of the application's own, told by the first bytes"],
        ),
        case(
            "TLS to a port that is declared as HTTP, without a sidecar",
            "",
            "https://pay.shop:8080/ --from deploy/client -n out",
            "client_protocol",
            0,
            &["TLS of the application's own, to a port that is declared as HTTP"],
        ),
    ]
}

fn security() -> Vec<Case> {
    let strict = mtls("shop", "default", STRICT);
    vec![
        case(
            "STRICT from a meshed pod",
            &strict,
            WEB,
            "answered",
            -1,
            &["STRICT; the client proves spiffe://cluster.local/ns/shop/sa/web", "PeerAuthentication shop/default"],
        ),
        case(
            "STRICT from a pod without a sidecar",
            &strict,
            "GET http://catalog.shop/ --from deploy/client -n out",
            "plaintext_refused",
            0,
            &["STRICT; the client speaks plaintext"],
        ),
        case(
            "STRICT for the whole mesh",
            &mtls("istio-system", "default", STRICT),
            "GET http://catalog.shop/ --from deploy/client -n out",
            "plaintext_refused",
            0,
            &["PeerAuthentication istio-system/default"],
        ),
        case(
            "PERMISSIVE is the default",
            "",
            "GET http://catalog.shop/ --from deploy/client -n out",
            "answered",
            -1,
            &["PERMISSIVE (the default)"],
        ),
        case(
            "a rule that turns it off towards STRICT",
            &format!("{strict}{}", destination_rule("catalog", "  trafficPolicy: {tls: {mode: DISABLE}}\n")),
            WEB,
            "upstream_reset",
            503,
            &["plaintext: the DestinationRule says DISABLE", "the workload requires mutual TLS (STRICT)"],
        ),
        case(
            "opaque, turned off towards STRICT",
            &format!("{strict}{}", destination_rule("db", "  trafficPolicy: {tls: {mode: DISABLE}}\n")),
            "tcp://db:5432 --from deploy/web -n shop",
            "plaintext_refused",
            0,
            &["STRICT;"],
        ),
        case(
            "a port that is DISABLE",
            &mtls(
                "shop",
                "pay",
                "  selector: {matchLabels: {app: pay}}\n  mtls: {mode: STRICT}\n  portLevelMtls: {8080: {mode: DISABLE}}\n",
            ),
            "GET http://pay:8080/ --from deploy/web -n shop",
            "answered",
            -1,
            &["plaintext: the pod's PeerAuthentication says DISABLE for the port", "DISABLE;"],
        ),
        case(
            "mutual TLS asked of a pod without a sidecar",
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: old, namespace: out}\nspec: {host: old, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}\n",
            "GET http://old.out/ --from deploy/web -n shop",
            "tls_failure",
            503,
            &["asks for mutual TLS, and the pod has no sidecar"],
        ),
        case(
            "another identity is wanted",
            &destination_rule(
                "catalog",
                "  trafficPolicy: {tls: {mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/other']}}\n",
            ),
            WEB,
            "identity_mismatch",
            503,
            &["and the pod is spiffe://cluster.local/ns/shop/sa/catalog"],
        ),
        case(
            "the right identity is wanted",
            &destination_rule(
                "catalog",
                "  trafficPolicy: {tls: {mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/catalog']}}\n",
            ),
            WEB,
            "answered",
            -1,
            &["and is"],
        ),
    ]
}

fn balance() -> Vec<Case> {
    let hash = destination_rule("pay", "  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}\n");
    let limits = destination_rule(
        "pay",
        "  trafficPolicy:\n    connectionPool: {tcp: {maxConnections: 5, connectTimeout: 250ms}, http: {http1MaxPendingRequests: 7}}\n    outlierDetection: {consecutive5xxErrors: 3, baseEjectionTime: 1m}\n    loadBalancer: {simple: ROUND_ROBIN}\n",
    );
    let unready = "apiVersion: v1\nkind: Pod\nmetadata: {name: e-1, namespace: shop, labels: {app: empty}}\nspec: {containers: [{name: main}, {name: istio-proxy}]}\nstatus: {phase: Running, podIP: 10.250.0.1, podIPs: [{ip: 10.250.0.1}], conditions: [{type: Ready, status: 'False'}]}\n";
    let half = format!(
        "{}{}",
        destination_rule("pay", "  trafficPolicy: {tls: {mode: DISABLE}}\n"),
        mtls("shop", "pay", "  selector: {matchLabels: {version: v1, app: pay}}\n  mtls: {mode: STRICT}\n")
    );
    vec![
        case(
            "pods are alike",
            "",
            "GET http://pay:8080/ --from deploy/web -n shop",
            "answered",
            -1,
            &["of two drawn at random, the less loaded one", "and 1 more, 100 %"],
        ),
        case(
            "by a hash",
            &hash,
            "GET http://pay:8080/ --from deploy/web -n shop -H x-user:_jason",
            "answered",
            -1,
            &["by a hash of header x-user", ", 100 %", "gets none"],
        ),
        case(
            "by a hash that the request does not have",
            &hash,
            "GET http://pay:8080/ --from deploy/web -n shop",
            "answered",
            -1,
            &["the request has no header x-user: at random"],
        ),
        case(
            "limits",
            &limits,
            "GET http://pay:8080/ --from deploy/web -n shop",
            "answered",
            -1,
            &[
                "at most: connections 5, waiting 7, connect within 250ms",
                "after 3 5xx in a row, for 60s",
                "one after the other",
            ],
        ),
        case(
            "pods that are not ready",
            unready,
            "GET http://empty/ --from deploy/web -n shop",
            "no_healthy_upstream",
            503,
            &["none of its 1 pods is ready"],
        ),
        case(
            "every pod refuses, however often it is tried",
            &half,
            "GET http://pay:8080/ --from deploy/web -n shop",
            "upstream_reset",
            503,
            &["STRICT; the client speaks plaintext"],
        ),
        split(
            "one of two versions refuses, and a retry finds the other",
            &mixed(),
            WEB,
            &[("answered", -1, 100.0)],
            &["after a retry on another pod"],
        ),
        split(
            "a POST is not repeated",
            &mixed(),
            "POST http://catalog/ --from deploy/web -n shop",
            &[("answered", -1, 200.0 / 3.0), ("upstream_reset", 503, 100.0 / 3.0)],
            &[],
        ),
    ]
}

/// catalog v2 (one pod of three) is STRICT, and everybody speaks plaintext.
fn mixed() -> String {
    format!(
        "{}{}",
        destination_rule("catalog", "  trafficPolicy: {tls: {mode: DISABLE}}\n"),
        mtls("shop", "v2", "  selector: {matchLabels: {version: v2}}\n  mtls: {mode: STRICT}\n")
    )
}
