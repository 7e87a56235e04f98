//! The mesh that is measured: numbered services with five pods each, and a route and a rule for every tenth.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// Everything lives in one namespace.
pub(crate) const NAMESPACE: &str = "bench";
/// Account of the simulated proxies' pods.
pub(crate) const ACCOUNT: &str = "client";
/// Endpoints of a service.
pub(crate) const ENDPOINTS: usize = 5;
/// A route and a rule for one service in so many.
pub(crate) const ROUTED: usize = 10;
/// Endpoint changes step through the sets of ready endpoints that are not empty: after so many a set comes again.
pub(crate) const MASKS: u32 = (1 << ENDPOINTS) - 1;

/// A service's name.
pub(crate) fn name(service: usize) -> String {
    format!("svc-{service:05}")
}

/// The number in a resource's key, `bench/svc-00042`.
pub(crate) fn number(key: &str) -> Option<usize> {
    key.strip_prefix(NAMESPACE)?.strip_prefix("/svc-")?.parse().ok()
}

/// A service's virtual IP.
pub(crate) fn vip(service: usize) -> Ipv4Addr {
    address(Ipv4Addr::new(10, 100, 0, 1), service)
}

/// The pod of a simulated proxy, and its address.
pub(crate) fn client(proxy: usize) -> (String, Ipv4Addr) {
    (format!("client-{proxy:03}"), address(Ipv4Addr::new(10, 200, 0, 1), proxy))
}

fn endpoint(service: usize, n: usize) -> (String, Ipv4Addr) {
    (format!("{}-{n}", name(service)), address(Ipv4Addr::new(10, 128, 0, 1), service * ENDPOINTS + n))
}

fn address(first: Ipv4Addr, n: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(first) + u32::try_from(n).unwrap_or(u32::MAX))
}

/// An object and the part of it that only its `status` subresource takes.
pub(crate) struct Object {
    /// Its file's name, without extension.
    pub(crate) file: String,
    /// Without its status.
    pub(crate) value: Value,
    /// For pods.
    pub(crate) status: Option<Value>,
}

fn object(file: String, value: Value) -> Object {
    Object { file, value, status: None }
}

/// All objects of a service.
pub(crate) fn service(number: usize) -> Vec<Object> {
    let name = name(number);
    let ports = json!([{ "name": "http", "port": 80, "targetPort": 8080 }]);
    let spec = json!({ "clusterIP": vip(number), "selector": { "app": name }, "ports": ports });
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata(&name), "spec": spec });
    let mut all = vec![object(format!("{name}-service"), service)];
    all.extend((0..ENDPOINTS).map(|n| {
        let (pod, ip) = endpoint(number, n);
        pod_of(&pod, &name, "default", ip)
    }));
    all.push(object(format!("{name}-slice"), slice(number, MASKS)));
    if number.is_multiple_of(ROUTED) {
        all.push(object(format!("{name}-rule"), rule(number)));
        all.push(object(format!("{name}-route"), route(number, 50)));
    }
    all
}

/// The pod of a simulated proxy.
pub(crate) fn client_pod(proxy: usize) -> Object {
    let (name, ip) = client(proxy);
    pod_of(&name, "client", ACCOUNT, ip)
}

/// With a sidecar, as the control plane tells by its container.
fn pod_of(name: &str, app: &str, account: &str, ip: Ipv4Addr) -> Object {
    let mut metadata = metadata(name);
    metadata["labels"] = json!({ "app": app, "version": "v1" });
    let container = |name: &str| json!({ "name": name, "image": "none" });
    let spec = json!({
        "serviceAccountName": account,
        "containers": [container("app"), container("istio-proxy")],
    });
    let value = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    let status = json!({ "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }], "conditions": ready });
    Object { file: format!("{name}-pod"), value, status: Some(status) }
}

/// The slice of a service, whose endpoints are ready as the bits of `mask` say.
pub(crate) fn slice(number: usize, mask: u32) -> Value {
    let name = name(number);
    let mut metadata = metadata(&format!("{name}-x"));
    metadata["labels"] = json!({ "kubernetes.io/service-name": name });
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": endpoints(number, mask),
    })
}

/// The endpoints alone.
pub(crate) fn endpoints(number: usize, mask: u32) -> Value {
    let one = |n: usize| {
        let (pod, ip) = endpoint(number, n);
        let target = json!({ "kind": "Pod", "name": pod, "namespace": NAMESPACE });
        json!({ "addresses": [ip], "conditions": { "ready": mask & (1 << n) != 0 }, "targetRef": target })
    };
    (0..ENDPOINTS).map(one).collect()
}

/// `weight` percent of a service's requests to one subset, the rest to the other.
pub(crate) fn route(number: usize, weight: u32) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": metadata(&name(number)),
        "spec": route_spec(number, weight),
    })
}

/// The spec alone.
pub(crate) fn route_spec(number: usize, weight: u32) -> Value {
    let name = name(number);
    let to = |subset: &str, weight: u32| json!({ "destination": { "host": name, "subset": subset }, "weight": weight });
    json!({ "hosts": [name], "http": [{ "route": [to("v1", weight), to("v2", 100 - weight)] }] })
}

fn rule(number: usize) -> Value {
    let name = name(number);
    let subset = |version: &str| json!({ "name": version, "labels": { "version": version } });
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": metadata(&name),
        "spec": { "host": name, "subsets": [subset("v1"), subset("v2")] },
    })
}

fn metadata(name: &str) -> Value {
    json!({ "name": name, "namespace": NAMESPACE })
}
