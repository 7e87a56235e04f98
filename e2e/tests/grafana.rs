//! Leno's own Grafana dashboards, the queries of Istio's and of Linkerd's tools, and the application's own metrics by way
//! of its STRICT sidecar: the real Prometheus has data for each of them.

use std::path::Path;
use std::time::Duration;

use leno_e2e::{Mesh, Namespace, Prometheus, client, echo_app, number, service};
use serde_json::Value;

const STRICT: &str = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n\
                      metadata: {name: strict, namespace: myapp}\nspec: {mtls: {mode: STRICT}}\n";

/// An application that has metrics of its own, as Prometheus itself does.
const METERED: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: metered, namespace: myapp}
spec:
  selector: {matchLabels: {app: metered}}
  template:
    metadata:
      labels: {app: metered}
      annotations: {prometheus.io/scrape: 'true', prometheus.io/port: '9091'}
    spec:
      containers:
      - name: app
        image: example.com/metered:1
        command: [sh, -c, 'exec prometheus --config.file=/dev/null --storage.tsdb.path=$(mktemp -d) --web.listen-address=:9091 --log.level=error']
";

#[test]
fn every_panel_has_data() {
    let echo = echo_app("myapp", "echo", "v1", 1).replacen(
        "      labels: {app",
        "      annotations: {proxy.leno.dev/linkerd-metrics: 'true'}\n      labels: {app",
        1,
    );
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        STRICT,
        &echo,
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &service("myapp", "raw", "app: echo", "[{name: tcp-raw, port: 9000, targetPort: 8080}]"),
        METERED,
        &client("myapp", "web"),
        &Namespace::Plain.named("outside"),
        &client("outside", "prom"),
    ]);
    let send = |times: u32| {
        for n in 0..times {
            let fail = u32::from(n % 5 == 4);
            let _ =
                mesh.get("myapp", "deploy/web", &format!("http://echo.myapp:8080/latency?min=1ms&max=2ms&fail={fail}"));
            let _ = mesh.get("myapp", "deploy/web", "http://raw.myapp:9000/healthz");
        }
    };
    send(5);
    let pods = ["deploy/web", "deploy/echo-v1", "deploy/metered"];
    let prometheus = Prometheus::start(&mesh, &pods, &["leno-control.leno-system.svc:15014"]);
    mesh.wait(Duration::from_secs(30), "Prometheus has fetched from all", |_| prometheus.value("sum(up)") == Some(4.0));
    // Something to push, to sign and to count while it looks.
    mesh.apply(&client("myapp", "late"));
    mesh.apply(&STRICT.replace("name: strict", "name: other"));
    send(15);
    std::thread::sleep(Duration::from_secs(3));

    of_our_own_dashboards(&prometheus);
    of_istios_dashboards(&prometheus);
    of_linkerds_tools(&prometheus);
    of_the_application(&mesh, &prometheus);
}

fn of_our_own_dashboards(prometheus: &Prometheus<'_>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana");
    let mut queries = 0;
    for file in std::fs::read_dir(folder).expect("deploy/grafana") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let query = target["expr"].as_str().expect("a query");
                let query = query.replace("$__rate_interval", "1m").replace("$namespace", "myapp");
                let query =
                    query.replace("$service", "(echo|raw).myapp.*").replace("$workload", workload(&panel["title"]));
                let found = prometheus.query(&query);
                assert!(!found.is_empty(), "{}: {}: no data for {query}", path.display(), panel["title"]);
                assert!(found.iter().any(|s| number(s).is_finite()), "{}: {query}: {found:?}", panel["title"]);
                queries += 1;
            }
        }
    }
    assert!(queries > 40, "{queries}");
    println!("FIGURE queries of dashboards with data: {queries}");
}

/// Who sends and who receives in the scene.
fn workload(title: &Value) -> &'static str {
    let out = title.as_str().is_some_and(|t| t.to_lowercase().contains("out"));
    if out { "web" } else { "echo-v1" }
}

