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

#[test]
fn a_change_copies_a_small_part_of_a_large_mesh() {
    let mut now = Snapshot::default();
    for n in 0..5000 {
        now.set(&ResourceName::new(ResourceKind::Routes, n.to_string()), Bytes::from_static(b"a"));
    }
    let before = now.clone();
    now.set(&ResourceName::new(ResourceKind::Routes, "17"), Bytes::from_static(b"b"));
    now.remove(&ResourceName::new(ResourceKind::Routes, "none"));
    let copied: usize = ResourceKind::ALL
        .into_iter()
        .map(|kind| before.kinds[kind.index()].entries_apart(&now.kinds[kind.index()]))
        .sum();
    assert!(copied > 0 && copied < 100, "{copied}");
    assert_eq!((before.len(ResourceKind::Routes), now.len(ResourceKind::Routes)), (5000, 5000));
    assert_eq!(now.iter(ResourceKind::Routes).count(), 5000);
}

#[test]
fn names_are_shared() {
    let mut now = Snapshot::default();
    let name = ResourceName::new(ResourceKind::Routes, "a/b");
    now.set(&name, Bytes::from_static(b"a"));
    now.set(&ResourceName::new(ResourceKind::Routes, "a/b"), Bytes::from_static(b"b"));
    assert!(Arc::ptr_eq(&now.share_key(ResourceKind::Routes, "a/b"), &name.key));
    assert_eq!(&*now.share_key(ResourceKind::Routes, "a/c"), "a/c");
}
