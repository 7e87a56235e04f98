//! Mutual TLS on the wire, identities on both ends, and refusals with their reason (line 2 of the README).

use std::time::Duration;

use leno_e2e::{Mesh, Namespace, client, echo_app, service, text};

fn scene() -> Mesh {
    Mesh::up(&[
        &Namespace::Istio.named("myapp"),
        &echo_app("myapp", "echo", "v1", 1),
        &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
        &client("myapp", "web"),
        &client("myapp", "other"),
        &Namespace::Plain.named("outside"),
        &client("outside", "stranger"),
    ])
}

const URL: &str = "http://echo.myapp:8080/secret-path-of-the-test";

#[test]
fn the_wire_between_sidecars_carries_no_plaintext() {
    let mesh = scene();
    let pcap = mesh.folder().join("wire.txt");
    // -A prints payloads; eth0 is the pod's own end of the wire.
    let script = format!("timeout 6 tcpdump -i eth0 -A -l -s 0 tcp > {} 2>/dev/null & sleep 1; wait", pcap.display());
    let mut capture = mesh.exec_background("myapp", "deploy/echo-v1", &["sh", "-c", &script]);
    std::thread::sleep(Duration::from_millis(2500));
    for _ in 0..5 {
        let (status, body) = mesh.curl("myapp", "deploy/web", &["-H", "x-marker: plaintext-marker-4711", URL]);
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("plaintext-marker-4711"), "the app itself sees the header: {body}");
    }
    let _ = capture.wait();
    let wire = mesh.exec("myapp", "deploy/echo-v1", &["cat", &pcap.display().to_string()]);
    let wire = String::from_utf8_lossy(&wire.stdout).into_owned();
    assert!(wire.contains("8080"), "the capture saw the connection:\n{wire}");
    assert!(
        !wire.contains("plaintext-marker-4711") && !wire.contains("secret-path-of-the-test"),
        "plaintext on the wire"
    );
}

#[test]
fn both_ends_prove_their_service_account() {
    let mesh = scene();
    for _ in 0..20 {
        assert_eq!(mesh.get("myapp", "deploy/web", URL).0, 200);
    }
    let (_, body) = mesh.get("myapp", "deploy/web", URL);
    assert!(body.contains("spiffe://cluster.local/ns/myapp/sa/web"), "the server's app is told who called: {body}");
    mesh.wait(Duration::from_secs(20), "edges show both identities", |m| {
        let edges = m.ok(&["viz", "edges", "deploy", "-n", "myapp", "-o", "wide"]);
        edges.contains("spiffe://cluster.local/ns/myapp/sa/web")
            && edges.contains("spiffe://cluster.local/ns/myapp/sa/echo")
    });
    let certs = mesh.ok(&["proxy-config", "certs", "deploy/echo-v1.myapp"]);
    assert!(certs.contains("spiffe://cluster.local/ns/myapp/sa/echo"), "{certs}");
}

#[test]
fn a_policy_that_names_another_account_refuses_with_a_reason() {
    let mesh = scene();
    mesh.apply(
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-web, namespace: myapp}
spec:
  selector: {matchLabels: {app: echo}}
  action: ALLOW
  rules:
  - from: [{source: {principals: [cluster.local/ns/myapp/sa/web]}}]
",
    );
    mesh.wait(Duration::from_secs(5), "the policy is in force", |m| m.get("myapp", "deploy/other", URL).0 == 403);
    assert_eq!(mesh.get("myapp", "deploy/web", URL).0, 200);
    mesh.wait(Duration::from_secs(5), "the refusal is in the log with its reason", |m| {
        let log = m.ok(&["local", "logs", "deploy/echo-v1", "-n", "myapp", "-c", "istio-proxy"]);
        log.contains("RBAC") && log.contains("authorization policy")
    });
}

#[test]
fn foreign_and_expired_certificates_are_refused_with_the_reason_in_the_log() {
    let mesh = scene();
    let pod_ip = mesh.status()["pods"]
        .as_array()
        .and_then(|pods| pods.iter().find(|p| p["name"].as_str().is_some_and(|n| n.starts_with("echo-v1"))))
        .and_then(|p| p["ip"].as_str().map(str::to_owned))
        .expect("the address of the echo pod");
    for (name, days, words) in [("foreign", "1", "unknown"), ("expired", "-1", "")] {
        let dir = mesh.folder().join(name);
        std::fs::create_dir(&dir).expect("a folder");
        let script = format!(
            "cd {dir}
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -subj /CN=other-ca -days 2 -out ca.crt 2>/dev/null
openssl ecparam -name prime256v1 -genkey -noout -out leaf.key
openssl req -new -key leaf.key -subj / -out leaf.csr
printf 'subjectAltName=critical,URI:spiffe://cluster.local/ns/myapp/sa/web\\nextendedKeyUsage=clientAuth' > ext
openssl x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days} -extfile ext -out leaf.crt 2>/dev/null || openssl x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -extfile ext -out leaf.crt
(printf 'GET / HTTP/1.1\\r\\nHost: echo\\r\\nConnection: close\\r\\n\\r\\n'; sleep 1) | timeout 5 openssl s_client -connect {pod_ip}:8080 -alpn istio-http/1.1 -cert leaf.crt -key leaf.key 2>&1
",
            dir = dir.display()
        );
        // From a pod without a sidecar, so that the handshake is openssl's own.
        let out = mesh.exec("outside", "deploy/stranger", &["sh", "-c", &script]);
        let all = text(&out);
        assert!(!all.contains("HTTP/1.1 200"), "{name} was served:\n{all}");
        mesh.wait(Duration::from_secs(5), "the refusal is in the log", |m| {
            let log = m.ok(&["local", "logs", "deploy/echo-v1", "-n", "myapp", "-c", "istio-proxy"]).to_lowercase();
            log.contains("certificate") && log.contains(words)
        });
    }
}
