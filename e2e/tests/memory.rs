//! What a sidecar holds in memory (line 8 of the README).

use std::fmt::Write as _;
use std::time::Duration;

use leno_e2e::{Mesh, Namespace, client, echo_app, figure, service};
use serde_json::Value;

fn scene(services: usize) -> Mesh {
    let mut others = String::new();
    for i in 0..services {
        let _ =
            write!(others, "---\n{}", service("myapp", &format!("other-{i}"), "app: none", "[{name: http, port: 80}]"));
    }
    Mesh::up_with(
        &[
            &Namespace::Istio.named("myapp"),
            &echo_app("myapp", "echo", "v1", 1),
            &service("myapp", "echo", "app: echo", "[{name: http, port: 8080}]"),
            &client("myapp", "web"),
            &others,
        ],
        &["--timeout", "180s"],
    )
}

/// Resident memory in MiB of the sidecar of `deploy/web`, after a call and a rest.
fn resident(mesh: &Mesh) -> f64 {
    assert_eq!(mesh.get("myapp", "deploy/web", "http://echo.myapp:8080/").0, 200);
    std::thread::sleep(Duration::from_secs(5));
    let (status, memory) = mesh.get("myapp", "deploy/web", "http://localhost:15000/memory");
    let memory: Value = serde_json::from_str(&memory).unwrap_or_else(|e| panic!("{status} {e}: {memory}"));
    memory["resident_bytes"].as_f64().unwrap_or_else(|| panic!("no resident_bytes in {memory}")) / 1024.0 / 1024.0
}

#[test]
fn a_sidecar_holds_ten_mebibytes_whatever_the_mesh_has() {
    let small = resident(&scene(10));
    let large = resident(&scene(2000));
    figure("RSS of a sidecar at rest, 10 services", &format!("{small:.1} MiB"), "at most 10 MiB");
    figure("RSS of a sidecar at rest, 2,000 services", &format!("{large:.1} MiB"), "within 1 MiB of that");
    assert!(small <= 10.0, "{small}");
    assert!((large - small).abs() <= 1.0, "{small} and {large}");
}
