//! The certificate authority.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leno_core::id::SpiffeId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::csr::{self, Csr, CsrError};
use crate::peer::PeerError;
use crate::{Roots, RootsError, Svid, SvidError, peer, svid, tls};

/// A certificate authority of one trust domain.
pub struct Authority {
    trust_domain: String,
    issuer: Issuer<'static, KeyPair>,
    ca_cert: CertificateDer<'static>,
    /// From the authority's own certificate up to, and without, the root; empty when it is a root itself.
    intermediates: Vec<CertificateDer<'static>>,
    roots: Roots,
    not_after: SystemTime,
}

/// The authority cannot be made out of what is given.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One of the four parts.
    #[error("{part}: {reason}")]
    Part {
        /// File name of Istio's `cacerts` form.
        part: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// They do not belong together: a certificate that it would issue is not accepted.
    #[error("certificate, key, chain and root do not belong together: {0}")]
    Unusable(String),
}

/// A certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The request.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The identity asked for is not of this authority's trust domain.
    #[error("{got} is not of the trust domain {expected}")]
    TrustDomain {
        /// The authority's.
        expected: String,
        /// Asked for.
        got: SpiffeId,
    },
    /// The authority's own certificate is over.
    #[error("the authority's own certificate has expired")]
    AuthorityExpired,
    /// Signing failed.
    #[error("cannot sign: {0}")]
    Sign(String),
    /// What was signed cannot be used.
    #[error(transparent)]
    Svid(#[from] SvidError),
}

/// A certificate for DNS names, with its key.
#[derive(Clone)]
pub struct Serving {
    certified: Arc<CertifiedKey>,
    /// End of its validity.
    pub not_after: SystemTime,
}

impl Serving {
    /// Chain and key as rustls takes them.
    #[must_use]
    pub const fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new root: ECDSA P-256, ten years.
    ///
    /// # Errors
    /// When the machine's source of chance fails, or `trust_domain` cannot stand in a certificate.
    pub fn generate(trust_domain: &str) -> Result<Self, AuthorityError> {
        let failed = |e: rcgen::Error| AuthorityError::Unusable(e.to_string());
        let key = KeyPair::generate().map_err(failed)?;
        let now = SystemTime::now();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, trust_domain);
        params.distinguished_name.push(DnType::CommonName, "Leno root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(random_serial().map_err(AuthorityError::Unusable)?);
        params.not_before = (now - SKEW).into();
        params.not_after = (now + ROOT_LIFE).into();
        let root = params.self_signed(&key).map_err(failed)?;
        let (ca, key) = (root.pem(), key.serialize_pem());
        Self::from_pem(trust_domain, &ca, &key, &ca, "")
    }

    /// Takes over an authority from Istio's `cacerts` form: its certificate, its key, the roots, and the chain from its
    /// certificate up to a root (may be empty where the certificate is the root).
    ///
    /// # Errors
    /// When a part cannot be read, or a certificate issued by it would not be accepted by someone who trusts the roots.
    pub fn from_pem(
        trust_domain: &str,
        ca_cert: &str,
        ca_key: &str,
        root: &str,
        chain: &str,
    ) -> Result<Self, AuthorityError> {
        let part = |part: &'static str| move |reason: String| AuthorityError::Part { part, reason };
        let roots = Roots::from_pem(root).map_err(|e: RootsError| part(ROOT_CERT)(e.to_string()))?;
        let key = KeyPair::from_pem(ca_key).map_err(|e| part(CA_KEY)(e.to_string()))?;
        let cert = CertificateDer::from_pem_slice(ca_cert.as_bytes()).map_err(|e| part(CA_CERT)(e.to_string()))?;
        let not_after = svid::validity(&cert).ok_or_else(|| part(CA_CERT)("no validity".to_owned()))?.1;
        let issuer = Issuer::from_ca_cert_der(&cert, key).map_err(|e| part(CA_CERT)(e.to_string()))?;
        let mut intermediates = Vec::new();
        let rest = CertificateDer::pem_slice_iter(chain.as_bytes());
        for link in std::iter::once(Ok(cert.clone())).chain(rest) {
            let link = link.map_err(|e| part(CERT_CHAIN)(e.to_string()))?;
            if !roots.certs().contains(&link) && !intermediates.contains(&link) {
                intermediates.push(link);
            }
        }
        let authority =
            Self { trust_domain: trust_domain.to_owned(), issuer, ca_cert: cert, intermediates, roots, not_after };
        authority.prove()?;
        Ok(authority)
    }

    /// Issues a certificate and verifies it as a peer would: finds a key that does not fit, a chain that does not lead to
    /// the root, an authority that has expired or is none, all before the first proxy does.
    fn prove(&self) -> Result<(), AuthorityError> {
        let unusable = |e: &dyn fmt::Display| AuthorityError::Unusable(e.to_string());
        let id = SpiffeId::new(&self.trust_domain, "leno-system", "leno-control");
        let svid = self.issue(&id, Duration::from_secs(60)).map_err(|e| unusable(&e))?;
        let expected = peer::Expected::AnyOf(vec![id]);
        tls::verify_server(svid.chain(), &self.roots, &self.trust_domain, expected, SystemTime::now())
            .map_err(|e: PeerError| unusable(&e))
    }

