//! Arbitrary models.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use leno_core::id::{Origin, ServiceId, SpiffeId};
use leno_core::model::authz::{AuthzCondition, AuthzOperation, AuthzRule, AuthzSource, Values};
use leno_core::model::mesh::AccessLog;
use leno_core::model::route::{
    Abort, Backend, Cors, ExportTo, Fault, HeaderEdit, HeaderOps, HttpMatch, Mirror, Redirect, RetryPolicy, Rewrite,
    RouteAction, RuleOrigin, TcpMatch, TcpRoute, TlsRoute, WeightedBackend,
};
use leno_core::model::traffic::{
    Balancer, ClientTls, ClientTlsMode, ConnectionPool, HashKey, OutlierDetection, RetryOn, Subset,
};
use leno_core::model::{
    Address, AddressTarget, AuthorizationPolicy, AuthzAction, DestinationRule, Endpoint, Endpoints, HttpRoute, Labels,
    MeshConfig, MtlsMode, Pattern, PeerAuthentication, Policies, Protocol, RouteTable, Routes, Service, ServiceKind,
    ServicePort, StringMatch, TrafficPolicy, Workload, WorkloadPort,
};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

use super::reporting;
use crate::wire::Resource;

pub(super) fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![
        address().prop_map(|x| Resource::Address(Arc::new(x))),
        service().prop_map(|x| Resource::Service(Arc::new(x))),
        endpoints().prop_map(|x| Resource::Endpoints(Arc::new(x))),
        routes().prop_map(|x| Resource::Routes(Arc::new(x))),
        policies().prop_map(|x| Resource::Policies(Arc::new(x))),
        mesh().prop_map(|x| Resource::Mesh(Arc::new(x))),
    ]
}

pub(super) fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 é{}*/.-]{0,8}"
}

pub(super) fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9.-]{0,6}"
}

pub(super) fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..3)
}

pub(super) fn labels() -> impl Strategy<Value = Labels> {
    btree_map(name(), text(), 0..3)
}

fn port() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

fn duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_nanos)
}

fn percent() -> impl Strategy<Value = f64> {
    0.0..=100.0
}

fn ip() -> impl Strategy<Value = IpAddr> {
    // A mapped IPv6 address is another name for an IPv4 one; the control plane never makes it.
    any::<IpAddr>().prop_map(|ip| ip.to_canonical())
}

fn net() -> impl Strategy<Value = IpNet> {
    (any::<IpAddr>(), 0..=32_u8).prop_map(|(ip, prefix)| IpNet::new(ip, prefix).unwrap())
}

pub(super) fn service_id() -> impl Strategy<Value = ServiceId> {
    (name(), name()).prop_map(|(ns, n)| ServiceId::new(ns, n))
}

pub(super) fn origin() -> impl Strategy<Value = Origin> {
    (text(), text(), text(), text()).prop_map(|(kind, namespace, name, source)| Origin {
        kind,
        namespace,
        name,
        source,
    })
}

fn export_to() -> impl Strategy<Value = ExportTo> {
    prop_oneof![Just(ExportTo::All), texts().prop_map(ExportTo::Namespaces)]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    use Protocol::{Auto, Grpc, Http, Http2, Tcp, Tls, Udp};
    prop::sample::select(vec![Auto, Http, Http2, Grpc, Tls, Tcp, Udp])
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop::sample::select(vec!["a.*", "[0-9]+", "", "/api/(v1|v2)/.*"]).prop_map(|p| Pattern::new(p).unwrap())
}

fn string_match() -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        text().prop_map(StringMatch::Exact),
        text().prop_map(StringMatch::Prefix),
        pattern().prop_map(StringMatch::Regex),
        Just(StringMatch::Present),
    ]
}

fn workload() -> impl Strategy<Value = Workload> {
    let identity = (name(), name(), name()).prop_map(|(td, ns, sa)| SpiffeId::new(td, ns, sa));
    ((text(), text(), text(), text()), (text(), labels(), of(identity), vec(port(), 0..3), text())).prop_map(
        |((namespace, pod, name, kind), (account, labels, identity, plaintext_ports, node))| Workload {
            namespace,
            pod,
            name,
            kind,
            account,
            labels,
            identity,
            plaintext_ports,
            node,
        },
    )
}

