use super::*;

const REQUEST: TokenRequest<'static> =
    TokenRequest { namespace: "shop", account: "web", pod: "web-1", pod_uid: "uid-1", audience: "istio-ca" };
const HOUR: Duration = Duration::from_secs(3600);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn pair() -> (TokenSigner, TokenVerifier) {
    let signer = TokenSigner::generate().unwrap();
    let verifier = TokenVerifier::from_pem(signer.public_pem()).unwrap();
    (signer, verifier)
}

#[test]
fn a_token_tells_whom_it_speaks_for() {
    let (signer, verifier) = pair();
    let token = signer.issue(REQUEST, now(), HOUR).unwrap();
    let identity = verifier.verify(&format!("{token}\n"), "istio-ca", now()).unwrap();
    let expected =
        TokenIdentity { namespace: "shop".to_owned(), account: "web".to_owned(), pod: Some("web-1".to_owned()) };
    assert_eq!(identity, expected);
}

#[test]
fn time_and_audience_are_judged() {
    let (signer, verifier) = pair();
    let token = signer.issue(REQUEST, now(), HOUR).unwrap();
    let at = |seconds: i64| {
        let t = if seconds < 0 { now() - Duration::from_secs(seconds.unsigned_abs()) } else { now() + HOUR };
        let t = if seconds > 0 { t + Duration::from_secs(seconds.unsigned_abs()) } else { t };
        verifier.verify(&token, "istio-ca", t)
    };
    assert!(at(30).is_ok(), "within the leeway of clocks");
    assert_eq!(at(61), Err(TokenError::Expired));
    assert!(at(-59).is_ok());
    assert_eq!(at(-61), Err(TokenError::NotYetValid));
    assert!(matches!(verifier.verify(&token, "vault", now()), Err(TokenError::WrongAudience { .. })));
}

#[test]
fn foreign_and_altered_tokens_are_refused() {
    let (signer, _) = pair();
    let (_, other) = pair();
    let token = signer.issue(REQUEST, now(), HOUR).unwrap();
    assert_eq!(other.verify(&token, "istio-ca", now()), Err(TokenError::BadSignature));

    let verifier = TokenVerifier::from_pem(signer.public_pem()).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let admin = signer.issue(TokenRequest { account: "admin", ..REQUEST }, now(), HOUR).unwrap();
    let spliced = format!("{}.{}.{}", parts[0], admin.split('.').nth(1).unwrap(), parts[2]);
    assert_eq!(verifier.verify(&spliced, "istio-ca", now()), Err(TokenError::BadSignature));
    for text in ["", "a.b.c", "....", &"x".repeat(MAX_TOKEN + 1)] {
        assert!(matches!(verifier.verify(text, "istio-ca", now()), Err(TokenError::Malformed(_))));
    }
}

#[test]
fn tokens_that_are_not_signed_at_all_are_refused() {
    use base64::Engine;
    let (signer, verifier) = pair();
    let token = signer.issue(REQUEST, now(), HOUR).unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let unsigned = format!("{header}.{}.", token.split('.').nth(1).unwrap());
    assert!(verifier.verify(&unsigned, "istio-ca", now()).is_err());
}

#[test]
fn names_that_would_bend_a_spiffe_id_are_refused() {
    let (signer, verifier) = pair();
    for account in ["web/../admin", "web:admin", "", "Web", "a b"] {
        let token = signer.issue(TokenRequest { account, ..REQUEST }, now(), HOUR).unwrap();
        let result = verifier.verify(&token, "istio-ca", now());
        assert!(matches!(result, Err(TokenError::WrongSubject(_))), "{account}: {result:?}");
    }
}

#[test]
fn a_key_survives_being_written_and_read() {
    let (signer, verifier) = pair();
    let again = TokenSigner::from_pem(signer.private_pem()).unwrap();
    let token = again.issue(REQUEST, now(), HOUR).unwrap();
    assert!(verifier.verify(&token, "istio-ca", now()).is_ok());
    let of_private = TokenVerifier::from_pem(signer.private_pem()).unwrap();
    assert!(of_private.verify(&token, "istio-ca", now()).is_ok());
    assert!(matches!(TokenVerifier::from_pem("nonsense"), Err(TokenError::Key(_))));
}
