//! rustls configurations of the mesh: TLS 1.3 (1.2 for foreign peers), the post-quantum hybrid X25519MLKEM768 first,
//! and verifiers that check SPIFFE identities.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, ServerSessionMemoryCache};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig};
use rustls::{OtherError, SignatureScheme, SupportedCipherSuite};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::authority::Serving;
use crate::peer::{Expected, PeerError, identity_of, peer_error};
use crate::{Roots, Svid};

mod unverified;

pub use unverified::Unverified;

/// Whether a server asks its clients for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCert {
    /// The handshake fails without one.
    Required,
    /// Taken and verified when given.
    Optional,
    /// Not asked for.
    None,
}

/// The one set of algorithms of all of Leno: aws-lc, AES-128-GCM before AES-256-GCM (half the rounds, and no known attack
/// tells them apart), X25519MLKEM768 before X25519.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| {
        Arc::new(CryptoProvider { cipher_suites: CIPHER_SUITES.to_vec(), ..aws_lc_rs::default_provider() })
    }))
}

/// A server that proves `svid` and accepts any client of the own trust domain; policies judge afterwards.
///
/// # Errors
/// When rustls refuses the combination, which no SVID of [`Svid::new`] brings about.
pub fn server_config(
    svid: &Svid,
    roots: &Roots,
    clients: ClientCert,
    alpn: &[&[u8]],
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let verifier: Arc<dyn ClientCertVerifier> = match clients {
        ClientCert::None => Arc::new(NoClientAuth),
        ClientCert::Required | ClientCert::Optional => Arc::new(Verifier {
            required: clients == ClientCert::Required,
            ..Verifier::new(roots, &svid.id.trust_domain, Expected::Any)
        }),
    };
    let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(svid.certified())));
    let mut config = finish_server(builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver), alpn);
    // For leno-tls, which protects the records itself.
    config.enable_secret_extraction = true;
    Ok(config)
}

/// A server with a certificate for DNS names and without client certificates: the control plane's.
///
/// # Errors
/// When rustls refuses the combination.
pub fn serving_config(serving: &Serving, alpn: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(serving.certified())));
    Ok(finish_server(builder.with_no_client_auth().with_cert_resolver(resolver), alpn))
}

fn finish_server(mut config: ServerConfig, alpn: &[&[u8]]) -> ServerConfig {
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    // Sessions live as long as this configuration, that is until the next renewal of the certificate.
    config.session_storage = ServerSessionMemoryCache::new(SERVER_SESSIONS);
    config.send_tls13_tickets = 1;
    config
}

/// A client that proves `svid` and accepts what is `expected`. The server's name is only the SNI: identity is judged by
/// SPIFFE ID alone.
///
/// # Errors
/// When rustls refuses the combination, which no SVID of [`Svid::new`] brings about.
pub fn client_config(
    svid: &Svid,
    roots: &Roots,
    expected: Expected,
    alpn: &[&[u8]],
) -> Result<ClientConfig, rustls::Error> {
    let verifier = Verifier::new(roots, &svid.id.trust_domain, expected);
    let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(svid.certified())));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(resolver);
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS);
    config.enable_secret_extraction = true;
    Ok(config)
}

/// A client of the control plane: no certificate of its own (a token proves who it is), the server's name is verified as
/// on the web, against `roots`.
///
/// # Errors
/// When rustls refuses the combination.
pub fn control_client_config(roots: &Roots, alpn: &[&[u8]]) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(roots.store()))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Judges a server's chain (leaf first) as [`client_config`] would in a handshake at `now`.
///
/// # Errors
/// What is wrong with it.
pub fn verify_server(
    chain: &[CertificateDer<'_>],
    roots: &Roots,
    trust_domain: &str,
    expected: Expected,
    now: SystemTime,
) -> Result<(), PeerError> {
    let (leaf, intermediates) = chain.split_first().ok_or(PeerError::NoCertificate)?;
    let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    Verifier::new(roots, trust_domain, expected)
        .verify(leaf, intermediates, now, KeyUsage::server_auth())
        .map_err(|e| peer_error(&e).unwrap_or_else(|| PeerError::Malformed(e.to_string())))
}

/// Verifies a peer of the mesh: the chain leads to a root, all of it is valid now, the leaf is for this use, names one
/// SPIFFE identity of the right trust domain, and that identity is expected.
#[derive(Debug)]
struct Verifier {
    roots: Arc<RootCertStore>,
    trust_domain: String,
    expected: Expected,
    algorithms: WebPkiSupportedAlgorithms,
    required: bool,
}

impl Verifier {
    fn new(roots: &Roots, trust_domain: &str, expected: Expected) -> Self {
        Self {
            roots: Arc::clone(roots.store()),
            trust_domain: trust_domain.to_owned(),
            expected,
            algorithms: provider().signature_verification_algorithms,
            required: true,
        }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), rustls::Error> {
        let cert = EndEntityCert::try_from(leaf).map_err(chain_error)?;
        cert.verify_for_usage(self.algorithms.all, &self.roots.roots, intermediates, now, usage, None, None)
            .map_err(chain_error)?;
        judge(&cert, &self.trust_domain, &self.expected).map_err(Into::into)
    }
}

/// Whether a certificate, whose chain is good, is of someone expected.
fn judge(cert: &EndEntityCert<'_>, trust_domain: &str, expected: &Expected) -> Result<(), PeerError> {
    if let Expected::Names(names) = expected {
        let mut presented = cert.valid_uri_names().chain(cert.valid_dns_names());
        return match presented.any(|p| names.iter().any(|n| n == p)) {
            true => Ok(()),
            false => Err(mismatch(expected, cert)),
        };
    }
    let id = identity_of(cert)?;
    if id.trust_domain != trust_domain {
        return Err(PeerError::WrongTrustDomain { expected: trust_domain.to_owned(), got: id });
    }
    match expected {
        Expected::AnyOf(ids) if !ids.contains(&id) => Err(mismatch(expected, cert)),
        _ => Ok(()),
    }
}

fn mismatch(expected: &Expected, cert: &EndEntityCert<'_>) -> PeerError {
    let names: Vec<&str> = cert.valid_uri_names().chain(cert.valid_dns_names()).take(8).collect();
    let got = if names.is_empty() { "nobody by name".to_owned() } else { names.join(", ") };
    PeerError::IdentityMismatch { expected: expected.clone(), got }
}

/// rustls' own errors wherever they exist, so that the alert which the peer receives is the precise one.
fn chain_error(error: webpki::Error) -> rustls::Error {
    let error = match error {
        // A foreign CA whose name is that of ours: its signature does not fit our key.
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => CertificateError::UnknownIssuer,
        webpki::Error::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        webpki::Error::BadDer | webpki::Error::BadDerTime | webpki::Error::TrailingData(_) => {
            CertificateError::BadEncoding
        }
        other => CertificateError::Other(OtherError(Arc::new(PeerError::Malformed(other.to_string())))),
    };
    rustls::Error::InvalidCertificate(error)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(end_entity, intermediates, now, KeyUsage::server_auth())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Every client of the mesh has one certificate: hints would only make the handshake longer.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(end_entity, intermediates, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

const CIPHER_SUITES: &[SupportedCipherSuite] = &[
    aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
    aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
    aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// Sessions a server remembers, some 1.5 KiB each.
const SERVER_SESSIONS: usize = 128;
/// Servers that a client of one service remembers.
const CLIENT_SESSIONS: usize = 16;

#[cfg(test)]
mod tests;
