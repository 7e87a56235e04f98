//! The official Gateway API conformance suite, its mesh profiles, on the mesh under test.

use std::path::Path;
use std::process::Command;

use leno_e2e_cluster::{Cluster, Mesh};

/// Namespaces that the suite makes. It leaves them where it is ended early.
const NAMESPACES: [&str; 2] = ["gateway-conformance-mesh", "gateway-conformance-mesh-consumer"];

/// Core and every extended feature of MESH-HTTP, and MESH-GRPC: `scripts/conformance.sh` prints each test and fails with the
/// first that does.
#[test]
fn the_mesh_profiles_pass() {
    let cluster = Cluster::connect();
    let _mesh = Mesh::installed(&cluster);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/conformance.sh");
    let status = Command::new(script).arg("run").status().expect("scripts/conformance.sh");
    let told = if status.success() { String::new() } else { NAMESPACES.map(|n| cluster.tell(n)).concat() };
    cluster.kubectl(&["delete", "namespace", "--ignore-not-found", "--wait=false", NAMESPACES[0], NAMESPACES[1]]);
    assert!(status.success(), "the suite failed\n{told}");
}
