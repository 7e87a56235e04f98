use std::time::Duration;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::*;
use crate::{Authority, SignError};

const HOUR: Duration = Duration::from_secs(3600);

fn web() -> SpiffeId {
    SpiffeId::new("cluster.local", "shop", "web")
}

fn request(change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    change(&mut params);
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[test]
fn a_request_is_answered_with_a_certificate_of_its_key() {
    let ca = Authority::generate("cluster.local").unwrap();
    let csr = Csr::generate(&web()).unwrap();
    let answer = ca.sign(csr.pem(), &web(), HOUR).unwrap();
    let (svid, roots) = csr.into_svid(&answer, SystemTime::now()).unwrap();
    assert_eq!(svid.id, web());
    assert_eq!(&roots, ca.roots());
    assert_eq!(svid.chain().len(), 1, "the root is not sent to peers");
}

#[test]
fn a_request_for_another_identity_is_refused() {
    let ca = Authority::generate("cluster.local").unwrap();
    let admin = SpiffeId::new("cluster.local", "kube-system", "admin");
    let csr = Csr::generate(&admin).unwrap();
    let error = ca.sign(csr.pem(), &web(), HOUR).unwrap_err();
    assert!(matches!(error, SignError::Csr(CsrError::OtherIdentity { .. })), "{error}");
    assert!(error.to_string().contains(&admin.to_string()), "{error}");
}

#[test]
fn every_name_of_a_request_must_be_its_senders() {
    let own = web().to_string();
    let check = |change: &dyn Fn(&mut CertificateParams)| check(&request(change), &web());
    assert!(check(&|p| p.subject_alt_names = vec![uri(&own)]).is_ok());
    assert!(check(&|_| {}).is_ok(), "a request without names is for its sender");
    for extra in [
        uri("spiffe://cluster.local/ns/kube-system/sa/admin"),
        SanType::DnsName("api.shop".try_into().unwrap()),
        SanType::IpAddress([10, 0, 0, 1].into()),
    ] {
        let result = check(&|p| p.subject_alt_names = vec![uri(&own), extra.clone()]);
        assert!(matches!(result, Err(CsrError::OtherIdentity { .. })), "{result:?}");
    }
}

#[test]
fn an_altered_request_is_refused() {
    let pem = Csr::generate(&web()).unwrap().pem;
    let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap();
    let encode = |bytes: &[u8]| {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
    };
    assert!(check(&encode(&der), &web()).is_ok());
    // What is signed: all but the outer header, and the algorithm and the signature at the end.
    let (_, parsed) = X509CertificationRequest::from_der(&der).unwrap();
    let signed = parsed.certification_request_info.raw;
    let start = der.windows(signed.len()).position(|w| w == signed).unwrap();
    for i in start..start + signed.len() {
        let mut bytes = der.to_vec();
        bytes[i] ^= 1;
        assert!(check(&encode(&bytes), &web()).is_err(), "byte {i}");
    }
}

#[test]
fn requests_that_are_none_are_refused() {
    assert_eq!(check(&"x".repeat(MAX_CSR + 1), &web()), Err(CsrError::TooLong));
    for text in ["", "hello", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"] {
        assert!(matches!(check(text, &web()), Err(CsrError::Malformed(_))), "{text}");
    }
}

#[test]
fn an_answer_for_another_key_or_identity_is_not_taken() {
    let ca = Authority::generate("cluster.local").unwrap();
    let (one, two) = (Csr::generate(&web()).unwrap(), Csr::generate(&web()).unwrap());
    let answer = ca.sign(one.pem(), &web(), HOUR).unwrap();
    assert!(matches!(two.into_svid(&answer, SystemTime::now()), Err(SvidError::OtherKey)));

    let other = SpiffeId::new("cluster.local", "shop", "other");
    let mut csr = Csr::generate(&other).unwrap();
    let answer = ca.sign(csr.pem(), &other, HOUR).unwrap();
    csr.id = web();
    assert!(matches!(csr.into_svid(&answer, SystemTime::now()), Err(SvidError::OtherIdentity { .. })));
}

#[test]
fn an_answer_that_is_short_broken_or_late_is_not_taken() {
    let ca = Authority::generate("cluster.local").unwrap();
    let taken = |change: &dyn Fn(&mut Vec<String>), now: SystemTime| {
        let csr = Csr::generate(&web()).unwrap();
        let mut answer = ca.sign(csr.pem(), &web(), HOUR).unwrap();
        change(&mut answer);
        csr.into_svid(&answer, now).map(|_| ())
    };
    let now = SystemTime::now();
    assert!(taken(&|_| {}, now).is_ok());
    assert!(matches!(taken(&Vec::clear, now), Err(SvidError::Malformed(_))));
    assert!(matches!(taken(&|a| a.truncate(1), now), Err(SvidError::Malformed(_))));
    assert!(taken(&|a| a[0] = "nonsense".to_owned(), now).is_err());
    assert!(matches!(taken(&|a| a[1] = "nonsense".to_owned(), now), Err(SvidError::Roots(_))));
    assert!(matches!(taken(&|_| {}, now + 2 * HOUR), Err(SvidError::Expired)));
}
