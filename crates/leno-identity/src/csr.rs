//! Asking for a certificate, and reading what others ask.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use leno_core::id::SpiffeId;
use rcgen::{CertificateParams, CertificateSigningRequestParams, DistinguishedName, IsCa, KeyPair, PublicKey, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::sign::SigningKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroize;

use crate::{Roots, Svid, SvidError};

/// A new key and the request to certify it.
pub struct Csr {
    id: SpiffeId,
    key: Arc<dyn SigningKey>,
    pem: String,
}

/// What is wrong with a request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CsrError {
    /// Longer than any honest request.
    #[error("the request is longer than {MAX_CSR} bytes")]
    TooLong,
    /// Not a request, or one with parts that are not understood.
    #[error("the request cannot be read: {0}")]
    Malformed(String),
    /// It does not prove that its sender holds the key.
    #[error("the request's signature is not by its key")]
    BadSignature,
    /// It asks to become an authority.
    #[error("the request asks for a certificate of an authority")]
    WantsCa,
    /// It names someone else than its sender.
    #[error("the request names {got}, its sender is {expected}")]
    OtherIdentity {
        /// Who asked.
        expected: SpiffeId,
        /// Who is named.
        got: String,
    },
    /// No key could be made.
    #[error("cannot make a key: {0}")]
    Key(String),
}

impl Csr {
    /// Makes an ECDSA P-256 key and a request for `id`. The key stays in this process: it can sign, and that is all.
    ///
    /// # Errors
    /// When the machine's source of chance fails.
    pub fn generate(id: &SpiffeId) -> Result<Self, CsrError> {
        let failed = |e: &dyn fmt::Display| CsrError::Key(e.to_string());
        let mut pair = KeyPair::generate().map_err(|e| failed(&e))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(id.to_string().try_into().map_err(|e| failed(&e))?)];
        let pem = params.serialize_request(&pair).and_then(|csr| csr.pem()).map_err(|e| failed(&e))?;
        let key = signing_key(&mut pair).map_err(|e| failed(&e))?;
        Ok(Self { id: id.clone(), key, pem })
    }

    /// The request to send.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Joins the key with what the authority answered: PEM blocks, leaf first, the bundle of roots last (Istio's order).
    /// `now` is the present time.
    ///
    /// # Errors
    /// When the answer is not a valid certificate of this key for the identity asked for.
    pub fn into_svid(self, answer: &[String], now: SystemTime) -> Result<(Svid, Roots), SvidError> {
        let (roots, chain) = match answer {
            [chain @ .., roots] if !chain.is_empty() => (roots, chain),
            _ => return Err(SvidError::Malformed("the answer lacks the certificate or the roots".to_owned())),
        };
        let mut certs = Vec::new();
        for pem in chain {
            for cert in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                certs.push(cert.map_err(|e| SvidError::Malformed(e.to_string()))?);
            }
        }
        let svid = Svid::new(certs, self.key, now)?;
        if svid.id != self.id {
            return Err(SvidError::OtherIdentity { expected: Box::new(self.id), got: Box::new(svid.id) });
        }
        Ok((svid, Roots::from_pem(roots)?))
    }
}

impl fmt::Debug for Csr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csr").field("id", &self.id.to_string()).finish_non_exhaustive()
    }
}

/// The public key of a request by `sender`, once everything about the request is right.
///
/// # Errors
/// See [`CsrError`].
pub fn check(pem: &str, sender: &SpiffeId) -> Result<PublicKey, CsrError> {
    if pem.len() > MAX_CSR {
        return Err(CsrError::TooLong);
    }
    let CertificateSigningRequestParams { params, public_key } = CertificateSigningRequestParams::from_pem(pem)
        .map_err(|e| match e {
            rcgen::Error::InvalidCertificationRequestSignature => CsrError::BadSignature,
            other => CsrError::Malformed(other.to_string()),
        })?;
    if matches!(params.is_ca, IsCa::Ca(_)) {
        return Err(CsrError::WantsCa);
    }
    let expected = sender.to_string();
    for name in &params.subject_alt_names {
        match name {
            SanType::URI(uri) if uri.as_str() == expected => {}
            other => return Err(CsrError::OtherIdentity { expected: sender.clone(), got: words(other) }),
        }
    }
    Ok(public_key)
}

fn words(name: &SanType) -> String {
    match name {
        SanType::URI(s) => s.to_string(),
        SanType::DnsName(s) => format!("DNS name {s}"),
        SanType::Rfc822Name(s) => format!("e-mail address {s}"),
        SanType::IpAddress(ip) => format!("IP address {ip}"),
        _ => "something unknown".to_owned(),
    }
}

/// Turns a key pair into a key that only signs; the readable form is wiped.
pub(crate) fn signing_key(pair: &mut KeyPair) -> Result<Arc<dyn SigningKey>, rustls::Error> {
    let mut der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let key = aws_lc_rs::sign::any_supported_type(&der);
    der.zeroize();
    pair.zeroize();
    key
}

/// Ours have about 500 bytes; RSA with 4096 bits has less than 2 KiB.
const MAX_CSR: usize = 16 * 1024;

#[cfg(test)]
mod tests;
