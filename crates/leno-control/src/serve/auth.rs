//! Who calls: the token in `authorization: Bearer TOKEN`, the same on both services.

use std::sync::Arc;
use std::time::SystemTime;

use leno_core::names::TOKEN_AUDIENCE;
use leno_identity::{TokenIdentity, TokenVerifier};
use tonic::{Request, Status};

use crate::kube::review::{Refusal, TokenReviewer};
use crate::metrics::{Metrics, add};

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Namespace, account and pod.
    pub identity: TokenIdentity,
    /// The very pod, where the token is bound to one and whoever checked it said so.
    pub pod_uid: Option<String>,
}

/// Checks tokens.
#[derive(Clone, Debug)]
pub enum Authenticator {
    /// Nobody is let in: there is nothing to check with.
    Nobody,
    /// By the public key of whoever signs them: the mesh on one machine.
    Key(Arc<TokenVerifier>),
    /// By asking the cluster.
    Review(Arc<TokenReviewer>),
}

impl Authenticator {
    /// With the key of whoever signs tokens.
    #[must_use]
    pub fn new(verifier: Option<TokenVerifier>) -> Self {
        verifier.map_or(Self::Nobody, |v| Self::Key(Arc::new(v)))
    }

    /// Who calls.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` with the reason in words, `UNAVAILABLE` where the cluster does not answer.
    pub async fn check<T>(&self, request: &Request<T>, metrics: &Metrics) -> Result<Caller, Status> {
        let refuse = |reason: String| {
            add(&metrics.authentication_failures);
            let peer = request.remote_addr().map(|a| a.to_string()).unwrap_or_default();
            tracing::warn!(%peer, %reason, "a caller is refused");
            Status::unauthenticated(reason)
        };
        let token = token(request).map_err(|r| refuse(r.to_owned()))?;
        match self {
            Self::Nobody => Err(refuse("the control plane has no key to check tokens with (--token-key)".to_owned())),
            Self::Key(verifier) => verifier
                .verify(token, TOKEN_AUDIENCE, SystemTime::now())
                .map(|identity| Caller { identity, pod_uid: None })
                .map_err(|e| refuse(format!("the token is refused: {e}"))),
            Self::Review(reviewer) => reviewer.review(token).await.map_err(|refusal| match refusal {
                Refusal::Token(reason) => refuse(format!("the token is refused: {reason}")),
                Refusal::Unknown(reason) => {
                    tracing::error!(%reason, "a token cannot be reviewed");
                    Status::unavailable(format!("the token cannot be reviewed now: {reason}"))
                }
            }),
        }
    }
}

fn token<T>(request: &Request<T>) -> Result<&str, &'static str> {
    let header = request.metadata().get("authorization").ok_or("the call has no token")?;
    let text = header.to_str().map_err(|_| "the authorization header is not ASCII")?;
    let scheme = text.get(..7).filter(|s| s.eq_ignore_ascii_case("bearer "));
    scheme.map(|_| text[7..].trim()).ok_or("the authorization header is not `Bearer TOKEN`")
}
