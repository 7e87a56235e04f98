//! What a sidecar tells its application of the certificate that a client showed: Envoy's header `x-forwarded-client-cert`.

use std::fmt::Write as _;

use leno_core::id::SpiffeId;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The header's value as Istio's sidecars write it: `By=OWN;Hash=SHA256;Subject="NAME";URI=CLIENT`. The hash is of the whole
/// certificate, in lower-case hexadecimal; the subject is empty in certificates of the mesh.
#[must_use]
pub fn forwarded_client_cert(own: &SpiffeId, client: &SpiffeId, leaf: &CertificateDer<'_>) -> String {
    let mut out = format!("By={own};Hash=");
    for byte in sha256(leaf) {
        let _ = write!(out, "{byte:02x}");
    }
    out.push_str(";Subject=\"");
    for c in subject(leaf).chars() {
        // A quote or backslash of the name would end the field; what cannot stand in a header at all is left out.
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {}
        }
    }
    let _ = write!(out, "\";URI={client}");
    out
}

/// RFC 4514's form; empty where there is none or it cannot be read.
fn subject(leaf: &CertificateDer<'_>) -> String {
    X509Certificate::from_der(leaf).map(|(_, cert)| cert.subject().to_string()).unwrap_or_default()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = TLS13_AES_128_GCM_SHA256.tls13().map(|suite| suite.common.hash_provider);
    suite.map(|hash| hash.hash(bytes).as_ref().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(organization: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !organization.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn header(leaf: &CertificateDer<'_>) -> String {
        let id = |account: &str| SpiffeId::new("cluster.local", "shop", account);
        forwarded_client_cert(&id("cart"), &id("web"), leaf)
    }

    #[test]
    fn it_reads_as_istios() {
        let text = header(&certificate(""));
        let fields: Vec<&str> = text.split(';').collect();
        assert_eq!(fields[0], "By=spiffe://cluster.local/ns/shop/sa/cart");
        let hash = fields[1].strip_prefix("Hash=").unwrap();
        assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{hash}");
        assert_eq!(fields[2..], ["Subject=\"\"", "URI=spiffe://cluster.local/ns/shop/sa/web"]);
    }

    #[test]
    fn the_hash_is_of_the_certificate() {
        assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_subject_cannot_leave_its_field() {
        let text = header(&certificate("a\";URI=spiffe://cluster.local/ns/shop/sa/admin"));
        assert!(text.contains("\\\";URI=spiffe://cluster.local/ns/shop/sa/admin\";URI="), "{text}");
        assert!(header(&certificate("line\r\nx: y")).bytes().all(|b| (b' '..=b'~').contains(&b)));
        assert!(header(&CertificateDer::from(&b"no certificate"[..])).contains("Subject=\"\""));
    }
}
