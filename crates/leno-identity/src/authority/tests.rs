use std::os::unix::fs::PermissionsExt;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::*;

const TD: &str = "cluster.local";
const HOUR: Duration = Duration::from_secs(3600);

fn web() -> SpiffeId {
    SpiffeId::new(TD, "shop", "web")
}

/// An authority below a root, as an organisation with a CA of its own has it.
fn below_a_root() -> (String, String, String, String) {
    let root_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Company root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&root_key).unwrap();
    let issuer = Issuer::from_params(&params, &root_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Mesh authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca = params.signed_by(&key, &issuer).unwrap();
    (ca.pem(), key.serialize_pem(), root.pem(), format!("{}{}", ca.pem(), root.pem()))
}

#[test]
fn a_leaf_is_what_spiffe_asks_for() {
    let ca = Authority::generate(TD).unwrap();
    let svid = ca.issue(&web(), HOUR).unwrap();
    let (_, leaf) = X509Certificate::from_der(&svid.chain()[0]).unwrap();
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names.as_slice(), [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/web")]);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.any);
    assert!(leaf.key_usage().unwrap().unwrap().value.digital_signature());
    assert!(!leaf.is_ca());
    let life = svid.not_after.duration_since(svid.issued).unwrap();
    assert!(life <= HOUR && life > HOUR - Duration::from_secs(5), "{life:?}");
}

#[test]
fn serial_numbers_differ_even_for_one_key() {
    let ca = Authority::generate(TD).unwrap();
    let csr = Csr::generate(&web()).unwrap();
    let serial = || {
        let pem = ca.sign(csr.pem(), &web(), HOUR).unwrap().remove(0);
        svid::serial(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap()
    };
    let (one, two) = (serial(), serial());
    assert_ne!(one, two);
    assert_eq!(one.len(), 32);
}

#[test]
fn no_leaf_outlives_its_authority() {
    let ca = Authority::generate(TD).unwrap();
    let svid = ca.issue(&web(), Duration::from_secs(u64::MAX)).unwrap();
    assert!(svid.not_after <= ca.not_after());
    assert!(ca.not_after() > SystemTime::now() + DAY * 3649, "ten years");
}

#[test]
fn other_trust_domains_are_not_certified() {
    let ca = Authority::generate(TD).unwrap();
    let foreign = SpiffeId::new("other.example", "shop", "web");
    assert!(matches!(ca.issue(&foreign, HOUR), Err(SignError::TrustDomain { .. })));
}

#[test]
fn an_authority_survives_being_written_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::generate(TD).unwrap();
    ca.write(dir.path()).unwrap();
    ca.write(dir.path()).expect("a second time over the first");
    for name in [CA_CERT, CA_KEY, ROOT_CERT, CERT_CHAIN] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let again = Authority::load(dir.path(), TD).unwrap();
    let svid = again.issue(&web(), HOUR).unwrap();
    let expected = peer::Expected::AnyOf(vec![web()]);
    tls::verify_server(svid.chain(), ca.roots(), TD, expected, SystemTime::now()).unwrap();
}

#[test]
fn an_authority_below_a_root_sends_its_chain_and_keeps_the_root_to_itself() {
    let (cert, key, root, chain) = below_a_root();
    let ca = Authority::from_pem(TD, &cert, &key, &root, &chain).unwrap();
    let answer = ca.sign(Csr::generate(&web()).unwrap().pem(), &web(), HOUR).unwrap();
    assert_eq!(answer.len(), 3, "leaf, authority, roots");
    assert_eq!(ca.issue(&web(), HOUR).unwrap().chain().len(), 2);
    assert_eq!(Roots::from_pem(&answer[2]).unwrap(), Roots::from_pem(&root).unwrap());
    // The chain file may be missing where there is nothing between authority and root.
    assert!(Authority::from_pem(TD, &cert, &key, &root, "").is_ok());
}

#[test]
fn parts_that_do_not_belong_together_are_found_at_the_start() {
    let (cert, key, root, chain) = below_a_root();
    let (_, other_key, other_root, _) = below_a_root();
    assert!(matches!(Authority::from_pem(TD, &cert, &other_key, &root, &chain), Err(AuthorityError::Unusable(_))));
    assert!(matches!(Authority::from_pem(TD, &cert, &key, &other_root, &chain), Err(AuthorityError::Unusable(_))));
    let leaf = Authority::from_pem(TD, &cert, &key, &root, &chain).unwrap().issue(&web(), HOUR).unwrap();
    let leaf = svid::certificate_pem(&leaf.chain()[0]);
    assert!(Authority::from_pem(TD, &leaf, &key, &root, &chain).is_err(), "a leaf is no authority");
    assert!(matches!(
        Authority::from_pem(TD, "no", &key, &root, &chain),
        Err(AuthorityError::Part { part: CA_CERT, .. })
    ));
    assert!(matches!(
        Authority::from_pem(TD, &cert, "no", &root, &chain),
        Err(AuthorityError::Part { part: CA_KEY, .. })
    ));
    assert!(matches!(
        Authority::from_pem(TD, &cert, &key, "no", &chain),
        Err(AuthorityError::Part { part: ROOT_CERT, .. })
    ));
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = Authority::load(dir.path(), TD).unwrap_err().to_string();
    assert!(error.contains(CA_CERT), "{error}");
}
