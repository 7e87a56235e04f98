//! The real Prometheus (Debian's) fetches from the sidecars, and the queries of Kiali, Flagger and Argo Rollouts get the
//! figures of what was sent.

use std::time::Duration;

use leno_e2e::{Mesh, Namespace, Prometheus, client, echo_app, service};

const URL: &str = "http://echo.myapp:8080";

#[test]
fn queries_of_other_tools_get_right_figures() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
        &Namespace::Plain.named("outside"),
        &client("outside", "prom"),
    ]);
    // One of each, so that every series has a first sample from which it grows.
    let send = |path: &str, times: u32| {
        let url = format!("{URL}{path}");
        for _ in 0..times {
            let _ = mesh.get("myapp", "deploy/web", &url);
        }
    };
    let (good, bad) = ("/latency?min=1ms&max=2ms&fail=0", "/latency?min=1ms&max=2ms&fail=1");
    send(good, 1);
    send(bad, 1);
    let prometheus = Prometheus::start(&mesh, &["deploy/web", "deploy/echo-v1"], &[]);
    // The two sidecars are fetched from at different moments: both must have been.
    let both = |count: f64| {
        ["source", "destination"].iter().all(|reporter| {
            prometheus.value(&format!(r#"sum(istio_requests_total{{reporter="{reporter}"}})"#)) == Some(count)
        })
    };
    mesh.wait(Duration::from_secs(20), "Prometheus has fetched", |_| both(2.0));
    send(good, 14);
    send(bad, 4);
    mesh.wait(Duration::from_secs(20), "Prometheus has fetched all", |_| both(20.0));

    for reporter in ["source", "destination"] {
        let count = |code: &str| {
            prometheus.value(&format!(r#"sum(istio_requests_total{{reporter="{reporter}",response_code=~"{code}"}})"#))
        };
        assert_eq!((count("200"), count("5..")), (Some(15.0), Some(5.0)), "{reporter}");
    }
    // Flagger: success of a workload in percent.
    let flagger = r#"100 * sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="myapp",destination_workload=~"echo-v1",response_code!~"5.*"}[1m])) / sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="myapp",destination_workload=~"echo-v1"}[1m]))"#;
    let success = prometheus.value(flagger).expect("Flagger's success rate");
    // The counts above are exact; rate() stretches each series to the window, short ones less, so this one is not.
    assert!((success - 100.0 * 14.0 / 18.0).abs() < 5.0, "14 of the 18 that came while it looked: {success}");
    let p99 = r#"histogram_quantile(0.99, sum(rate(istio_request_duration_milliseconds_bucket{reporter="destination",destination_workload_namespace="myapp",destination_workload=~"echo-v1"}[1m])) by (le))"#;
    let p99 = prometheus.value(p99).expect("Flagger's latency");
    assert!((0.5..1000.0).contains(&p99), "{p99}");
    // Argo Rollouts: the same by the client's word.
    let argo = r#"sum(irate(istio_requests_total{reporter="source",destination_service=~"echo.myapp.svc.cluster.local",response_code!~"5.*"}[5m])) / sum(irate(istio_requests_total{reporter="source",destination_service=~"echo.myapp.svc.cluster.local"}[5m]))"#;
    assert!(prometheus.value(argo).is_some(), "Argo's query finds its series");
    // Kiali: an edge of the graph with no label missing.
    let by = "source_cluster,source_workload_namespace,source_workload,source_canonical_service,source_canonical_revision,destination_cluster,destination_service_namespace,destination_service,destination_service_name,destination_workload_namespace,destination_workload,destination_canonical_service,destination_canonical_revision";
    let edges = prometheus.query(&format!(
        r#"sum(rate(istio_requests_total{{reporter="destination",destination_workload_namespace="myapp"}}[1m])) by ({by}) > 0"#
    ));
    let [edge] = &edges[..] else { panic!("{edges:#?}") };
    for label in by.split(',') {
        assert!(edge["metric"][label].as_str().is_some_and(|v| !v.is_empty()), "{label}: {edge}");
    }
    assert_eq!(edge["metric"]["source_workload"], "web");
    assert_eq!(edge["metric"]["destination_workload"], "echo-v1");
    // Istio's mesh dashboard: who is locked.
    let plain = r#"sum(istio_requests_total{reporter="destination",connection_security_policy!="mutual_tls"})"#;
    assert_eq!(prometheus.value(plain), None, "everything was mutual TLS");
}
