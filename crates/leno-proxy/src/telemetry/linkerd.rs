//! Linkerd's series, for tools that ask for those: off unless `LENO_LINKERD_METRICS` is `true`, and then worked out of the
//! live window's flows when somebody scrapes, so that no request pays for them.
//!
//! Names and labels are those of Linkerd's proxy. Latencies come from sketches, so a bucket is off by at most 2.5 % of its
//! bound, and their sum likewise. `tcp_…` counts opaque connections, as Istio's series do.

use std::fmt::Write as _;
use std::time::Duration;

use leno_core::id::Direction;
use leno_core::samples::{PeerLabels, RequestLabels, RequestSample, TcpLabels, TcpSample};

use super::exposition::{Exposition, head};

/// Upper bounds of `response_latency_ms`, beside infinity.
const BOUNDS: [u64; 25] = [
    1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 3000, 4000, 5000, 10_000, 20_000, 30_000,
    40_000, 50_000,
];

/// What is shown, row by row.
#[derive(Debug, Default)]
pub(super) struct Rows {
    requests: Vec<RequestSample>,
    tcp: Vec<TcpSample>,
}

impl Rows {
    pub(super) const fn new(requests: Vec<RequestSample>, tcp: Vec<TcpSample>) -> Self {
        Self { requests, tcp }
    }

    /// Writes row `at` of all families; `false` = there is none.
    pub(super) fn write(&self, out: &mut String, form: Exposition, at: usize) -> bool {
        if let Some((family, row)) = place(at, self.requests.len(), HTTP.len()) {
            let (name, suffix, kind, help, write) = HTTP[family];
            if row == 0 {
                head(out, form, name, suffix, kind, help);
            }
            write(out, &self.requests[row]);
            return true;
        }
        let at = at - HTTP.len() * self.requests.len();
        let Some((family, row)) = place(at, self.tcp.len(), TCP.len()) else { return false };
        let (name, suffix, kind, help, value) = TCP[family];
        if row == 0 {
            head(out, form, name, suffix, kind, help);
        }
        let sample = &self.tcp[row];
        let _ = writeln!(out, "{name}{suffix}{{{}}} {}", of_tcp(&sample.labels), value(sample));
        true
    }
}

/// Family and row within it.
fn place(at: usize, rows: usize, families: usize) -> Option<(usize, usize)> {
    (at < rows * families).then(|| (at / rows, at % rows))
}

type HttpFamily = (&'static str, &'static str, &'static str, &'static str, fn(&mut String, &RequestSample));
type TcpFamily = (&'static str, &'static str, &'static str, &'static str, fn(&TcpSample) -> u64);

const HTTP: [HttpFamily; 3] = [
    ("request", "_total", "counter", "Requests.", |out, s| {
        let _ = writeln!(out, "request_total{{{}}} {}", of_request(&s.labels), s.count);
    }),
    ("response", "_total", "counter", "Responses.", |out, s| {
        let _ = writeln!(out, "response_total{{{}}} {}", of_response(&s.labels), s.count);
    }),
    (
        "response_latency_ms",
        "",
        "histogram",
        "From the request's first byte to the response's last, milliseconds.",
        |out, s| {
            let labels = of_response(&s.labels);
            for bound in BOUNDS {
                let count = s.sketch.at_most(Duration::from_millis(bound));
                let _ = writeln!(out, "response_latency_ms_bucket{{{labels},le=\"{bound}\"}} {count}");
            }
            let _ = writeln!(out, "response_latency_ms_bucket{{{labels},le=\"+Inf\"}} {}", s.count);
            let _ = writeln!(out, "response_latency_ms_sum{{{labels}}} {:.0}", s.sketch.sum().as_secs_f64() * 1000.0);
            let _ = writeln!(out, "response_latency_ms_count{{{labels}}} {}", s.count);
        },
    ),
];

const TCP: [TcpFamily; 5] = [
    ("tcp_open", "_total", "counter", "Connections opened.", |s| s.opened),
    ("tcp_close", "_total", "counter", "Connections closed.", |s| s.closed),
    ("tcp_open_connections", "", "gauge", "Connections open now.", |s| s.opened.saturating_sub(s.closed)),
    ("tcp_read_bytes", "_total", "counter", "Bytes from clients.", |s| s.received),
    ("tcp_write_bytes", "_total", "counter", "Bytes to clients.", |s| s.sent),
];

fn of_request(labels: &RequestLabels) -> String {
    let mut out = String::new();
    common(&mut out, labels.direction, labels.mtls, &labels.source, &labels.destination);
    if let Some(service) = &labels.service {
        label(&mut out, "authority", &service.host());
        label(&mut out, "dst_service", &service.name);
    }
    out
}

fn of_response(labels: &RequestLabels) -> String {
    let mut out = of_request(labels);
    label(&mut out, "status_code", &labels.status.to_string());
    // Linkerd's rule: 5xx, a gRPC status that says failure, or no answer at all.
    let failed = labels.status == 0 || labels.status >= 500 || labels.grpc.is_some_and(is_failure);
    label(&mut out, "classification", if failed { "failure" } else { "success" });
    if let Some(status) = labels.grpc {
        label(&mut out, "grpc_status", &status.to_string());
    }
    out
}

fn of_tcp(labels: &TcpLabels) -> String {
    let mut out = String::new();
    common(&mut out, labels.direction, labels.mtls, &labels.source, &labels.destination);
    label(&mut out, "peer", if labels.direction == Direction::Inbound { "src" } else { "dst" });
    out
}