fn address() -> impl Strategy<Value = Address> {
    let port = (port(), protocol(), service_id(), port(), any::<bool>()).prop_map(
        |(port, protocol, service, service_port, headless)| WorkloadPort {
            port,
            protocol,
            service,
            service_port,
            headless,
        },
    );
    let workload = (workload(), vec(port, 0..3), any::<bool>())
        .prop_map(|(w, ports, terminating)| AddressTarget::Workload { workload: Arc::new(w), ports, terminating });
    let target = prop_oneof![service_id().prop_map(AddressTarget::Service), workload];
    (ip(), target).prop_map(|(ip, target)| Address { ip, target })
}

fn endpoints() -> impl Strategy<Value = Endpoints> {
    // Few workloads for many endpoints, so that groups of more than one come up.
    let members = vec((ip(), any::<prop::sample::Index>(), any::<bool>(), text()), 0..6);
    let ports = vec(vec((port(), port()), 0..2), 1..3);
    (service_id(), vec(workload(), 1..3), ports, members).prop_map(|(service, workloads, ports, members)| {
        let endpoint = |(ip, which, ready, pod): (IpAddr, prop::sample::Index, bool, String)| Endpoint {
            ip,
            ports: which.get(&ports).clone(),
            ready,
            workload: Arc::new(Workload { pod, ..which.get(&workloads).clone() }),
        };
        Endpoints { service, endpoints: members.into_iter().map(endpoint).collect() }
    })
}

fn service() -> impl Strategy<Value = Service> {
    let kind = prop_oneof![
        Just(ServiceKind::ClusterIp),
        Just(ServiceKind::Headless),
        text().prop_map(ServiceKind::ExternalName)
    ];
    let port = (port(), text(), protocol()).prop_map(|(port, name, protocol)| ServicePort { port, name, protocol });
    (service_id(), kind, vec(ip(), 0..3), vec(port, 0..3), vec(destination_rule(), 0..2))
        .prop_map(|(id, kind, vips, ports, destination_rules)| Service { id, kind, vips, ports, destination_rules })
}

fn destination_rule() -> impl Strategy<Value = DestinationRule> {
    let ports = || vec((port(), traffic_policy()), 0..2);
    let subset = (text(), labels(), traffic_policy(), ports()).prop_map(|(name, labels, policy, ports)| Subset {
        name,
        labels,
        policy,
        ports,
    });
    (origin(), export_to(), labels(), traffic_policy(), ports(), vec(subset, 0..2)).prop_map(
        |(origin, export_to, workload_selector, policy, ports, subsets)| DestinationRule {
            origin,
            export_to,
            workload_selector,
            policy,
            ports,
            subsets,
        },
    )
}

fn traffic_policy() -> impl Strategy<Value = TrafficPolicy> {
    let mode = prop::sample::select(vec![ClientTlsMode::Disable, ClientTlsMode::IstioMutual]);
    let tls = (mode, texts(), of(text())).prop_map(|(mode, subject_alt_names, sni)| ClientTls {
        mode,
        subject_alt_names,
        sni,
    });
    (of(balancer()), of(pool()), of(outlier()), of(tls)).prop_map(|(balancer, pool, outlier, tls)| TrafficPolicy {
        balancer,
        pool,
        outlier,
        tls,
    })
}

fn balancer() -> impl Strategy<Value = Balancer> {
    let key = prop_oneof![
        text().prop_map(HashKey::Header),
        text().prop_map(HashKey::Query),
        Just(HashKey::SourceIp),
        (text(), text(), of(duration())).prop_map(|(name, path, ttl)| HashKey::Cookie { name, path, ttl }),
    ];
    prop_oneof![
        Just(Balancer::LeastRequest),
        Just(Balancer::RoundRobin),
        Just(Balancer::Random),
        Just(Balancer::Passthrough),
        (key, any::<u32>()).prop_map(|(key, minimum_ring_size)| Balancer::ConsistentHash { key, minimum_ring_size }),
    ]
}

fn pool() -> impl Strategy<Value = ConnectionPool> {
    let number = || of(any::<u32>());
    let time = || of(duration());
    ((number(), time(), time(), number()), (number(), number(), number(), time())).prop_map(
        |((a, b, c, d), (e, f, g, h))| ConnectionPool {
            max_connections: a,
            connect_timeout: b,
            tcp_idle_timeout: c,
            http1_max_pending: d,
            http2_max_requests: e,
            max_requests_per_connection: f,
            max_retries: g,
            http_idle_timeout: h,
        },
    )
}

fn outlier() -> impl Strategy<Value = OutlierDetection> {
    (any::<[u32; 5]>(), any::<bool>(), duration(), duration()).prop_map(
        |(n, split_local_origin, interval, base_ejection)| OutlierDetection {
            consecutive_5xx: n[0],
            consecutive_gateway: n[1],
            consecutive_local_origin: n[2],
            split_local_origin,
            interval,
            base_ejection,
            max_ejection_percent: n[3],
            min_health_percent: n[4],
        },
    )
}

