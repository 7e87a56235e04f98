//! Certificates, SPIFFE identities, tokens and their verification.
//!
//! - [`Authority`] issues: it is the control plane's half.
//! - [`Csr`] asks and [`Svid`] holds: the proxy's half. The private key is made in [`Csr::generate`] and never leaves the
//!   process.
//! - [`Roots`] is what a process trusts; [`tls`] builds rustls configurations out of an [`Svid`] and [`Roots`], whose
//!   verifiers check the peer's SPIFFE identity and say in words what is wrong with it ([`PeerError`]).
//! - [`TokenSigner`] and [`TokenVerifier`] are Kubernetes' projected `ServiceAccount` tokens, for both ends.

pub mod authority;
pub mod csr;
pub mod forwarded;
pub mod peer;
pub mod roots;
pub mod svid;
pub mod tls;
pub mod token;

pub use authority::{Authority, AuthorityError, Serving, SignError};
pub use csr::{Csr, CsrError};
pub use forwarded::forwarded_client_cert;
pub use peer::{Expected, PeerError, peer_error, peer_identity};
pub use roots::{Roots, RootsError};
pub use svid::{Svid, SvidError, renew_at};
pub use token::{TokenError, TokenIdentity, TokenRequest, TokenSigner, TokenVerifier};
