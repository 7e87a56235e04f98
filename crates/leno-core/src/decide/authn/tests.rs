use super::{Arrival, admit, effective_mtls};
use crate::Reason;
use crate::id::Origin;
use crate::model::{Labels, MtlsMode, PeerAuthentication, Policies};

use MtlsMode::{Disable, Permissive, Strict, Unset};

fn of(name: &str, selector: &[(&str, &str)], mode: MtlsMode, created: i64) -> PeerAuthentication {
    PeerAuthentication {
        origin: Origin { name: name.into(), ..Origin::default() },
        selector: selector.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        mode,
        ports: vec![],
        created,
    }
}

fn policies(namespace: &str, list: Vec<PeerAuthentication>) -> Policies {
    Policies { namespace: namespace.into(), peer_authentications: list, authorization: vec![], telemetry: vec![] }
}

/// Mode and deciding object of port 80 of `app=web` in `shop`.
fn effective(own: Vec<PeerAuthentication>, root: Vec<PeerAuthentication>) -> (MtlsMode, Option<String>) {
    let (own, root) = (policies("shop", own), policies("istio-system", root));
    let labels = Labels::from([("app".into(), "web".into())]);
    let (mode, by) = effective_mtls(&[&own, &root], "shop", &labels, 80, "istio-system");
    (mode, by.map(|o| o.name.clone()))
}

const WEB: &[(&str, &str)] = &[("app", "web")];

#[test]
fn without_a_word_it_is_permissive() {
    assert_eq!(effective(vec![], vec![]), (Permissive, None));
    assert_eq!(effective(vec![of("a", &[], Unset, 1)], vec![of("m", &[], Unset, 1)]), (Permissive, None));
}

#[test]
fn the_narrowest_level_that_says_something_holds() {
    let mesh = || vec![of("mesh", &[], Strict, 1)];
    let port = |mode| PeerAuthentication { ports: vec![(80, mode), (81, Strict)], ..of("pod", WEB, Disable, 1) };
    assert_eq!(effective(vec![], mesh()), (Strict, Some("mesh".into())));
    assert_eq!(effective(vec![of("ns", &[], Disable, 1)], mesh()), (Disable, Some("ns".into())));
    assert_eq!(
        effective(vec![of("ns", &[], Disable, 1), of("pod", WEB, Permissive, 9)], mesh()),
        (Permissive, Some("pod".into()))
    );
    assert_eq!(effective(vec![port(Strict)], mesh()), (Strict, Some("pod".into())));
    assert_eq!(effective(vec![port(Unset)], mesh()), (Disable, Some("pod".into())), "the port inherits from its pod");
}

#[test]
fn unset_inherits_past_several_levels() {
    let unset_port = PeerAuthentication { ports: vec![(80, Unset)], ..of("pod", WEB, Unset, 1) };
    let unset = vec![unset_port, of("ns", &[], Unset, 1)];
    assert_eq!(effective(unset, vec![of("mesh", &[], Strict, 1)]), (Strict, Some("mesh".into())));
}

#[test]
fn the_oldest_wins_among_equals_even_if_it_says_nothing() {
    let two = vec![of("young", &[], Disable, 5), of("old", &[], Strict, 4)];
    assert_eq!(effective(two, vec![]), (Strict, Some("old".into())));
    let same_age = vec![of("b", &[], Disable, 4), of("a", &[], Strict, 4)];
    assert_eq!(effective(same_age, vec![]), (Strict, Some("a".into())));
    let silent = vec![of("old", WEB, Unset, 1), of("young", WEB, Disable, 2)];
    assert_eq!(effective(silent, vec![]).0, Permissive);
}

#[test]
fn ports_count_only_beside_a_selector_and_selectors_only_at_home() {
    let wide = PeerAuthentication { ports: vec![(80, Strict)], ..of("ns", &[], Disable, 1) };
    assert_eq!(effective(vec![wide], vec![]), (Disable, Some("ns".into())));
    assert_eq!(effective(vec![of("other", &[("app", "x")], Strict, 1)], vec![]).0, Permissive);
    assert_eq!(effective(vec![], vec![of("root pods", WEB, Strict, 1)]).0, Permissive);
}

#[test]
fn in_the_root_namespace_itself_mesh_and_namespace_are_one() {
    let root = policies("istio-system", vec![of("mesh", &[], Strict, 1)]);
    let (mode, by) = effective_mtls(&[&root], "istio-system", &Labels::new(), 80, "istio-system");
    assert_eq!((mode, by.unwrap().name.as_str()), (Strict, "mesh"));
}

#[test]
fn only_strict_refuses_and_only_plaintext() {
    for mode in [Unset, Disable, Permissive, Strict] {
        assert_eq!(admit(mode, Arrival::MeshTls), Ok(()));
        let expected = if mode == Strict { Err(Reason::PlaintextRefused) } else { Ok(()) };
        assert_eq!(admit(mode, Arrival::Plain), expected, "{mode:?}");
    }
}
