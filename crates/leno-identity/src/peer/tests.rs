use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, SanType};

use super::*;

fn certificate(uris: &[&str]) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.iter().map(|u| SanType::URI((*u).try_into().unwrap())).collect();
    params.self_signed(&key).unwrap().der().clone()
}

#[test]
fn exactly_one_spiffe_identity_counts() {
    let good = "spiffe://cluster.local/ns/shop/sa/web";
    assert_eq!(peer_identity(&[certificate(&[good])]).unwrap().to_string(), good);
    for uris in [
        &[][..],
        &[good, "spiffe://cluster.local/ns/shop/sa/other"],
        &[good, "https://example.com"],
        &["https://example.com"],
        &["spiffe://cluster.local/web"],
        &["spiffe://cluster.local/ns/shop/sa/web/extra"],
        &["SPIFFE://cluster.local/ns/shop/sa/web"],
        &["spiffe:///ns/shop/sa/web"],
    ] {
        assert_eq!(peer_identity(&[certificate(uris)]), Err(PeerError::NoSpiffeId), "{uris:?}");
    }
    assert_eq!(peer_identity(&[]), Err(PeerError::NoCertificate));
}

#[test]
fn foreign_bytes_are_an_error_and_never_a_panic() {
    let good = certificate(&["spiffe://cluster.local/ns/shop/sa/web"]);
    for cut in 0..good.len() {
        assert!(peer_identity(&[CertificateDer::from(&good[..cut])]).is_err());
    }
    for i in 0..good.len() {
        let mut bytes = good.to_vec();
        bytes[i] ^= 0xff;
        let _ = peer_identity(&[CertificateDer::from(bytes)]);
    }
    let long = vec![0x30; MAX_LEAF + 1];
    assert!(matches!(peer_identity(&[CertificateDer::from(long)]), Err(PeerError::Malformed(_))));
}

#[test]
fn errors_that_have_nothing_to_do_with_certificates_are_left_alone() {
    assert_eq!(peer_error(&rustls::Error::HandshakeNotComplete), None);
    assert_eq!(peer_error(&rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)), None);
}

#[test]
fn every_error_survives_the_way_through_rustls() {
    let got: SpiffeId = "spiffe://b/ns/n/sa/a".parse().unwrap();
    for error in [
        PeerError::NoCertificate,
        PeerError::UnknownCa,
        PeerError::Expired { since: Duration::from_secs(5) },
        PeerError::NotYetValid { wait: Duration::from_secs(5) },
        PeerError::NoSpiffeId,
        PeerError::WrongTrustDomain { expected: "a".to_owned(), got },
        PeerError::IdentityMismatch { expected: Expected::Names(vec!["x".to_owned()]), got: "y".to_owned() },
    ] {
        assert_eq!(peer_error(&error.clone().into()), Some(error));
    }
}

#[test]
fn times_are_told_for_people() {
    let told = |s| PeerError::Expired { since: Duration::from_secs(s) }.to_string();
    assert_eq!(told(35), "the peer's certificate expired 35 s ago");
    assert_eq!(told(600), "the peer's certificate expired 10 min ago");
    assert_eq!(told(864_000), "the peer's certificate expired 10 days ago");
}

#[test]
fn an_identity_is_over_with_its_certificate() {
    let ca = crate::Authority::generate("cluster.local").unwrap();
    let svid = ca.issue(&SpiffeId::new("cluster.local", "shop", "web"), Duration::from_secs(1)).unwrap();
    assert!(peer_identity(svid.chain()).is_ok());
    std::thread::sleep(Duration::from_millis(1100));
    assert!(matches!(peer_identity(svid.chain()), Err(PeerError::Expired { .. })));
}
