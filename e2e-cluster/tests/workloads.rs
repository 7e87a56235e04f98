//! Every kind of workload, and neighbours without the mesh (issue 4, shown 4).

use std::time::Duration;

use leno_e2e_cluster::{App, Cluster, Mesh, Meshed, Namespace, http_app, image, service};

const STRICT: &str = "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
";
const HTTP: &str = "[{name: http, port: 8080}]";

fn server(cluster: &Cluster, name: &str) -> Namespace {
    let space = Namespace::new(cluster, name, Meshed::Istio);
    space.run(&[&http_app("server", "", 1), &http_app("client", "", 1), &service("server", "app: server", HTTP)]);
    assert!(space.all_meshed("app=server"), "the server has a sidecar");
    space
}

fn strict(cluster: &Cluster, space: &Namespace, outside: &Namespace, url: &str) {
    space.apply(&[STRICT]);
    cluster.wait(Duration::from_secs(15), "STRICT keeps plain text out", || {
        match outside.answered("deploy/client", url, 3) {
            0 => Ok(()),
            n => Err(format!("{n} of 3 plain requests were answered")),
        }
    });
}

#[test]
fn neighbours_without_the_mesh_get_in_under_permissive_and_not_under_strict() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = server(&cluster, "e2e-modes");
    let outside = Namespace::new(&cluster, "e2e-outside", Meshed::No);
    outside.run(&[&http_app("client", "", 1)]);
    let url = "http://server.e2e-modes:8080/";
    outside.reaches("deploy/client", url);
    assert_eq!(outside.answered("deploy/client", url, 10), 10, "PERMISSIVE, from outside");
    strict(&cluster, &space, &outside, url);
    assert_eq!(space.answered("deploy/client", url, 10), 10, "STRICT, from the mesh");
}

#[test]
fn pods_of_a_headless_stateful_set_are_reached_by_name_with_mutual_tls() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-stateful", Meshed::Istio);
    let outside = Namespace::new(&cluster, "e2e-outside", Meshed::No);
    outside.run(&[&http_app("client", "", 1)]);
    let image = image();
    let set = format!(
        "apiVersion: v1
kind: Service
metadata: {{name: db}}
spec: {{clusterIP: None, selector: {{app: db}}, ports: {HTTP}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  replicas: 2
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      containers:
      - name: app
        image: {image}
        args: [echo]
        env: [{{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
"
    );
    space.run(&[&set, &http_app("client", "", 1)]);
    strict(&cluster, &space, &outside, "http://db-0.db.e2e-stateful:8080/");
    for pod in ["db-0", "db-1"] {
        let summary = space.call("deploy/client", &format!("http://{pod}.db:8080/"), 10);
        assert_eq!(summary["pods"][pod].as_u64(), Some(10), "{pod} alone answers: {summary}");
    }
}

#[test]
fn jobs_and_cron_jobs_end() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = server(&cluster, "e2e-jobs");
    let image = image();
    let pod = format!(
        "{{restartPolicy: Never, containers: [{{name: app, image: {image:?}, args: [call, \"http://server:8080/\", -n, \"5\"]}}]}}"
    );
    space.apply(&[
        STRICT,
        &format!("apiVersion: batch/v1\nkind: Job\nmetadata: {{name: once}}\nspec: {{backoffLimit: 0, template: {{spec: {pod}}}}}\n"),
        &format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: often}}\nspec:\n  schedule: '0 0 1 1 *'\n  jobTemplate: \
             {{spec: {{backoffLimit: 0, template: {{spec: {pod}}}}}}}\n"
        ),
    ]);
    space.must(&["create", "job", "--from=cronjob/often", "from-cron"]);
    for job in ["once", "from-cron"] {
        let done = space.kubectl(&["wait", "--for=condition=Complete", &format!("job/{job}"), "--timeout=90s"]);
        assert!(done.ok(), "job {job} does not end\n{done}");
        assert!(space.all_meshed(&format!("job-name={job}")), "job {job} was meshed");
    }
}

#[test]
fn an_init_container_reaches_a_meshed_service() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = server(&cluster, "e2e-init");
    space.apply(&[STRICT]);
    let image = image();
    let pod = format!(
        "initContainers:\n- name: download\n  image: {image}\n  args: [wait, \"http://server:8080/bytes/1000\", --timeout, 30s]"
    );
    space.run(&[&App { name: "late", pod: &pod, ..App::default() }.yaml()]);
    let log = space.must(&["logs", "deploy/late", "-c", "download"]);
    assert!(log.contains("answers"), "the init container downloaded: {log}");
}

#[test]
fn probes_of_every_kind_pass_under_strict() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let space = Namespace::new(&cluster, "e2e-probes", Meshed::Istio);
    space.apply(&[STRICT]);
    let probes = [
        ("http", "echo", "httpGet: {path: /healthz, port: web}"),
        ("tcp", "echo", "tcpSocket: {port: web}"),
        ("grpc", "grpc-echo", "grpc: {port: 8080}"),
        ("exec", "echo", "exec: {command: [leno-shop, call, \"http://localhost:8080/healthz\"]}"),
    ];
    let apps: Vec<_> = probes
        .iter()
        .map(|(name, server, probe)| {
            let container = format!(
                "ports: [{{containerPort: 8080, name: web}}]\n\
                 startupProbe:\n  {probe}\n  periodSeconds: 1\n  failureThreshold: 30\n\
                 readinessProbe:\n  {probe}\n  periodSeconds: 1\n\
                 livenessProbe:\n  {probe}\n  periodSeconds: 1\n  failureThreshold: 2"
            );
            App { name, args: &[server, "--port", "8080"], container: &container, ..App::default() }.yaml()
        })
        .collect();
    space.run(&apps.iter().map(String::as_str).collect::<Vec<_>>());
    // Long enough for a liveness probe that fails to have restarted its container.
    std::thread::sleep(Duration::from_secs(6));
    for (name, ..) in probes {
        for pod in space.pods(&format!("app={name}")) {
            let status = &pod["status"]["containerStatuses"][0];
            assert_eq!(status["restartCount"].as_u64(), Some(0), "{name}: {status}");
            assert_eq!(status["ready"].as_bool(), Some(true), "{name}: {status}");
        }
    }
}