fn routes() -> impl Strategy<Value = Routes> {
    let tcp = (vec(tcp_match(), 0..2), backends()).prop_map(|(matches, backends)| TcpRoute { matches, backends });
    let tls =
        (vec((texts(), tcp_match()), 0..2), backends()).prop_map(|(matches, backends)| TlsRoute { matches, backends });
    let table = (origin(), export_to(), vec(http_route(), 0..3), vec(tcp, 0..2), vec(tls, 0..2), vec(port(), 0..3))
        .prop_map(|(origin, export_to, http, tcp, tls, http_ports)| RouteTable {
            origin,
            export_to,
            http,
            tcp,
            tls,
            http_ports,
        });
    (service_id(), vec(table, 0..3)).prop_map(|(service, tables)| Routes { service, tables })
}

fn http_route() -> impl Strategy<Value = HttpRoute> {
    let head = (text(), any::<u32>(), vec(http_match(), 0..2), action(), of(rewrite()));
    let tail = (of(duration()), of(retry()), of(fault()), vec((backend(), percent()), 0..2), header_ops(), of(cors()));
    let rule_origin = (origin(), any::<u32>()).prop_map(|(object, index)| Box::new(RuleOrigin { object, index }));
    (head, tail, of(rule_origin), of(duration())).prop_map(|(head, tail, origin, try_timeout)| {
        let (name, line, matches, action, rewrite) = head;
        let (timeout, retry, fault, mirrors, headers, cors) = tail;
        let mirrors = mirrors.into_iter().map(|(backend, percent)| Mirror { backend, percent }).collect();
        let route = HttpRoute { name, line, matches, action, rewrite, timeout, retry, fault, ..HttpRoute::default() };
        HttpRoute { mirrors, headers, cors, origin, try_timeout, ..route }
    })
}

fn action() -> impl Strategy<Value = RouteAction> {
    let texts = (of(text()), of(text()), of(text()), of(text()));
    let redirect = (texts, of(port()), any::<bool>(), 100..1000_u16).prop_map(
        |((uri, prefix, authority, scheme), port, derive_port, status)| Redirect {
            uri,
            prefix,
            authority,
            scheme,
            port,
            derive_port,
            status,
        },
    );
    prop_oneof![
        backends().prop_map(RouteAction::Forward),
        redirect.prop_map(RouteAction::Redirect),
        (100..1000_u16, text()).prop_map(|(status, body)| RouteAction::Respond { status, body }),
    ]
}

fn http_match() -> impl Strategy<Value = HttpMatch> {
    let one = || of(string_match());
    let named = || vec((text(), string_match()), 0..2);
    let head = (text(), one(), any::<bool>(), one(), one(), one());
    let tail = (named(), named(), named(), of(port()), labels(), of(text()));
    (head, tail, any::<bool>()).prop_map(|(a, b, uri_by_element)| HttpMatch {
        name: a.0,
        uri: a.1,
        ignore_uri_case: a.2,
        scheme: a.3,
        method: a.4,
        authority: a.5,
        headers: b.0,
        without_headers: b.1,
        query: b.2,
        port: b.3,
        source_labels: b.4,
        source_namespace: b.5,
        uri_by_element,
    })
}

fn tcp_match() -> impl Strategy<Value = TcpMatch> {
    (of(port()), vec(net(), 0..2), labels(), of(text())).prop_map(
        |(port, destination_subnets, source_labels, source_namespace)| TcpMatch {
            port,
            destination_subnets,
            source_labels,
            source_namespace,
        },
    )
}

fn backend() -> impl Strategy<Value = Backend> {
    (service_id(), of(text()), of(port())).prop_map(|(service, subset, port)| Backend { service, subset, port })
}

fn backends() -> impl Strategy<Value = Vec<WeightedBackend>> {
    let one = (backend(), any::<u32>(), header_ops(), any::<bool>())
        .prop_map(|(backend, weight, headers, invalid)| WeightedBackend { backend, weight, headers, invalid });
    vec(one, 0..3)
}

fn header_ops() -> impl Strategy<Value = HeaderOps> {
    let pairs = || vec((text(), text()), 0..2);
    let edit = || (pairs(), pairs(), texts()).prop_map(|(set, add, remove)| HeaderEdit { set, add, remove });
    (edit(), edit()).prop_map(|(request, response)| HeaderOps { request, response })
}

