//! Parts that several kinds share.

use serde_json::{Value, json};

use super::schema::{
    any, at_most_one, count, duration, flag, int, labels, list, map, maybe_count, maybe_flag, number, obj, obj_with,
    percent, text, texts, word,
};

/// `selector.matchLabels`
pub(super) fn selector() -> Value {
    obj(&[("matchLabels", map(json!({"type": "string", "maxLength": 63})))])
}

/// `workloadSelector.labels`
pub(super) fn workload_selector() -> Value {
    obj(&[("labels", map(json!({"type": "string", "maxLength": 63})))])
}

/// A reference to another object.
pub(super) fn target_ref() -> Value {
    let name = |longest: u32| json!({"type": "string", "minLength": 1, "maxLength": longest});
    obj_with(
        &["kind", "name"],
        &[
            ("group", json!({"type": "string", "maxLength": 253})),
            ("kind", name(63)),
            ("name", name(253)),
            ("namespace", text()),
        ],
    )
}

/// Several.
pub(super) fn target_refs() -> Value {
    let mut refs = list(target_ref());
    refs["maxItems"] = json!(16);
    refs
}

/// `{number}`
pub(super) fn port_selector() -> Value {
    obj(&[("number", count())])
}

/// A destination of a route.
pub(super) fn destination() -> Value {
    obj_with(&["host"], &[("host", text()), ("subset", text()), ("port", port_selector())])
}

/// `connectionPool`
pub(super) fn connection_pool() -> Value {
    let keepalive = obj(&[("interval", duration()), ("timeout", duration())]);
    let tcp_keepalive = obj(&[("interval", duration()), ("probes", count()), ("time", duration())]);
    let http = obj(&[
        ("h2UpgradePolicy", word(&["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"])),
        ("http1MaxPendingRequests", int()),
        ("http2MaxRequests", int()),
        ("http2KeepAlive", keepalive),
        ("idleTimeout", duration()),
        ("maxConcurrentStreams", int()),
        ("maxRequestsPerConnection", int()),
        ("maxRetries", int()),
        ("useClientProtocol", flag()),
    ]);
    let tcp = obj(&[
        ("connectTimeout", duration()),
        ("idleTimeout", text()),
        ("maxConnectionDuration", duration()),
        ("maxConnections", int()),
        ("tcpKeepalive", tcp_keepalive),
    ]);
    obj(&[("http", http), ("tcp", tcp)])
}

/// `outlierDetection`
pub(super) fn outlier_detection() -> Value {
    obj(&[
        ("baseEjectionTime", duration()),
        ("interval", duration()),
        ("consecutive5xxErrors", maybe_count()),
        ("consecutiveErrors", int()),
        ("consecutiveGatewayErrors", maybe_count()),
        ("consecutiveLocalOriginFailures", maybe_count()),
        ("maxEjectionPercent", int()),
        ("minHealthPercent", int()),
        ("outlierDetectionHttpErrorCodes", list(json!({"type": "integer", "minimum": 100, "maximum": 599}))),
        ("splitExternalLocalOriginErrors", flag()),
    ])
}

/// `loadBalancer`
pub(super) fn load_balancer() -> Value {
    let size = || json!({"type": "integer", "minimum": 0});
    let attribute = obj_with(&["name"], &[("name", text()), ("value", text())]);
    let cookie =
        obj_with(&["name"], &[("name", text()), ("path", text()), ("ttl", text()), ("attributes", list(attribute))]);
    let hash = obj(&[
        ("httpCookie", cookie),
        ("httpHeaderName", text()),
        ("httpQueryParameterName", text()),
        ("useSourceIp", flag()),
        ("minimumRingSize", size()),
        ("ringHash", obj(&[("minimumRingSize", size())])),
        ("maglev", obj(&[("tableSize", size())])),
    ]);
    let failover = || list(obj(&[("from", text()), ("to", text())]));
    let locality = obj(&[
        ("enabled", maybe_flag()),
        ("distribute", list(obj(&[("from", text()), ("to", map(count()))]))),
        ("failover", failover()),
        ("failoverPriority", texts()),
    ]);
    let zone = obj(&[
        ("enabled", maybe_flag()),
        ("failover", failover()),
        ("failoverPriority", texts()),
        ("minClusterSize", maybe_count()),
    ]);
    let aggression = json!({"type": "number", "format": "double", "minimum": 0, "nullable": true});
    let warmup =
        obj_with(&["duration"], &[("duration", duration()), ("aggression", aggression), ("minimumPercent", percent())]);
    let simple = ["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"];
    let balancer = obj(&[
        ("simple", word(&simple)),
        ("consistentHash", hash),
        ("localityLbSetting", locality),
        ("zoneAwareLbSetting", zone),
        ("warmup", warmup),
        ("warmupDurationSecs", duration()),
    ]);
    at_most_one(balancer, &["simple", "consistentHash"])
}

