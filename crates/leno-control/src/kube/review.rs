//! Whom a token speaks for, by asking the cluster.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Client;
use kube::api::{Api, PostParams};
use leno_core::names::TOKEN_AUDIENCE;
use leno_identity::TokenIdentity;
use tokio::sync::Semaphore;

use super::connect::words;
use crate::serve::auth::Caller;

/// A token that was accepted is not asked about again for so long.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Tokens that are remembered at most.
const MOST: usize = 8192;
/// Questions under way at a time: after a restart all proxies come at once.
const AT_ONCE: usize = 32;
/// For one question.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than any token.
const LONGEST: usize = 16 * 1024;

/// Asks, and remembers what was accepted for a while. Tokens stay in memory only.
pub struct TokenReviewer {
    api: Api<TokenReview>,
    accepted: Mutex<HashMap<String, (Caller, Instant)>>,
    permits: Semaphore,
}

/// Why a token gives no caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is refused.
    Token(String),
    /// The cluster did not say.
    Unknown(String),
}

impl std::fmt::Debug for TokenReviewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenReviewer").finish_non_exhaustive()
    }
}

impl TokenReviewer {
    /// One that has asked nothing.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { api: Api::all(client), accepted: Mutex::default(), permits: Semaphore::new(AT_ONCE) }
    }

    /// Whom `token` speaks for.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn review(&self, token: &str) -> Result<Caller, Refusal> {
        if token.is_empty() || token.len() > LONGEST {
            return Err(Refusal::Token("it is no token".to_owned()));
        }
        let now = Instant::now();
        if let Some((caller, until)) = self.remembered().get(token)
            && *until > now
        {
            return Ok(caller.clone());
        }
        let _permit = self.permits.acquire().await.map_err(|e| Refusal::Unknown(e.to_string()))?;
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![TOKEN_AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let params = PostParams::default();
        let answer = tokio::time::timeout(PATIENCE, self.api.create(&params, &review)).await;
        let answer = answer.map_err(|_| Refusal::Unknown(format!("no answer within {PATIENCE:?}")))?;
        let status = answer.map_err(|e| Refusal::Unknown(words(&e)))?.status.unwrap_or_default();
        let caller = caller(status)?;
        let mut accepted = self.remembered();
        if accepted.len() >= MOST {
            accepted.retain(|_, (_, until)| *until > now);
        }
        if accepted.len() < MOST {
            accepted.insert(token.to_owned(), (caller.clone(), now + REMEMBERED));
        }
        Ok(caller)
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<String, (Caller, Instant)>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller that the answer speaks of. Only tokens of pods count: others may be in anyone's hands.
pub(super) fn caller(status: TokenReviewStatus) -> Result<Caller, Refusal> {
    let refuse = |reason: String| Err(Refusal::Token(reason));
    if !status.authenticated.unwrap_or(false) {
        return refuse(status.error.filter(|e| !e.is_empty()).unwrap_or_else(|| "the cluster does not know it".into()));
    }
    let audiences = status.audiences.unwrap_or_default();
    if !audiences.iter().any(|a| a == TOKEN_AUDIENCE) {
        return refuse(format!("it is for the audience {audiences:?}, not for {TOKEN_AUDIENCE}"));
    }
    let user = status.user.unwrap_or_default();
    let username = user.username.unwrap_or_default();
    let Some((namespace, account)) = username.strip_prefix(SUBJECT).and_then(|rest| rest.split_once(':')) else {
        return refuse(format!("it speaks for `{username}`, which is no ServiceAccount"));
    };
    let mut extra = user.extra.unwrap_or_default();
    let mut one = |key: &str| extra.remove(key).and_then(|values| values.into_iter().next());
    let (Some(pod), Some(uid)) = (one(POD_NAME), one(POD_UID)) else {
        return refuse("it is not bound to a pod".to_owned());
    };
    let identity = TokenIdentity { namespace: namespace.to_owned(), account: account.to_owned(), pod: Some(pod) };
    Ok(Caller { identity, pod_uid: Some(uid) })
}

const SUBJECT: &str = "system:serviceaccount:";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
