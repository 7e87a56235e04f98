//! Who the other end is, and what can be wrong with it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leno_core::id::SpiffeId;
use rustls::{AlertDescription, CertificateError, OtherError};
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::svid;

/// Which identities are accepted of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Any identity of the own trust domain (what a server accepts; policies judge afterwards).
    Any,
    /// One of these identities.
    AnyOf(Vec<SpiffeId>),
    /// One of these names among the certificate's: SPIFFE URIs or DNS names (`subjectAltNames` of a `DestinationRule`).
    /// They may lie in another trust domain.
    Names(Vec<String>),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any identity of the trust domain"),
            Self::AnyOf(ids) => join(f, ids),
            Self::Names(names) => join(f, names),
        }
    }
}

fn join<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    match items {
        [] => f.write_str("no identity"),
        [one] => one.fmt(f),
        [first, rest @ ..] => {
            write!(f, "one of {first}")?;
            rest.iter().try_for_each(|item| write!(f, ", {item}"))
        }
    }
}

/// Why a peer's certificate was not accepted.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PeerError {
    /// It sent none.
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// The chain does not lead to a root of the bundle.
    #[error("the peer's certificate is signed by an unknown authority")]
    UnknownCa,
    /// It is over.
    #[error("the peer's certificate expired {} ago", words(since))]
    Expired {
        /// How long ago.
        since: Duration,
    },
    /// It is not valid yet.
    #[error("the peer's certificate is not valid yet, for another {}", words(wait))]
    NotYetValid {
        /// How long until it is.
        wait: Duration,
    },
    /// It names no SPIFFE identity, or several.
    #[error("the peer's certificate does not name exactly one SPIFFE identity")]
    NoSpiffeId,
    /// It belongs to another trust domain.
    #[error("the peer is {got}, which is not of the trust domain {expected}")]
    WrongTrustDomain {
        /// Own trust domain.
        expected: String,
        /// The peer.
        got: SpiffeId,
    },
    /// It is someone else.
    #[error("the peer is {got}, expected {expected}")]
    IdentityMismatch {
        /// Who would have been accepted.
        expected: Expected,
        /// Who it is.
        got: String,
    },
    /// It cannot be parsed, or breaks a rule of X.509.
    #[error("the peer's certificate is invalid: {0}")]
    Malformed(String),
    /// The peer did not accept this end's certificate; only the alert is known.
    #[error("the peer refused this end's certificate (TLS alert: {0})")]
    RefusedByPeer(String),
}

impl PeerError {
    /// Whether the peer proved an identity, but not the expected one.
    #[must_use]
    pub const fn is_identity_mismatch(&self) -> bool {
        matches!(self, Self::IdentityMismatch { .. } | Self::WrongTrustDomain { .. })
    }
}

/// The SPIFFE identity of a peer whose chain has been verified: exactly one URI name of the leaf, of the form
/// `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT`. Ask after every handshake: a resumed TLS session brings the chain of
/// the first one, which may have expired since.
///
/// # Errors
/// When there is no certificate, it cannot be parsed, is over, or does not name exactly one such identity.
pub fn peer_identity(chain: &[CertificateDer<'_>]) -> Result<SpiffeId, PeerError> {
    let id = named_identity(chain)?;
    let not_after =
        chain.first().and_then(svid::validity).ok_or_else(|| PeerError::Malformed("no validity".to_owned()))?.1;
    match SystemTime::now().duration_since(not_after) {
        Ok(since) if !since.is_zero() => Err(PeerError::Expired { since }),
        _ => Ok(id),
    }
}

/// As [`peer_identity`], without a look at the clock.
pub(crate) fn named_identity(chain: &[CertificateDer<'_>]) -> Result<SpiffeId, PeerError> {
    let leaf = chain.first().ok_or(PeerError::NoCertificate)?;
    if leaf.len() > MAX_LEAF {
        return Err(PeerError::Malformed(format!("longer than {MAX_LEAF} bytes")));
    }
    let cert = EndEntityCert::try_from(leaf).map_err(|e| PeerError::Malformed(e.to_string()))?;
    identity_of(&cert)
}

/// The one SPIFFE identity that a certificate names.
pub(crate) fn identity_of(cert: &EndEntityCert<'_>) -> Result<SpiffeId, PeerError> {
    let mut uris = cert.valid_uri_names();
    match (uris.next(), uris.next()) {
        (Some(uri), None) => uri.parse().map_err(|_| PeerError::NoSpiffeId),
        _ => Err(PeerError::NoSpiffeId),
    }
}

/// The reason behind a failed handshake, where it lies in a certificate; `None` for every other error.
#[must_use]
pub fn peer_error(error: &rustls::Error) -> Option<PeerError> {
    match error {
        rustls::Error::NoCertificatesPresented => Some(PeerError::NoCertificate),
        rustls::Error::InvalidCertificate(e) => Some(of_certificate_error(e)),
        rustls::Error::AlertReceived(alert) if about_certificates(*alert) => {
            Some(PeerError::RefusedByPeer(format!("{alert:?}")))
        }
        _ => None,
    }
}

fn of_certificate_error(error: &CertificateError) -> PeerError {
    match error {
        CertificateError::Other(OtherError(inner)) => {
            inner.downcast_ref::<PeerError>().cloned().unwrap_or_else(|| PeerError::Malformed(inner.to_string()))
        }
        CertificateError::UnknownIssuer => PeerError::UnknownCa,
        CertificateError::ExpiredContext { time, not_after } => {
            PeerError::Expired { since: Duration::from_secs(time.as_secs().saturating_sub(not_after.as_secs())) }
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            PeerError::NotYetValid { wait: Duration::from_secs(not_before.as_secs().saturating_sub(time.as_secs())) }
        }
        other => PeerError::Malformed(other.to_string()),
    }
}

/// The alerts by which a TLS peer says that it does not like this end's certificate (RFC 8446, 6.2).
const fn about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

impl From<PeerError> for rustls::Error {
    /// Keeps rustls' own errors where they exist, so that the alert on the wire is the precise one and the other end can
    /// log it too.
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::NoCertificate => Self::NoCertificatesPresented,
            PeerError::UnknownCa => Self::InvalidCertificate(CertificateError::UnknownIssuer),
            other => Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(other)))),
        }
    }
}

fn words(d: &Duration) -> String {
    match d.as_secs() {
        0 => "less than a second".to_owned(),
        s @ 1..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

/// Leaves of this mesh have about 700 bytes, with a post-quantum signature some 5 KiB.
const MAX_LEAF: usize = 16 * 1024;

#[cfg(test)]
mod tests;