/// `tls` of a client.
pub(super) fn client_tls() -> Value {
    obj(&[
        ("mode", word(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])),
        ("caCertificates", text()),
        ("caCrl", text()),
        ("clientCertificate", text()),
        ("privateKey", text()),
        ("credentialName", text()),
        ("insecureSkipVerify", maybe_flag()),
        ("sni", text()),
        ("subjectAltNames", texts()),
    ])
}

/// `tls` of a server.
pub(super) fn server_tls() -> Value {
    let versions = ["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"];
    let modes = ["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"];
    let two = |mut of: Value| {
        of["minItems"] = json!(1);
        of["maxItems"] = json!(2);
        of
    };
    let certificate = obj(&[("caCertificates", text()), ("privateKey", text()), ("serverCertificate", text())]);
    obj(&[
        ("mode", word(&modes)),
        ("httpsRedirect", flag()),
        ("serverCertificate", text()),
        ("privateKey", text()),
        ("caCertificates", text()),
        ("caCrl", text()),
        ("caCertCredentialName", text()),
        ("credentialName", text()),
        ("credentialNames", two(texts())),
        ("tlsCertificates", two(list(certificate))),
        ("insecureSkipVerify", maybe_flag()),
        ("subjectAltNames", texts()),
        ("verifyCertificateHash", texts()),
        ("verifyCertificateSpki", texts()),
        ("minProtocolVersion", word(&versions)),
        ("maxProtocolVersion", word(&versions)),
        ("cipherSuites", texts()),
    ])
}

/// `trafficPolicy`
pub(super) fn traffic_policy() -> Value {
    let mut ports = list(obj(&[
        ("port", port_selector()),
        ("connectionPool", connection_pool()),
        ("loadBalancer", load_balancer()),
        ("outlierDetection", outlier_detection()),
        ("tls", client_tls()),
    ]));
    ports["maxItems"] = json!(4096);
    let tunnel = obj_with(
        &["targetHost", "targetPort"],
        &[("protocol", text()), ("targetHost", text()), ("targetPort", count())],
    );
    let budget = obj(&[("budgetInterval", text()), ("minRetryConcurrency", count()), ("percent", percent())]);
    obj(&[
        ("connectionPool", connection_pool()),
        ("loadBalancer", load_balancer()),
        ("outlierDetection", outlier_detection()),
        ("tls", client_tls()),
        ("portLevelSettings", ports),
        ("tunnel", tunnel),
        ("proxyProtocol", obj(&[("version", word(&["V1", "V2"]))])),
        ("retryBudget", budget),
    ])
}

/// A workload outside the cluster.
pub(super) fn workload_entry() -> Value {
    obj(&[
        ("address", json!({"type": "string", "maxLength": 256})),
        ("labels", labels()),
        ("locality", json!({"type": "string", "maxLength": 2048})),
        ("network", json!({"type": "string", "maxLength": 2048})),
        ("ports", map(json!({"type": "integer", "minimum": 0, "maximum": 65535}))),
        ("serviceAccount", json!({"type": "string", "maxLength": 253})),
        ("weight", count()),
    ])
}

/// `exact`, `prefix` or `regex`.
pub(super) fn string_match() -> Value {
    at_most_one(obj(&[("exact", text()), ("prefix", text()), ("regex", text())]), &["exact", "prefix", "regex"])
}

/// `{value: 12.5}`
pub(super) fn percentage() -> Value {
    obj(&[("value", number())])
}

/// What is not modelled here.
pub(super) fn open() -> Value {
    any()
}
