//! `networking.istio.io`.

mod virtual_service;

use serde_json::{Value, json};

use super::policy::{
    connection_pool, destination, open, selector, server_tls, target_refs, traffic_policy, workload_entry,
    workload_selector,
};
use super::schema::{at_most_one, count, int, labels, list, map, nonempty, obj, obj_with, text, texts, word};
use super::{AGE, Definition};

/// All of the group.
pub(super) fn kinds() -> Vec<Definition> {
    vec![
        Definition {
            short: &["vs"],
            columns: &[("Gateways", "string", ".spec.gateways"), ("Hosts", "string", ".spec.hosts"), AGE],
            ..kind("VirtualService", "virtualservices", virtual_service::spec())
        },
        Definition {
            short: &["dr"],
            columns: &[("Host", "string", ".spec.host"), AGE],
            ..kind("DestinationRule", "destinationrules", destination_rule())
        },
        Definition { short: &["gw"], ..kind("Gateway", "gateways", gateway()) },
        Definition {
            short: &["se"],
            columns: &[
                ("Hosts", "string", ".spec.hosts"),
                ("Location", "string", ".spec.location"),
                ("Resolution", "string", ".spec.resolution"),
                AGE,
            ],
            spec_required: true,
            ..kind("ServiceEntry", "serviceentries", service_entry())
        },
        kind("Sidecar", "sidecars", sidecar()),
        Definition {
            short: &["we"],
            columns: &[AGE, ("Address", "string", ".spec.address")],
            spec_required: true,
            ..kind("WorkloadEntry", "workloadentries", workload_entry())
        },
        Definition {
            short: &["wg"],
            columns: &[AGE],
            spec_required: true,
            ..kind("WorkloadGroup", "workloadgroups", workload_group())
        },
        Definition {
            versions: &["v1beta1"],
            storage: "v1beta1",
            ..kind("ProxyConfig", "proxyconfigs", proxy_config())
        },
        Definition {
            versions: &["v1alpha3"],
            storage: "v1alpha3",
            ..kind("EnvoyFilter", "envoyfilters", envoy_filter())
        },
    ]
}

fn kind(kind: &'static str, plural: &'static str, spec: Value) -> Definition {
    Definition {
        group: "networking.istio.io",
        kind,
        plural,
        short: &[],
        versions: &["v1", "v1beta1", "v1alpha3"],
        storage: "v1",
        columns: &[],
        spec_required: false,
        spec,
    }
}

fn destination_rule() -> Value {
    let subset = obj_with(&["name"], &[("name", text()), ("labels", labels()), ("trafficPolicy", traffic_policy())]);
    obj_with(
        &["host"],
        &[
            ("host", text()),
            ("trafficPolicy", traffic_policy()),
            ("subsets", list(subset)),
            ("exportTo", texts()),
            ("workloadSelector", selector()),
        ],
    )
}

fn port(required: &[&str]) -> Value {
    let properties = [("number", count()), ("protocol", text()), ("name", text()), ("targetPort", count())];
    if required.is_empty() { obj(&properties) } else { obj_with(required, &properties) }
}

fn gateway() -> Value {
    let server = obj_with(
        &["port", "hosts"],
        &[
            ("name", text()),
            ("port", port(&["number", "protocol", "name"])),
            ("bind", text()),
            ("hosts", texts()),
            ("defaultEndpoint", text()),
            ("tls", server_tls()),
        ],
    );
    obj(&[("selector", labels()), ("servers", list(server))])
}

fn service_entry() -> Value {
    let real_port = || json!({"type": "integer", "minimum": 1, "maximum": 65535});
    let short_text = |longest: u32| json!({"type": "string", "maxLength": longest});
    let port = obj_with(
        &["number", "name"],
        &[
            ("number", real_port()),
            ("name", short_text(256)),
            ("protocol", short_text(256)),
            ("targetPort", real_port()),
        ],
    );
    let mut hosts = texts();
    hosts["minItems"] = json!(1);
    obj_with(
        &["hosts"],
        &[
            ("hosts", hosts),
            ("addresses", list(short_text(64))),
            ("ports", list(port)),
            ("location", word(&["MESH_EXTERNAL", "MESH_INTERNAL"])),
            ("resolution", word(&["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"])),
            ("endpoints", list(workload_entry())),
            ("workloadSelector", workload_selector()),
            ("exportTo", texts()),
            ("subjectAltNames", texts()),
        ],
    )
}

fn sidecar() -> Value {
    let capture = || word(&["DEFAULT", "IPTABLES", "NONE"]);
    let ingress = obj_with(
        &["port"],
        &[
            ("port", port(&[])),
            ("bind", text()),
            ("captureMode", capture()),
            ("defaultEndpoint", text()),
            ("connectionPool", connection_pool()),
            ("tls", server_tls()),
        ],
    );
    let egress =
        obj_with(&["hosts"], &[("port", port(&[])), ("bind", text()), ("captureMode", capture()), ("hosts", texts())]);
    let outbound = obj(&[("mode", word(&["REGISTRY_ONLY", "ALLOW_ANY"])), ("egressProxy", destination())]);
    obj(&[
        ("workloadSelector", workload_selector()),
        ("ingress", list(ingress)),
        ("egress", list(egress)),
        ("inboundConnectionPool", connection_pool()),
        ("outboundTrafficPolicy", outbound),
    ])
}

fn workload_group() -> Value {
    let times = || json!({"type": "integer", "format": "int32", "minimum": 0});
    let real_port = || json!({"type": "integer", "minimum": 1, "maximum": 65535});
    let header = obj(&[("name", text()), ("value", text())]);
    let http = obj_with(
        &["port"],
        &[
            ("host", text()),
            ("path", text()),
            ("port", real_port()),
            ("scheme", word(&["", "HTTP", "HTTPS"])),
            ("httpHeaders", list(header)),
        ],
    );
    let probe = obj(&[
        ("initialDelaySeconds", times()),
        ("timeoutSeconds", times()),
        ("periodSeconds", times()),
        ("successThreshold", times()),
        ("failureThreshold", times()),
        ("httpGet", http),
        ("tcpSocket", obj_with(&["port"], &[("host", text()), ("port", real_port())])),
        ("exec", obj_with(&["command"], &[("command", list(nonempty()))])),
        ("grpc", obj(&[("port", real_port()), ("service", text())])),
    ]);
    let metadata = obj(&[("labels", labels()), ("annotations", labels())]);
    obj_with(
        &["template"],
        &[
            ("metadata", metadata),
            ("template", workload_entry()),
            ("probe", at_most_one(probe, &["httpGet", "tcpSocket", "exec", "grpc"])),
        ],
    )
}

fn proxy_config() -> Value {
    let concurrency = json!({"type": "integer", "format": "int32", "minimum": 0, "nullable": true});
    obj(&[
        ("selector", selector()),
        ("concurrency", concurrency),
        ("environmentVariables", map(json!({"type": "string", "maxLength": 2048}))),
        ("image", obj(&[("imageType", text())])),
    ])
}

/// Accepted so that it can be answered by name; nothing of it has a meaning here but the selector.
fn envoy_filter() -> Value {
    let patch = obj(&[("applyTo", text()), ("match", open()), ("patch", open())]);
    obj(&[
        ("workloadSelector", workload_selector()),
        ("targetRefs", target_refs()),
        ("configPatches", list(patch)),
        ("priority", int()),
    ])
}
