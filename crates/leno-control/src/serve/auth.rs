//! Who calls: the token in `authorization: Bearer TOKEN`, the same on both services.

use std::sync::Arc;
use std::time::SystemTime;

use leno_core::names::TOKEN_AUDIENCE;
use leno_identity::{TokenIdentity, TokenVerifier};
use tonic::{Request, Status};

use crate::metrics::{Metrics, add};

/// Checks tokens. Without a key nobody is let in.
#[derive(Clone, Debug)]
pub struct Authenticator {
    verifier: Option<Arc<TokenVerifier>>,
}

impl Authenticator {
    /// With the key of whoever signs tokens.
    #[must_use]
    pub fn new(verifier: Option<TokenVerifier>) -> Self {
        Self { verifier: verifier.map(Arc::new) }
    }

    /// The caller's identity.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, with the reason in words.
    pub fn check<T>(&self, request: &Request<T>, metrics: &Metrics) -> Result<TokenIdentity, Status> {
        self.identity(request).map_err(|reason| {
            add(&metrics.authentication_failures);
            let peer = request.remote_addr().map(|a| a.to_string()).unwrap_or_default();
            tracing::warn!(%peer, %reason, "a caller is refused");
            Status::unauthenticated(reason)
        })
    }

    fn identity<T>(&self, request: &Request<T>) -> Result<TokenIdentity, String> {
        let verifier =
            self.verifier.as_ref().ok_or("the control plane has no key to check tokens with (--token-key)")?;
        let header = request.metadata().get("authorization").ok_or("the call has no token")?;
        let text = header.to_str().map_err(|_| "the authorization header is not ASCII")?;
        let scheme = text.get(..7).filter(|s| s.eq_ignore_ascii_case("bearer "));
        let token = scheme.map(|_| text[7..].trim()).ok_or("the authorization header is not `Bearer TOKEN`")?;
        verifier.verify(token, TOKEN_AUDIENCE, SystemTime::now()).map_err(|e| format!("the token is refused: {e}"))
    }
}
