//! Linkerd's series, for tools that ask for those: off unless `LENO_LINKERD_METRICS` is `true`, and then worked out of the
//! live window's flows when somebody scrapes, so that no request pays for them.
//!
//! Names and labels are those of Linkerd's proxy. Latencies come from sketches, so a bucket is off by at most 2.5 % of its
//! bound, and their sum likewise. `tcp_…` counts opaque connections, as Istio's series do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use leno_core::id::Direction;
use leno_core::samples::{PeerLabels, RequestLabels, RequestSample, TcpLabels, TcpSample};
use leno_core::sketch::Sketch;

use super::exposition::{Exposition, head};

/// Upper bounds of `response_latency_ms`, beside infinity.
const BOUNDS: [u64; 25] = [
    1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 3000, 4000, 5000, 10_000, 20_000, 30_000,
    40_000, 50_000,
];

/// What is shown, row by row. Flows that Linkerd's labels do not tell apart are one row.
#[derive(Debug, Default)]
pub(super) struct Rows {
    requests: Vec<(String, u64)>,
    responses: Vec<(String, (u64, Sketch))>,
    tcp: Vec<(String, [u64; 4])>,
}

impl Rows {
    pub(super) fn new(requests: &[RequestSample], tcp: &[TcpSample]) -> Self {
        let mut asked: BTreeMap<String, u64> = BTreeMap::new();
        let mut answered: BTreeMap<String, (u64, Sketch)> = BTreeMap::new();
        let mut connections: BTreeMap<String, [u64; 4]> = BTreeMap::new();
        for sample in requests {
            *asked.entry(of_request(&sample.labels)).or_default() += sample.count;
            let (count, sketch) = answered.entry(of_response(&sample.labels)).or_default();
            *count += sample.count;
            sketch.merge(&sample.sketch);
        }
        for s in tcp {
            let sums = connections.entry(of_tcp(&s.labels)).or_default();
            sums.iter_mut().zip([s.opened, s.closed, s.received, s.sent]).for_each(|(sum, n)| *sum += n);
        }
        Self {
            requests: asked.into_iter().collect(),
            responses: answered.into_iter().collect(),
            tcp: connections.into_iter().collect(),
        }
    }

    /// Writes row `at` of all families; `false` = there is none.
    pub(super) fn write(&self, out: &mut String, form: Exposition, mut at: usize) -> bool {
        if let Some((labels, count)) = self.requests.get(at) {
            begin(out, form, at, "request", "_total", "counter", "Requests.");
            let _ = writeln!(out, "request_total{{{labels}}} {count}");
            return true;
        }
        at -= self.requests.len();
        if let Some((labels, (count, _))) = self.responses.get(at) {
            begin(out, form, at, "response", "_total", "counter", "Responses.");
            let _ = writeln!(out, "response_total{{{labels}}} {count}");
            return true;
        }
        at -= self.responses.len();
        if let Some((labels, (count, sketch))) = self.responses.get(at) {
            let help = "From the request's first byte to the response's last, milliseconds.";
            begin(out, form, at, "response_latency_ms", "", "histogram", help);
            latency(out, labels, *count, sketch);
            return true;
        }
        at -= self.responses.len();
        let Some((family, row)) = (at < self.tcp.len() * TCP.len()).then(|| (at / self.tcp.len(), at % self.tcp.len()))
        else {
            return false;
        };
        let (name, suffix, kind, help, value) = TCP[family];
        begin(out, form, row, name, suffix, kind, help);
        let (labels, counts) = &self.tcp[row];
        let _ = writeln!(out, "{name}{suffix}{{{labels}}} {}", value(counts));
        true
    }
}

/// The head of a family, before its first row.
fn begin(out: &mut String, form: Exposition, row: usize, name: &str, suffix: &str, kind: &str, help: &str) {
    if row == 0 {
        head(out, form, name, suffix, kind, help);
    }
}

fn latency(out: &mut String, labels: &str, count: u64, sketch: &Sketch) {
    for bound in BOUNDS {
        let up_to = sketch.at_most(Duration::from_millis(bound));
        let _ = writeln!(out, "response_latency_ms_bucket{{{labels},le=\"{bound}\"}} {up_to}");
    }
    let _ = writeln!(out, "response_latency_ms_bucket{{{labels},le=\"+Inf\"}} {count}");
    let _ = writeln!(out, "response_latency_ms_sum{{{labels}}} {:.0}", sketch.sum().as_secs_f64() * 1000.0);
    let _ = writeln!(out, "response_latency_ms_count{{{labels}}} {count}");
}

/// Name, suffix, kind, help, and the value out of opened, closed, received, sent.
type TcpFamily = (&'static str, &'static str, &'static str, &'static str, fn(&[u64; 4]) -> u64);

const TCP: [TcpFamily; 5] = [
    ("tcp_open", "_total", "counter", "Connections opened.", |c| c[0]),
    ("tcp_close", "_total", "counter", "Connections closed.", |c| c[1]),
    ("tcp_open_connections", "", "gauge", "Connections open now.", |c| c[0].saturating_sub(c[1])),
    ("tcp_read_bytes", "_total", "counter", "Bytes from clients.", |c| c[2]),
    ("tcp_write_bytes", "_total", "counter", "Bytes to clients.", |c| c[3]),
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
        let rows = Rows::new(&[requests(Direction::Outbound, 200, 3), requests(Direction::Inbound, 503, 1)], &[]);
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
    fn what_linkerds_labels_do_not_tell_apart_is_added_up() {
        let mut by_rule = requests(Direction::Outbound, 200, 2);
        by_rule.labels.route = "canary".to_owned();
        let failed = requests(Direction::Outbound, 503, 4);
        let text = text(&Rows::new(&[requests(Direction::Outbound, 200, 3), by_rule, failed], &[]));
        let values = |name: &str| {
            let rows = text.lines().filter(|l| l.starts_with(name));
            rows.filter_map(|l| l.rsplit_once(' ')?.1.parse().ok()).collect::<Vec<u64>>()
        };
        assert_eq!(values("request_total"), [9]);
        assert_eq!(values("response_total"), [5, 4]);
        assert_eq!(values("response_latency_ms_count"), [5, 4]);
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
        let text = text(&Rows::new(&[], &[sample]));
        let labels = "direction=\"inbound\",tls=\"disabled\",no_tls_reason=\"no_tls_from_remote\",\
                      client_id=\"web.shop.serviceaccount.identity.linkerd.cluster.local\",peer=\"src\"";
        assert!(text.contains(&format!("tcp_open_connections{{{labels}}} 2\n")), "{text}");
        assert!(text.contains(&format!("tcp_read_bytes_total{{{labels}}} 20\n")));
        assert_eq!(text.matches("# TYPE").count(), 5);
    }
}
