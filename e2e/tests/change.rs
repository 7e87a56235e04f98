//! How long a change takes to be in force (line 5 of the README).

use std::time::{Duration, Instant};

use leno_e2e::{Mesh, Namespace, client, echo_app, figure, percentile, service};

fn weights(v1: u32, v2: u32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: echo, namespace: myapp}}
spec:
  hosts: [echo]
  http:
  - route:
    - destination: {{host: echo, subset: v1}}
      weight: {v1}
    - destination: {{host: echo, subset: v2}}
      weight: {v2}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: echo, namespace: myapp}}
spec:
  host: echo
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
"
    )
}

#[test]
fn a_weight_is_in_force_in_every_proxy_within_a_second() {
    let mesh = Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &echo_app("myapp", "echo", "v2", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "one"),
        &client("myapp", "two"),
        &client("myapp", "three"),
        &weights(100, 0),
    ]);
    // Each client watches from inside its pod and prints the time of each change of version that it sees.
    let clients = ["one", "two", "three"];
    let watchers: Vec<_> = clients
        .iter()
        .map(|c| {
            let args = ["leno-shop", "watch", "http://echo.myapp:8080/", "--every", "5ms", "--duration", "40s"];
            mesh.exec_background("myapp", &format!("deploy/{c}"), &args)
        })
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    let mut applied = Vec::new();
    for round in 0..10 {
        let yaml = if round % 2 == 0 { weights(0, 100) } else { weights(100, 0) };
        let start = Instant::now();
        applied.push(std::time::SystemTime::now());
        mesh.apply(&yaml);
        std::thread::sleep(Duration::from_millis(2500).saturating_sub(start.elapsed()));
    }
    let mut seconds = Vec::new();
    for watcher in watchers {
        let out = watcher.wait_with_output().expect("the watcher ends");
        let lines = String::from_utf8_lossy(&out.stdout).into_owned();
        // Lines are `MILLISECONDS_SINCE_EPOCH VERSION`, one for each change; the first is the start.
        let times: Vec<f64> = lines.lines().skip(1).filter_map(|l| l.split(' ').next()?.parse::<f64>().ok()).collect();
        assert_eq!(times.len(), applied.len(), "each change is seen exactly once:\n{lines}");
        for (seen, made) in times.iter().zip(&applied) {
            let made = made.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
            seconds.push(seen / 1000.0 - made);
        }
    }
    let (p50, p99) = (percentile(&seconds, 0.5), percentile(&seconds, 0.99));
    figure(
        "weight applied -> in force in every proxy (from the start of `leno local apply`)",
        &format!("p50 {:.0} ms, p99 {:.0} ms", p50 * 1e3, p99 * 1e3),
        "p99 below 1,000 ms",
    );
    assert!(p99 < 1.0, "{seconds:?}");
}