fn rewrite() -> impl Strategy<Value = Rewrite> {
    (of(text()), of(text()), of((pattern(), text())), of(text()))
        .prop_map(|(uri, path, uri_regex, authority)| Rewrite { uri, path, uri_regex, authority })
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    (any::<u32>(), of(duration()), retry_on(), duration(), duration()).prop_map(
        |(attempts, per_try_timeout, retry_on, backoff, least_backoff)| RetryPolicy {
            attempts,
            per_try_timeout,
            retry_on,
            backoff,
            least_backoff,
        },
    )
}

fn retry_on() -> impl Strategy<Value = RetryOn> {
    (any::<[bool; 7]>(), vec(100..1000_u16, 0..3), vec(any::<u32>(), 0..3)).prop_map(|(on, statuses, grpc)| RetryOn {
        five_xx: on[0],
        gateway_error: on[1],
        reset: on[2],
        reset_before_request: on[3],
        connect_failure: on[4],
        refused_stream: on[5],
        retriable_4xx: on[6],
        statuses,
        grpc,
    })
}

fn fault() -> impl Strategy<Value = Fault> {
    let abort = prop_oneof![(100..1000_u16).prop_map(Abort::Http), any::<u32>().prop_map(Abort::Grpc)];
    (of((percent(), duration())), of((percent(), abort))).prop_map(|(delay, abort)| Fault { delay, abort })
}

fn cors() -> impl Strategy<Value = Cors> {
    let lists = (texts(), texts(), texts());
    (vec(string_match(), 0..2), lists, of(duration()), of(any::<bool>()), any::<bool>()).prop_map(
        |(allow_origins, lists, max_age, allow_credentials, answers_others)| Cors {
            allow_origins,
            allow_methods: lists.0,
            allow_headers: lists.1,
            expose_headers: lists.2,
            max_age,
            allow_credentials,
            answers_others,
        },
    )
}

fn policies() -> impl Strategy<Value = Policies> {
    let mode =
        || prop::sample::select(vec![MtlsMode::Unset, MtlsMode::Disable, MtlsMode::Permissive, MtlsMode::Strict]);
    let authn = (origin(), labels(), mode(), vec((port(), mode()), 0..2), any::<i64>()).prop_map(
        |(origin, selector, mode, ports, created)| PeerAuthentication { origin, selector, mode, ports, created },
    );
    let action = prop::sample::select(vec![AuthzAction::Allow, AuthzAction::Deny, AuthzAction::Audit]);
    let authz = (origin(), labels(), action, vec(rule(), 0..3))
        .prop_map(|(origin, selector, action, rules)| AuthorizationPolicy { origin, selector, action, rules });
    let telemetry = vec(reporting::telemetry(), 0..3);
    (text(), vec(authn, 0..3), vec(authz, 0..3), telemetry).prop_map(
        |(namespace, peer_authentications, authorization, telemetry)| Policies {
            telemetry,
            namespace,
            peer_authentications,
            authorization,
        },
    )
}

fn rule() -> impl Strategy<Value = AuthzRule> {
    let values = || (texts(), texts()).prop_map(|(any, not)| Values { any, not });
    let from = (values(), values(), values(), vec(net(), 0..2), vec(net(), 0..2)).prop_map(
        |(principals, namespaces, accounts, ip_blocks, not_ip_blocks)| AuthzSource {
            principals,
            namespaces,
            accounts,
            ip_blocks,
            not_ip_blocks,
        },
    );
    let to = (values(), values(), values(), values()).prop_map(|(hosts, ports, methods, paths)| AuthzOperation {
        hosts,
        ports,
        methods,
        paths,
    });
    let when = (text(), values()).prop_map(|(key, values)| AuthzCondition { key, values });
    (vec(from, 0..2), vec(to, 0..2), vec(when, 0..2)).prop_map(|(from, to, when)| AuthzRule { from, to, when })
}

fn mesh() -> impl Strategy<Value = MeshConfig> {
    let log = prop::sample::select(vec![AccessLog::Off, AccessLog::Errors, AccessLog::All]);
    let reported = (reporting::format(), vec(reporting::provider(), 0..3), reporting::defaults(), 0.0..=100.0);
    (name(), name(), any::<bool>(), log, reported).prop_map(
        |(trust_domain, root_namespace, allow_any, access_log, reported)| {
            let (access_log_format, providers, default_providers, trace_sampling) = reported;
            MeshConfig {
                trust_domain,
                root_namespace,
                allow_any,
                access_log,
                access_log_format,
                providers,
                default_providers,
                trace_sampling,
            }
        },
    )
}
