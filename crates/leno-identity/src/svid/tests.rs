use super::*;
use crate::Authority;

#[test]
fn renewal_is_at_about_half_of_life_however_short() {
    let issued = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    for life in [5, 20, 86_400] {
        let not_after = issued + Duration::from_secs(life);
        let at = |random| renew_at(issued, not_after, random).duration_since(issued).unwrap().as_secs_f64();
        let life = Duration::from_secs(life).as_secs_f64();
        assert!((at(0.0) / life - 0.45).abs() < 1e-9);
        assert!((at(1.0) / life - 0.55).abs() < 1e-9);
    }
    assert_eq!(renew_at(issued, issued - Duration::from_secs(1), 0.5), issued, "an expired one at once");
}

#[test]
fn backdating_for_slow_clocks_does_not_move_the_renewal() {
    let ca = Authority::generate("cluster.local").unwrap();
    let svid = ca.issue(&SpiffeId::new("cluster.local", "shop", "web"), Duration::from_secs(20)).unwrap();
    assert!(svid.issued.duration_since(svid.not_before).unwrap() >= Duration::from_secs(115));
    let wait = svid.renew_at(0.5).duration_since(svid.issued).unwrap();
    assert!((9..=10).contains(&wait.as_secs()), "{wait:?}");
}

#[test]
fn debug_output_names_the_identity_and_not_the_key() {
    let ca = Authority::generate("cluster.local").unwrap();
    let svid = ca.issue(&SpiffeId::new("cluster.local", "shop", "web"), Duration::from_secs(60)).unwrap();
    let text = format!("{svid:?}");
    assert!(text.contains("spiffe://cluster.local/ns/shop/sa/web") && !text.to_lowercase().contains("key"), "{text}");
}
