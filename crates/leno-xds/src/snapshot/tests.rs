use std::sync::Arc;

use leno_core::model::MeshConfig;

use super::*;

#[test]
fn equal_bytes_have_equal_versions_everywhere() {
    // A fixed value: another release must not make every proxy fetch everything again.
    assert_eq!(Version::of(b"").to_string(), "0eda065b652ec4cf");
    assert_eq!(Version::of(b"leno").to_string().parse(), Ok(Version::of(b"leno")));
    assert_eq!("leno".parse::<Version>(), Err(NotAVersion));
}

#[test]
fn an_older_clone_keeps_its_view() {
    let name = ResourceName::mesh();
    let mut now = Snapshot::default();
    assert!(now.set(&name, Bytes::from_static(b"a")));
    let before = now.clone();
    assert!(!now.set(&name, Bytes::from_static(b"a")));
    assert!(now.set(&name, Bytes::from_static(b"b")));
    assert_eq!(before.get(&name).unwrap().bytes, "a");
    assert!(now.remove(&name));
    assert!(!now.remove(&name));
    assert_eq!(before.len(ResourceKind::Mesh), 1);
}

#[test]
fn a_resource_under_another_name_does_not_pass() {
    let mut snapshot = Snapshot::default();
    let mesh = Resource::Mesh(Arc::new(MeshConfig::default()));
    snapshot.set(&mesh.name(), mesh.encode());
    assert_eq!(snapshot.check(), Ok(()));
    let wrong = ResourceName::new(ResourceKind::Mesh, "other");
    snapshot.set(&wrong, mesh.encode());
    assert_eq!(snapshot.check().unwrap_err().0, wrong);
}