fn common(out: &mut String, direction: Direction, mtls: bool, source: &PeerLabels, destination: &PeerLabels) {
    let inbound = direction == Direction::Inbound;
    let _ = write!(out, "direction=\"{}\"", if inbound { "inbound" } else { "outbound" });
    label(out, "tls", if mtls { "true" } else { "disabled" });
    if !mtls {
        label(out, "no_tls_reason", if inbound { "no_tls_from_remote" } else { "not_provided_by_service_discovery" });
    }
    if inbound {
        label(out, "client_id", &as_linkerd(&source.principal));
        return;
    }
    label(out, "server_id", &as_linkerd(&destination.principal));
    label(out, "dst_namespace", &destination.namespace);
    label(out, "dst_pod", &destination.pod);
    if !destination.kind.is_empty() && destination.kind != "pod" {
        let kind = if destination.kind == "job" { "k8s_job" } else { destination.kind.as_str() };
        label(out, &format!("dst_{kind}"), &destination.workload);
    }
}

/// Linkerd's name of an identity: `ACCOUNT.NAMESPACE.serviceaccount.identity.linkerd.TRUST_DOMAIN`.
fn as_linkerd(principal: &str) -> String {
    let mut parts = principal.strip_prefix("spiffe://").unwrap_or_default().split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(domain), Some("ns"), Some(namespace), Some("sa"), Some(account)) => {
            format!("{account}.{namespace}.serviceaccount.identity.linkerd.{domain}")
        }
        _ => String::new(),
    }
}

/// gRPC statuses that Linkerd counts as failures.
const fn is_failure(status: u32) -> bool {
    // Unknown, DeadlineExceeded, Internal, Unavailable, DataLoss.
    matches!(status, 2 | 4 | 13 | 14 | 15)
}

/// An empty value is no label, as in Linkerd.
fn label(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, ",{name}=\"{value}\"");
    }
}

#[cfg(test)]
mod tests {
    use leno_core::id::ServiceId;
    use leno_core::sketch::Sketch;

    use super::*;

    fn text(rows: &Rows) -> String {
        let mut out = String::new();
        let mut at = 0;
        while rows.write(&mut out, Exposition::Text, at) {
            at += 1;
        }
        out
    }

    fn peer(name: &str) -> PeerLabels {
        PeerLabels {
            namespace: "shop".to_owned(),
            workload: name.to_owned(),
            kind: "deployment".to_owned(),
            pod: format!("{name}-1"),
            principal: format!("spiffe://cluster.local/ns/shop/sa/{name}"),
        }
    }

    fn requests(direction: Direction, status: u16, times: u32) -> RequestSample {
        let mut sketch = Sketch::new();
        for n in 0..times {
            sketch.record(Duration::from_millis(if n == 0 { 700 } else { 7 }));
        }
        RequestSample {
            labels: RequestLabels {
                direction,
                source: peer("web"),
                destination: peer("cart"),
                service: Some(ServiceId::new("shop", "cart")),
                route: String::new(),
                mtls: true,
                status,
                grpc: None,
                reason: "answered".to_owned(),
                policy: String::new(),
            },
            flags: "-".to_owned(),
            count: times.into(),
            tries: times.into(),
            retries: 0,
            sketch,
        }
    }

    #[test]
    fn requests_have_linkerds_names_and_labels() {
        let rows = Rows::new(vec![requests(Direction::Outbound, 200, 3), requests(Direction::Inbound, 503, 1)], vec![]);
        let text = text(&rows);
        for line in [
            "# TYPE request_total counter",
            "request_total{direction=\"outbound\",tls=\"true\",server_id=\"cart.shop.serviceaccount.identity.linkerd.\
             cluster.local\",dst_namespace=\"shop\",dst_pod=\"cart-1\",dst_deployment=\"cart\",\
             authority=\"cart.shop.svc.cluster.local\",dst_service=\"cart\"} 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("status_code=\"503\",classification=\"failure\"} 1"), "{text}");
        assert!(text.contains("client_id=\"web.shop.serviceaccount.identity.linkerd.cluster.local\""));
        let bucket = |le: &str| {
            let end = format!("status_code=\"200\",classification=\"success\",le=\"{le}\"}} ");
            text.lines().find_map(|l| l.split_once(&end).map(|(_, n)| n.to_owned()))
        };
        assert_eq!(
            (bucket("5"), bucket("10"), bucket("500"), bucket("1000")),
            (Some("0".into()), Some("2".into()), Some("2".into()), Some("3".into()))
        );
        assert_eq!(text.matches("# TYPE").count(), 3, "each family begins once");
    }

    #[test]
    fn connections_have_them_too() {
        let labels = TcpLabels {
            direction: Direction::Inbound,
            source: peer("web"),
            destination: peer("db"),
            service: None,
            mtls: false,
        };
        let sample = TcpSample { labels, opened: 5, closed: 3, sent: 10, received: 20 };
        let text = text(&Rows::new(Vec::new(), vec![sample]));
        let labels = "direction=\"inbound\",tls=\"disabled\",no_tls_reason=\"no_tls_from_remote\",\
                      client_id=\"web.shop.serviceaccount.identity.linkerd.cluster.local\",peer=\"src\"";
        assert!(text.contains(&format!("tcp_open_connections{{{labels}}} 2\n")), "{text}");
        assert!(text.contains(&format!("tcp_read_bytes_total{{{labels}}} 20\n")));
        assert_eq!(text.matches("# TYPE").count(), 5);
    }
}
