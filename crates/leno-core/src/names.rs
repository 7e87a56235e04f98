//! Names that other tools rely on: ports, headers, metrics, ALPN.

/// Ports of the proxy (Istio's).
pub mod port {
    /// Admin, on loopback.
    pub const ADMIN: u16 = 15000;
    /// Outbound traffic is redirected here.
    pub const OUTBOUND: u16 = 15001;
    /// Inbound traffic is redirected here.
    pub const INBOUND: u16 = 15006;
    /// Merged metrics, `/healthz/ready`, `/quitquitquit`.
    pub const STATUS: u16 = 15020;
    /// Health.
    pub const HEALTH: u16 = 15021;
    /// Proxy metrics, `/stats/prometheus`.
    pub const METRICS: u16 = 15090;
    /// Control plane: xDS and CA over TLS.
    pub const CONTROL_TLS: u16 = 15012;
    /// Control plane: metrics and debug.
    pub const CONTROL_MONITORING: u16 = 15014;
    /// Control plane: webhooks.
    pub const CONTROL_WEBHOOK: u16 = 15017;
}

/// User id of the sidecar (Istio's), exempt from interception.
pub const PROXY_UID: u32 = 1337;
/// Socket mark that exempts a proxy's own connections where it cannot have a uid of its own.
pub const PROXY_MARK: u32 = 1337;

/// Where the control plane and leno-viz are, unless installed elsewhere.
pub const SYSTEM_NAMESPACE: &str = "leno-system";
/// `ServiceAccount` of leno-viz, in the control plane's namespace.
pub const VIZ_ACCOUNT: &str = "leno-viz";
/// Audience of projected tokens.
pub const TOKEN_AUDIENCE: &str = "istio-ca";
/// The control plane's DNS names in its serving certificate.
pub const CONTROL_HOSTS: &[&str] =
    &["leno-control.leno-system.svc", "leno-control.leno-system.svc.cluster.local", "istiod.istio-system.svc"];

/// ALPN protocols between sidecars.
pub mod alpn {
    /// HTTP/2 between sidecars: requests multiplexed over few connections.
    pub const H2: &[u8] = b"istio-h2";
    /// HTTP/1.1 between sidecars.
    pub const HTTP_1_1: &[u8] = b"istio-http/1.1";
    /// HTTP/1.0 between sidecars.
    pub const HTTP_1_0: &[u8] = b"istio-http/1.0";
    /// Opaque bytes between sidecars.
    pub const TCP: &[u8] = b"istio";
    /// Opaque bytes with metadata exchange (accepted, treated as [`TCP`]).
    pub const PEER_EXCHANGE: &[u8] = b"istio-peer-exchange";
    /// All that mark a connection as the mesh's own mutual TLS.
    pub const MESH: &[&[u8]] = &[H2, HTTP_1_1, HTTP_1_0, TCP, PEER_EXCHANGE];
}

/// Headers, lower case.
pub mod header {
    /// HTTP version the client spoke before requests were multiplexed: `HTTP/1.1` or `HTTP/1.0`. Between sidecars only.
    pub const ORIG_PROTO: &str = "x-leno-orig-proto";
    /// Caller's workload for the server's metrics: its workload, app, version and so on, as
    /// `leno-proxy`'s `phase::peer` writes and reads them. Between sidecars only.
    pub const PEER: &str = "x-leno-peer";
    /// Request id.
    pub const REQUEST_ID: &str = "x-request-id";
    /// Which attempt this is, from 1.
    pub const ATTEMPT: &str = "x-envoy-attempt-count";
    /// Milliseconds the upstream took, on responses.
    pub const SERVICE_TIME: &str = "x-envoy-upstream-service-time";
    /// Trace context of W3C.
    pub const TRACEPARENT: &str = "traceparent";
    /// Caller's scheme.
    pub const FORWARDED_PROTO: &str = "x-forwarded-proto";
    /// Caller's address.
    pub const FORWARDED_FOR: &str = "x-forwarded-for";
    /// Verified client certificate.
    pub const XFCC: &str = "x-forwarded-client-cert";
    /// Why the mesh answered itself, on responses that a sidecar made: [`crate::Reason`]'s snake-case name.
    pub const REASON: &str = "leno-reason";
}

/// Metric names and labels (Istio's standard metrics).
pub mod metric {
    /// Requests.
    pub const REQUESTS: &str = "istio_requests";
    /// Request durations, milliseconds.
    pub const DURATION: &str = "istio_request_duration_milliseconds";
    /// Request body sizes.
    pub const REQUEST_BYTES: &str = "istio_request_bytes";
    /// Response body sizes.
    pub const RESPONSE_BYTES: &str = "istio_response_bytes";
    /// gRPC messages received.
    pub const REQUEST_MESSAGES: &str = "istio_request_messages";
    /// gRPC messages sent.
    pub const RESPONSE_MESSAGES: &str = "istio_response_messages";
    /// Opaque connections opened.
    pub const TCP_OPENED: &str = "istio_tcp_connections_opened";
    /// Opaque connections closed.
    pub const TCP_CLOSED: &str = "istio_tcp_connections_closed";
    /// Opaque bytes sent.
    pub const TCP_SENT: &str = "istio_tcp_sent_bytes";
    /// Opaque bytes received.
    pub const TCP_RECEIVED: &str = "istio_tcp_received_bytes";
    /// Build.
    pub const BUILD: &str = "istio_build";
    /// Buckets of the duration histogram, milliseconds (Envoy's).
    pub const DURATION_BUCKETS: [f64; 19] = [
        0.5,
        1.0,
        5.0,
        10.0,
        25.0,
        50.0,
        100.0,
        250.0,
        500.0,
        1000.0,
        2500.0,
        5000.0,
        10_000.0,
        30_000.0,
        60_000.0,
        300_000.0,
        600_000.0,
        1_800_000.0,
        3_600_000.0,
    ];
}
