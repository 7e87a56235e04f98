//! A certificate with its key, as a process holds it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use leno_core::id::SpiffeId;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::peer;

/// A SPIFFE identity with the certificate that proves it (an X.509-SVID) and its key. The key can sign; it cannot be
/// read out again.
#[derive(Clone)]
pub struct Svid {
    /// Who it proves.
    pub id: SpiffeId,
    /// Start of validity; up to two minutes before the issue, for peers whose clocks are behind.
    pub not_before: SystemTime,
    /// End of validity.
    pub not_after: SystemTime,
    /// When it was issued, by this machine's clock: what renewal counts from.
    pub issued: SystemTime,
    /// Serial number, hexadecimal.
    pub serial: String,
    certified: Arc<CertifiedKey>,
}

/// The certificate is not one that this process can use.
#[derive(Debug, thiserror::Error)]
pub enum SvidError {
    /// No certificate, or one that cannot be parsed.
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    /// It is not a SPIFFE certificate.
    #[error("the certificate is unusable: {0}")]
    Identity(#[from] peer::PeerError),
    /// It names another identity than the one asked for.
    #[error("asked for a certificate of {expected}, got one of {got}")]
    OtherIdentity {
        /// Asked for.
        expected: Box<SpiffeId>,
        /// Got.
        got: Box<SpiffeId>,
    },
    /// It certifies another key.
    #[error("the certificate does not belong to the private key")]
    OtherKey,
    /// It is over already.
    #[error("the certificate has already expired; are the clocks of this machine and of the CA apart?")]
    Expired,
    /// The list of roots that came with it is unusable.
    #[error(transparent)]
    Roots(#[from] crate::RootsError),
}

impl Svid {
    /// Joins a chain (leaf first) and its key. `issued` is the present time of this machine.
    ///
    /// # Errors
    /// When the chain is empty or malformed, has no SPIFFE identity, is expired, or does not fit the key.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: Arc<dyn SigningKey>,
        issued: SystemTime,
    ) -> Result<Self, SvidError> {
        let id = peer::named_identity(&chain)?;
        let malformed = |e: String| SvidError::Malformed(e);
        let leaf = chain.first().ok_or_else(|| malformed("no certificate".to_owned()))?;
        let (not_before, not_after) = validity(leaf).ok_or_else(|| malformed("no validity".to_owned()))?;
        if not_after <= issued {
            return Err(SvidError::Expired);
        }
        let serial = serial(leaf).ok_or_else(|| malformed("no serial number".to_owned()))?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| SvidError::OtherKey)?;
        Ok(Self { id, not_before, not_after, issued, serial, certified: Arc::new(certified) })
    }

    /// The certificates, leaf first, without the root.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// Chain and key as rustls takes them.
    #[must_use]
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// Whether it is over at `now`.
    #[must_use]
    pub fn expired(&self, now: SystemTime) -> bool {
        self.not_after <= now
    }

    /// When to renew it: [`renew_at`] of the issue and the expiry.
    #[must_use]
    pub fn renew_at(&self, random: f64) -> SystemTime {
        renew_at(self.issued, self.not_after, random)
    }
}

impl fmt::Debug for Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svid")
            .field("id", &self.id.to_string())
            .field("serial", &self.serial)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// When to renew a certificate issued at `issued`: at half of its life, give or take a tenth of that half, so that the
/// proxies of a mesh that started together do not renew together. `random` is in `0..1`.
///
/// Counted from the issue and not from `not_before`, which lies earlier for the sake of slow clocks: with a life of 20 s
/// half of the span of validity would already be over.
#[must_use]
pub fn renew_at(issued: SystemTime, not_after: SystemTime, random: f64) -> SystemTime {
    let life = not_after.duration_since(issued).unwrap_or(Duration::ZERO);
    issued + life.mul_f64(0.45 + 0.1 * random.clamp(0.0, 1.0))
}

/// `(not_before, not_after)` of a certificate.
pub(crate) fn validity(cert: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    Some((system_time(cert.validity().not_before.timestamp()), system_time(cert.validity().not_after.timestamp())))
}

/// Serial number in hexadecimal.
pub(crate) fn serial(cert: &CertificateDer<'_>) -> Option<String> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    Some(cert.raw_serial().iter().map(|b| format!("{b:02x}")).collect())
}

/// One PEM block.
pub(crate) fn certificate_pem(cert: &CertificateDer<'_>) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(cert);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        // The bytes are base64's alphabet.
        pem.push_str(std::str::from_utf8(line).unwrap_or_default());
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn system_time(seconds: i64) -> SystemTime {
    u64::try_from(seconds).map_or(SystemTime::UNIX_EPOCH, |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s))
}

#[cfg(test)]
mod tests;
