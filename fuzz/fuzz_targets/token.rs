//! Tokens: as they are, and a good one with bytes changed. None but the good one is accepted.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use leno_identity::{TokenRequest, TokenSigner, TokenVerifier};
use libfuzzer_sys::fuzz_target;

static GOOD: LazyLock<(TokenVerifier, String)> = LazyLock::new(|| {
    let signer = TokenSigner::generate().expect("a key");
    let request =
        TokenRequest { namespace: "shop", account: "web", pod: "web-1", pod_uid: "uid", audience: "istio-ca" };
    let token = signer.issue(request, SystemTime::now(), Duration::from_secs(864_000)).expect("a token");
    (TokenVerifier::from_pem(signer.public_pem()).expect("its key"), token)
});

fuzz_target!(|bytes: &[u8]| {
    let (verifier, good) = &*GOOD;
    let accepted = |token: &str| verifier.verify(token, "istio-ca", SystemTime::now()).is_ok();
    assert!(!accepted(&String::from_utf8_lossy(bytes)), "a token out of nothing");
    let mut changed = good.clone().into_bytes();
    for edit in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % changed.len();
        changed[at] = edit[2];
    }
    let changed = String::from_utf8_lossy(&changed);
    if accepted(&changed) {
        let signed = |token: &str| token.rsplit_once('.').map(|(head, _)| head.to_owned());
        assert_eq!(signed(changed.trim()), signed(good), "an altered token was accepted");
    }
});