fn of_istios_dashboards(prometheus: &Prometheus<'_>) {
    for query in [
        r#"round(sum(irate(istio_requests_total{reporter=~"source|waypoint",destination_service=~"echo.myapp.svc.cluster.local"}[5m])), 0.001)"#,
        r#"sum(irate(istio_requests_total{reporter=~"source|waypoint",destination_service=~"echo.myapp.svc.cluster.local",response_code!~"5.*"}[5m])) / sum(irate(istio_requests_total{reporter=~"source|waypoint",destination_service=~"echo.myapp.svc.cluster.local"}[5m]))"#,
        r#"histogram_quantile(0.90, sum(irate(istio_request_duration_milliseconds_bucket{reporter=~"destination",destination_workload=~"echo-v1"}[1m])) by (source_workload, source_workload_namespace, le))"#,
        r#"label_join(sum by (destination_workload, destination_workload_namespace, destination_service) (rate(istio_requests_total{reporter=~"source|waypoint"}[5m])), "destination_workload_var", ".", "destination_workload", "destination_workload_namespace")"#,
        r#"sum(irate(istio_tcp_received_bytes_total{reporter=~"source|waypoint",destination_service=~"raw.myapp.svc.cluster.local"}[1m]))"#,
        r#"sum by (destination_service) (istio_tcp_sent_bytes_total{})"#,
        r#"sum(rate(istio_requests_total{reporter="destination",connection_security_policy="mutual_tls",source_principal=~"spiffe.*"}[1m])) by (source_principal, response_code)"#,
        r#"sum(irate(pilot_xds_pushes[1m])) by (type)"#,
        r#"histogram_quantile(0.5, sum(rate(pilot_xds_push_time_bucket[1m])) by (le))"#,
        r#"sum(rate(pilot_proxy_convergence_time_sum[1m])) / sum(rate(pilot_proxy_convergence_time_count[1m]))"#,
        r#"histogram_quantile(0.5, sum(rate(pilot_xds_config_size_bytes_bucket[1m])) by (le))"#,
        r#"sum(rate(pilot_push_triggers[1m])) by (type)"#,
        r#"sum(increase(pilot_total_xds_internal_errors[1m]))"#,
        r#"rate(pilot_k8s_cfg_events{}[1m])"#,
        r#"rate(pilot_k8s_reg_events{}[1m])"#,
        r#"avg(pilot_services{})"#,
        r#"sum(pilot_xds)"#,
        r#"pilot_info"#,
    ] {
        assert!(!prometheus.query(query).is_empty(), "no data for {query}");
    }
}

/// Flagger's with Linkerd, and `linkerd viz stat`'s.
fn of_linkerds_tools(prometheus: &Prometheus<'_>) {
    let success = r#"sum(rate(response_total{direction="inbound",classification!="failure"}[1m])) / sum(rate(response_total{direction="inbound"}[1m])) * 100"#;
    let success = prometheus.value(success).expect("Linkerd's success rate");
    assert!((success - 80.0).abs() < 10.0, "four of five: {success}");
    let p99 = r#"histogram_quantile(0.99, sum(rate(response_latency_ms_bucket{direction="inbound"}[1m])) by (le))"#;
    let p99 = prometheus.value(p99).expect("Linkerd's latency");
    assert!((0.5..1000.0).contains(&p99), "{p99}");
    let secured = prometheus.value(r#"sum(request_total{direction="inbound",tls="true"})"#);
    assert!(secured.is_some_and(|n| n >= 20.0), "all of them, whatever their status: {secured:?}");
    let opened = prometheus.value(r#"sum(tcp_open_total{peer="src"})"#);
    assert!(opened.is_some_and(|n| n >= 1.0), "{opened:?}");
    assert!(
        prometheus.query(r#"request_total{direction="outbound"}"#).is_empty(),
        "the other pods did not ask for them"
    );
}

/// A STRICT pod: nobody but its own proxy can ask the application.
fn of_the_application(mesh: &Mesh, prometheus: &Prometheus<'_>) {
    assert_eq!(prometheus.value("leno_app_metrics_up"), Some(1.0));
    assert_eq!(prometheus.query("prometheus_build_info").len(), 1, "the application's own series");
    let own = prometheus.value("process_resident_memory_bytes * on (instance) prometheus_build_info");
    assert!(own.is_some_and(|bytes| bytes > 20e6), "a name that both have is the application's: {own:?}");
    let (_, alone) = mesh.get("myapp", "deploy/metered", "http://127.0.0.1:15090/stats/prometheus");
    assert!(
        alone.contains("process_resident_memory_bytes ") && !alone.contains("prometheus_build_info"),
        "15090 is the proxy's"
    );
}
