use rustix::thread::CapabilitySet;

use super::User;

#[test]
fn an_app_has_what_container_runtimes_give_and_no_hold_on_the_network() {
    let set = User::default().capabilities();
    assert!(set.contains(CapabilitySet::NET_BIND_SERVICE));
    assert!(!set.contains(CapabilitySet::NET_ADMIN) && !set.contains(CapabilitySet::SYS_ADMIN));
}

#[test]
fn add_is_given_after_drop_is_taken() {
    let user = User { drop: vec!["ALL".into()], add: vec!["CAP_NET_ADMIN".into()], ..User::default() };
    assert_eq!(user.capabilities(), CapabilitySet::NET_ADMIN);
}
