//! Envoy, mutual TLS on the middle hop, HTTP/1.1 or HTTP/2 there.

use std::path::PathBuf;
use std::process::Command;

use super::Place;
use crate::net::{Running, start};

/// The protocol of the middle hop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Middle {
    Http1,
    Http2,
}

/// What the load dials, and the middle hop; for HTTP/1.1, then for h2c.
pub(crate) const fn ports(middle: Middle) -> [(u16, u16); 2] {
    match middle {
        Middle::Http1 => [(18201, 18206), (18202, 18207)],
        Middle::Http2 => [(18301, 18306), (18302, 18307)],
    }
}

/// Starts both; `client` and `server` make commands in their pods.
pub(crate) fn start_pair(
    program: &str,
    middle: Middle,
    place: &Place<'_>,
    client: &dyn Fn(&str) -> Command,
    server: &dyn Fn(&str) -> Command,
) -> anyhow::Result<[Running; 2]> {
    let pem = super::certificate(place.folder)?.display().to_string();
    let between = protocol(middle == Middle::Http2);
    let (mut near, mut far) = (Config::default(), Config::default());
    for (n, (dialled, hop)) in ports(middle).into_iter().enumerate() {
        // With HTTP/1.1 between, the application is asked by it too: a request is translated once, not twice.
        let app = protocol(n == 1 && middle == Middle::Http2);
        near.add(&listener(n, "127.0.0.1", dialled, ""), &cluster(n, place.server, hop, between, &dialling(&pem)));
        far.add(&listener(n, place.server, hop, &serving(&pem)), &cluster(n, "127.0.0.1", place.app, app, ""));
    }
    let name = if middle == Middle::Http2 { "h2" } else { "h1" };
    let run = |mut command: Command, file: PathBuf| {
        start(command.args(["--concurrency", "1", "-l", "error", "--disable-hot-restart", "-c"]).arg(file))
    };
    Ok([
        run(client(program), place.write(&format!("envoy-{name}-client.yaml"), &near.yaml())?)?,
        run(server(program), place.write(&format!("envoy-{name}-server.yaml"), &far.yaml())?)?,
    ])
}

#[derive(Default)]
struct Config {
    listeners: String,
    clusters: String,
}

impl Config {
    fn add(&mut self, listener: &str, cluster: &str) {
        self.listeners.push_str(listener);
        self.clusters.push_str(cluster);
    }

    fn yaml(&self) -> String {
        format!("static_resources:\n  listeners:\n{}  clusters:\n{}", self.listeners, self.clusters)
    }
}

const fn protocol(http2: bool) -> &'static str {
    if http2 { "http2_protocol_options" } else { "http_protocol_options" }
}

fn listener(n: usize, address: &str, port: u16, tls: &str) -> String {
    format!(
        "  - name: l{n}
    address: {{socket_address: {{address: {address}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: l{n}
          codec_type: AUTO
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes: [{{match: {{prefix: /}}, route: {{cluster: c{n}, timeout: 300s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
{tls}"
    )
}

fn cluster(n: usize, address: &str, port: u16, protocol: &str, tls: &str) -> String {
    format!(
        "  - name: c{n}
    type: STATIC
    load_assignment:
      cluster_name: c{n}
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {address}, port_value: {port}}}}}}}
    circuit_breakers: {{thresholds: [{{max_connections: 10000, max_pending_requests: 10000, max_requests: 10000}}]}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{{protocol}: {{}}}}
{tls}"
    )
}

fn serving(pem: &str) -> String {
    format!(
        "      transport_socket:
        name: tls
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates: [{{certificate_chain: {{filename: {pem}}}, private_key: {{filename: {pem}}}}}]
            validation_context: {{trusted_ca: {{filename: {pem}}}}}
"
    )
}

fn dialling(pem: &str) -> String {
    format!(
        "    transport_socket:
      name: tls
      typed_config:
        \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: web
        common_tls_context:
          tls_certificates: [{{certificate_chain: {{filename: {pem}}}, private_key: {{filename: {pem}}}}}]
          validation_context:
            trusted_ca: {{filename: {pem}}}
            match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: web}}}}]
"
    )
}
