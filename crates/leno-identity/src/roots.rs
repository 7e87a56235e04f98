//! What a process trusts: the bundle of root certificates.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::svid;

/// A bundle of root certificates. Two or more roots at once are ordinary: that is how a root is replaced without a gap.
#[derive(Clone, Debug)]
pub struct Roots {
    store: Arc<RootCertStore>,
    certs: Vec<CertificateDer<'static>>,
}

/// The text is not a bundle of root certificates.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RootsError {
    /// No PEM block of a certificate.
    #[error("no certificate found in the bundle of roots")]
    Empty,
    /// A block that is not PEM, or not a certificate.
    #[error("certificate {0} of the bundle of roots cannot be read: {1}")]
    Malformed(usize, String),
    /// More roots than any bundle has; the limit keeps a hostile bundle from eating memory.
    #[error("the bundle of roots holds more than {MAX_ROOTS} certificates")]
    TooMany,
}

impl Roots {
    /// Reads every certificate of a PEM text; equal ones count once.
    ///
    /// # Errors
    /// When there is none, or one of them is not a certificate.
    pub fn from_pem(pem: &str) -> Result<Self, RootsError> {
        let mut certs = Vec::new();
        for (i, cert) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
            if i == MAX_ROOTS {
                return Err(RootsError::TooMany);
            }
            certs.push(cert.map_err(|e| RootsError::Malformed(i + 1, e.to_string()))?);
        }
        Self::from_certs(certs)
    }

    /// A bundle of certificates already decoded.
    ///
    /// # Errors
    /// When there is none, or one of them is not a certificate.
    pub fn from_certs(certs: Vec<CertificateDer<'static>>) -> Result<Self, RootsError> {
        let mut store = RootCertStore::empty();
        let mut kept: Vec<CertificateDer<'static>> = Vec::new();
        for (i, cert) in certs.into_iter().enumerate() {
            if kept.contains(&cert) {
                continue;
            }
            store.add(cert.clone()).map_err(|e| RootsError::Malformed(i + 1, e.to_string()))?;
            kept.push(cert);
        }
        if kept.is_empty() {
            return Err(RootsError::Empty);
        }
        Ok(Self { store: Arc::new(store), certs: kept })
    }

    /// Both bundles together.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        // Every certificate here was accepted once, so the bundle of all cannot fail; should it, the older one holds.
        Self::from_certs(self.certs.iter().chain(&other.certs).cloned().collect()).unwrap_or_else(|_| self.clone())
    }

    /// The bundle as rustls reads it.
    #[must_use]
    pub fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }

    /// The certificates.
    #[must_use]
    pub fn certs(&self) -> &[CertificateDer<'static>] {
        &self.certs
    }

    /// The bundle as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certs.iter().map(|c| svid::certificate_pem(c)).collect()
    }

    /// When the first of them expires; `None` where no validity can be read.
    #[must_use]
    pub fn first_expiry(&self) -> Option<SystemTime> {
        self.certs.iter().filter_map(|c| svid::validity(c).map(|v| v.1)).min()
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.certs.len() == other.certs.len() && self.certs.iter().all(|c| other.certs.contains(c))
    }
}

const MAX_ROOTS: usize = 64;
