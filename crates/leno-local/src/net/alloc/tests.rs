use std::net::Ipv4Addr;

use super::{Pool, ServiceAddresses};

fn pool(last: u8) -> Pool {
    Pool::new(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, last))
}

#[test]
fn a_freed_address_is_the_last_to_come_back() {
    let mut pool = pool(3);
    let first = pool.take().expect("one of three");
    pool.free(first);
    let next: Vec<_> = (0..3).map(|_| pool.take().expect("three are free")).collect();
    assert_eq!(next[2], first);
    assert_eq!(pool.take(), None);
}

#[test]
fn a_service_keeps_its_address_until_it_asks_for_another() {
    let mut services = ServiceAddresses::new(pool(9));
    let a = services.assign("shop", "web", None).expect("an address");
    assert_eq!(services.assign("shop", "web", None), Ok(a));
    let asked = Ipv4Addr::new(10, 0, 0, 7);
    assert_eq!(services.assign("shop", "web", Some(asked)), Ok(asked));
    assert_eq!(services.assign("shop", "web", None), Ok(asked));
}

#[test]
fn two_services_cannot_have_one_address() {
    let mut services = ServiceAddresses::new(pool(9));
    let asked = Ipv4Addr::new(10, 0, 0, 7);
    services.assign("shop", "web", Some(asked)).expect("free");
    let error = services.assign("shop", "api", Some(asked)).expect_err("taken");
    assert_eq!(error, "address 10.0.0.7 belongs to service shop/web already");
    services.release("shop", "web");
    assert_eq!(services.assign("shop", "api", Some(asked)), Ok(asked));
}
