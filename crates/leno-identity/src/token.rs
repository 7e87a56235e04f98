//! Kubernetes' projected `ServiceAccount` tokens: signed by the local runtime, verified by the control plane.

use std::fmt;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};

/// Issues tokens.
pub struct TokenSigner {
    encoding: EncodingKey,
    private_pem: String,
    public_pem: String,
}

/// Verifies tokens.
#[derive(Clone)]
pub struct TokenVerifier {
    key: DecodingKey,
}

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIdentity {
    /// Namespace.
    pub namespace: String,
    /// `ServiceAccount`.
    pub account: String,
    /// Pod, where the token is bound to one.
    pub pod: Option<String>,
}

/// Why a token was not issued or not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// The key.
    #[error("the token key cannot be used: {0}")]
    Key(String),
    /// Not a token.
    #[error("the token cannot be read: {0}")]
    Malformed(String),
    /// Signed by someone else, or altered.
    #[error("the token's signature is not by the expected key")]
    BadSignature,
    /// Over.
    #[error("the token has expired")]
    Expired,
    /// Not valid yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// For someone else.
    #[error("the token is for the audience {got:?}, not for {expected}")]
    WrongAudience {
        /// This verifier.
        expected: String,
        /// What the token says.
        got: Vec<String>,
    },
    /// Its subject is not a `ServiceAccount`.
    #[error("the token's subject `{0}` is not a ServiceAccount, or contradicts its other claims")]
    WrongSubject(String),
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
    iat: u64,
    #[serde(rename = "kubernetes.io", default)]
    kubernetes: Option<Kubernetes>,
}

/// One or several, as RFC 7519 has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Serialize, Deserialize)]
struct Kubernetes {
    namespace: String,
    #[serde(default)]
    pod: Option<Named>,
    serviceaccount: Named,
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    uid: String,
}

/// What a token is issued for.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'r> {
    /// Namespace.
    pub namespace: &'r str,
    /// `ServiceAccount`.
    pub account: &'r str,
    /// Pod.
    pub pod: &'r str,
    /// The pod's UID.
    pub pod_uid: &'r str,
    /// Who shall accept it; [`leno_core::names::TOKEN_AUDIENCE`] for the mesh.
    pub audience: &'r str,
}

impl TokenSigner {
    /// Makes a new key (ECDSA P-256).
    ///
    /// # Errors
    /// When the machine's source of chance fails.
    pub fn generate() -> Result<Self, TokenError> {
        Self::of_pair(&KeyPair::generate().map_err(bad_key)?)
    }

    /// Takes over a key out of PKCS#8 PEM.
    ///
    /// # Errors
    /// When it is not an ECDSA P-256 key.
    pub fn from_pem(private_pem: &str) -> Result<Self, TokenError> {
        Self::of_pair(&KeyPair::from_pem(private_pem).map_err(bad_key)?)
    }

    fn of_pair(pair: &KeyPair) -> Result<Self, TokenError> {
        let private_pem = pair.serialize_pem();
        let encoding = EncodingKey::from_ec_pem(private_pem.as_bytes()).map_err(bad_key)?;
        Ok(Self { encoding, private_pem, public_pem: pair.public_key_pem() })
    }

    /// The key for verifiers.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The key itself, to keep it across restarts. Treat it as a secret.
    #[must_use]
    pub fn private_pem(&self) -> &str {
        &self.private_pem
    }

    /// Issues a token for a pod, valid for `ttl` from `now`.
    ///
    /// # Errors
    /// When signing fails.
    pub fn issue(&self, request: TokenRequest<'_>, now: SystemTime, ttl: Duration) -> Result<String, TokenError> {
        let TokenRequest { namespace, account, pod, pod_uid, audience } = request;
        let now = seconds(now);
        let named = |name: &str, uid: &str| Named { name: name.to_owned(), uid: uid.to_owned() };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: format!("{SUBJECT}{namespace}:{account}"),
            aud: Audience::Many(vec![audience.to_owned()]),
            exp: now.saturating_add(ttl.as_secs()),
            nbf: Some(now),
            iat: now,
            kubernetes: Some(Kubernetes {
                namespace: namespace.to_owned(),
                pod: Some(named(pod, pod_uid)),
                serviceaccount: named(account, ""),
            }),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.encoding)
            .map_err(|e| TokenError::Malformed(e.to_string()))
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").finish_non_exhaustive()
    }
}

impl TokenVerifier {
    /// Accepts tokens signed by the key of this PEM (the public half, or a PKCS#8 private key that holds it).
    ///
    /// # Errors
    /// When it is not an ECDSA P-256 key.
    pub fn from_pem(pem: &str) -> Result<Self, TokenError> {
        let public = match pem.contains("PRIVATE KEY") {
            true => KeyPair::from_pem(pem).map_err(bad_key)?.public_key_pem(),
            false => pem.to_owned(),
        };
        Ok(Self { key: DecodingKey::from_ec_pem(public.as_bytes()).map_err(bad_key)? })
    }

    /// Whom `token` speaks for, if it is meant for `audience` and in force at `now`; clocks may be a minute apart.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(&self, token: &str, audience: &str, now: SystemTime) -> Result<TokenIdentity, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed(format!("longer than {MAX_TOKEN} bytes")));
        }
        let mut rules = Validation::new(Algorithm::ES256);
        // Times and audience are judged below, by the caller's clock and with words of their own.
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token.trim(), &self.key, &rules)
            .map_err(|e| match e.kind() {
                jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::BadSignature,
                _ => TokenError::Malformed(e.to_string()),
            })?
            .claims;
        let now = seconds(now);
        if claims.exp.saturating_add(LEEWAY) <= now {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf > now.saturating_add(LEEWAY)) {
            return Err(TokenError::NotYetValid);
        }
        let got = match claims.aud {
            Audience::One(one) => vec![one],
            Audience::Many(many) => many,
        };
        if !got.iter().any(|a| a == audience) {
            return Err(TokenError::WrongAudience { expected: audience.to_owned(), got });
        }
        identity(&claims.sub, claims.kubernetes)
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").finish_non_exhaustive()
    }
}

fn identity(subject: &str, kubernetes: Option<Kubernetes>) -> Result<TokenIdentity, TokenError> {
    let wrong = || TokenError::WrongSubject(subject.to_owned());
    let (namespace, account) = subject.strip_prefix(SUBJECT).and_then(|rest| rest.split_once(':')).ok_or_else(wrong)?;
    // What ends up in a SPIFFE ID must not be able to change its shape.
    if !is_name(namespace) || !is_name(account) {
        return Err(wrong());
    }
    let pod = match kubernetes {
        Some(k) if k.namespace != namespace || k.serviceaccount.name != account => return Err(wrong()),
        Some(k) => k.pod.map(|p| p.name),
        None => None,
    };
    Ok(TokenIdentity { namespace: namespace.to_owned(), account: account.to_owned(), pod })
}

/// A DNS-1123 subdomain, which Kubernetes requires of both.
fn is_name(s: &str) -> bool {
    (1..=253).contains(&s.len())
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

fn bad_key(e: impl fmt::Display) -> TokenError {
    TokenError::Key(e.to_string())
}

fn seconds(t: SystemTime) -> u64 {
    t.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Issuer of tokens signed by the local runtime.
const ISSUER: &str = "https://kubernetes.default.svc";
const SUBJECT: &str = "system:serviceaccount:";
/// Seconds by which clocks may differ.
const LEEWAY: u64 = 60;
/// Kubernetes' own have less than 2 KiB.
const MAX_TOKEN: usize = 16 * 1024;

#[cfg(test)]
mod tests;