    /// Reads `ca-cert.pem`, `ca-key.pem`, `root-cert.pem` and `cert-chain.pem` (which may be missing) of a folder.
    ///
    /// # Errors
    /// As [`Authority::from_pem`], and when a file cannot be read.
    pub fn load(dir: &Path, trust_domain: &str) -> Result<Self, AuthorityError> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read_to_string(&path).map_err(|source| AuthorityError::File { path, source })
        };
        let chain = match read(CERT_CHAIN) {
            Err(AuthorityError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        Self::from_pem(trust_domain, &read(CA_CERT)?, &read(CA_KEY)?, &read(ROOT_CERT)?, &chain)
    }

    /// Writes the four files of [`Authority::load`], readable by their owner only. Existing ones are replaced whole.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), AuthorityError> {
        for (name, text) in self.texts() {
            let path = dir.join(name);
            write_private(&path, &text).map_err(|source| AuthorityError::File { path, source })?;
        }
        Ok(())
    }

    /// The four texts of [`Authority::from_pem`] by their file names, the private key among them: for a Secret.
    #[must_use]
    pub fn texts(&self) -> [(&'static str, String); 4] {
        let chain: String = self.intermediates.iter().map(|c| svid::certificate_pem(c)).collect();
        [
            (CA_KEY, self.issuer.key().serialize_pem()),
            (CA_CERT, svid::certificate_pem(&self.ca_cert)),
            (ROOT_CERT, self.roots.pem()),
            (CERT_CHAIN, chain),
        ]
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// What to trust in order to accept this authority's certificates.
    #[must_use]
    pub const fn roots(&self) -> &Roots {
        &self.roots
    }

    /// [`Authority::roots`] as PEM.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        self.roots.pem()
    }

    /// When the authority's own certificate expires.
    #[must_use]
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Signs a request (PEM) of a caller that has proved to be `id`, for `ttl` from now, at most until the authority
    /// itself expires. Gives PEM blocks, leaf first, then the chain, the bundle of roots last: the order of Istio's
    /// `CreateCertificate`.
    ///
    /// # Errors
    /// When the request is malformed, not signed by its key, or names another identity.
    pub fn sign(&self, csr_pem: &str, id: &SpiffeId, ttl: Duration) -> Result<Vec<String>, SignError> {
        if id.trust_domain != self.trust_domain {
            return Err(SignError::TrustDomain { expected: self.trust_domain.clone(), got: id.clone() });
        }
        let key = csr::check(csr_pem, id)?;
        let uri = id.to_string().try_into().map_err(|e: rcgen::Error| SignError::Sign(e.to_string()))?;
        let leaf = self.certify(&key, vec![SanType::URI(uri)], ttl)?;
        let chain = std::iter::once(&leaf).chain(&self.intermediates);
        Ok(chain.map(|c| svid::certificate_pem(c)).chain([self.roots_pem()]).collect())
    }

    /// Makes a key and certifies it: for tests, and for processes of the control plane itself.
    ///
    /// # Errors
    /// As [`Authority::sign`].
    pub fn issue(&self, id: &SpiffeId, ttl: Duration) -> Result<Svid, SignError> {
        let csr = Csr::generate(id)?;
        let answer = self.sign(csr.pem(), id, ttl)?;
        Ok(csr.into_svid(&answer, SystemTime::now())?.0)
    }

    /// Makes a key and certifies it for DNS names and IP addresses, for a year at most: the control plane's own TLS.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn serving(&self, names: &[&str]) -> Result<Serving, SignError> {
        let failed = |e: rcgen::Error| SignError::Sign(e.to_string());
        let mut pair = KeyPair::generate().map_err(failed)?;
        let mut sans = Vec::new();
        for name in names {
            sans.push(match name.parse::<IpAddr>() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName((*name).try_into().map_err(failed)?),
            });
        }
        let leaf = self.certify(&pair, sans, SERVING_LIFE)?;
        let not_after = svid::validity(&leaf).map_or(self.not_after, |v| v.1);
        let key = csr::signing_key(&mut pair).map_err(|e| SignError::Sign(e.to_string()))?;
        let chain = std::iter::once(leaf).chain(self.intermediates.iter().cloned()).collect();
        Ok(Serving { certified: Arc::new(CertifiedKey::new(chain, key)), not_after })
    }

    fn certify(
        &self,
        key: &impl PublicKeyData,
        names: Vec<SanType>,
        ttl: Duration,
    ) -> Result<CertificateDer<'static>, SignError> {
        let now = SystemTime::now();
        if self.not_after <= now {
            return Err(SignError::AuthorityExpired);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(random_serial().map_err(SignError::Sign)?);
        params.not_before = (now - SKEW).into();
        params.not_after = now.checked_add(ttl).unwrap_or(self.not_after).min(self.not_after).into();
        let cert = params.signed_by(key, &self.issuer).map_err(|e| SignError::Sign(e.to_string()))?;
        Ok(cert.der().clone())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("trust_domain", &self.trust_domain)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// 126 bits: positive, never zero, within the 20 bytes of RFC 5280.
fn random_serial() -> Result<SerialNumber, String> {
    let mut bytes = [0_u8; 16];
    tls::provider().secure_random.fill(&mut bytes).map_err(|_| "no randomness".to_owned())?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Written beside and renamed: a reader sees the old file or the new one.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

const CA_CERT: &str = "ca-cert.pem";
const CA_KEY: &str = "ca-key.pem";
const ROOT_CERT: &str = "root-cert.pem";
const CERT_CHAIN: &str = "cert-chain.pem";

/// How far a peer's clock may be behind.
const SKEW: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(86_400);
const ROOT_LIFE: Duration = DAY.saturating_mul(3650);
const SERVING_LIFE: Duration = DAY.saturating_mul(365);

#[cfg(test)]
mod tests;
