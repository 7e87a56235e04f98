use std::time::Duration;

use leno_core::id::SpiffeId;
use leno_identity::Authority;

use super::*;

const MESH: Alpn = &[alpn::H2, alpn::TCP];
const OPAQUE: Alpn = &[alpn::TCP];

fn web() -> SpiffeId {
    SpiffeId::new("cluster.local", "shop", "web")
}

fn expected(account: &str) -> Expected {
    Expected::AnyOf(vec![SpiffeId::new("cluster.local", "shop", account)])
}

fn svid(ca: &Authority) -> Svid {
    ca.issue(&web(), Duration::from_secs(60)).unwrap()
}

#[tokio::test]
async fn nothing_is_given_out_before_the_first_certificate() {
    let identity = Identity::new();
    assert!(identity.svid().is_none() && identity.server_tls().is_none() && !identity.is_ready());
    assert!(identity.client_tls(&expected("api"), MESH).is_none());
    let waiting = tokio::spawn({
        let identity = identity.clone();
        async move { identity.ready().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let ca = Authority::generate("cluster.local").unwrap();
    identity.replace(svid(&ca), ca.roots().clone()).unwrap();
    waiting.await.unwrap();
    assert_eq!(identity.svid().unwrap().id, web());
}

#[test]
fn equal_questions_share_a_configuration_until_the_renewal() {
    let ca = Authority::generate("cluster.local").unwrap();
    let identity = Identity::fixed(svid(&ca), ca.roots().clone()).unwrap();
    let ask = |account, alpn| identity.client_tls(&expected(account), alpn).unwrap();
    let first = ask("api", MESH);
    assert!(Arc::ptr_eq(&first, &ask("api", MESH)));
    assert!(!Arc::ptr_eq(&first, &ask("api", OPAQUE)), "other protocols");
    assert!(!Arc::ptr_eq(&first, &ask("db", MESH)), "another peer");
    let server = identity.server_tls().unwrap();
    let generation = *identity.watch().borrow();
    identity.replace(svid(&ca), ca.roots().clone()).unwrap();
    assert!(!Arc::ptr_eq(&first, &ask("api", MESH)) && !Arc::ptr_eq(&server, &identity.server_tls().unwrap()));
    assert_eq!(*identity.watch().borrow(), generation + 1);
}

#[test]
fn configurations_of_many_peers_do_not_pile_up() {
    let ca = Authority::generate("cluster.local").unwrap();
    let identity = Identity::fixed(svid(&ca), ca.roots().clone()).unwrap();
    let in_use = identity.client_tls(&expected("api"), MESH).unwrap();
    for i in 0..2 * MAX_CLIENTS {
        identity.client_tls(&expected(&format!("account-{i}")), MESH).unwrap();
    }
    let current = identity.shared.current.load_full().unwrap();
    assert!(current.clients.lock().unwrap().len() <= MAX_CLIENTS);
    assert!(Arc::ptr_eq(&in_use, &identity.client_tls(&expected("api"), MESH).unwrap()), "what is in use stays");
}
