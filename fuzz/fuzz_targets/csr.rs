//! Certificate requests: as PEM, as DER, and a good one with bytes changed, so that the extensions are reached.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use leno_core::id::SpiffeId;
use leno_identity::{Csr, Roots, csr};
use libfuzzer_sys::fuzz_target;

static WEB: LazyLock<SpiffeId> = LazyLock::new(|| SpiffeId::new("cluster.local", "shop", "web"));

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let request = Csr::generate(&WEB).expect("a request");
    let body: String = request.pem().lines().filter(|l| !l.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(body).expect("base64")
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = csr::check(text, &WEB);
        let _ = Roots::from_pem(text);
        if let Ok(request) = Csr::generate(&WEB) {
            let answer = [text.to_owned(), text.to_owned()];
            assert!(request.into_svid(&answer, std::time::SystemTime::now()).is_err(), "a certificate out of nothing");
        }
    }
    let _ = csr::check(&pem(bytes), &WEB);
    let mut changed = GOOD.clone();
    for edit in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % changed.len();
        changed[at] = edit[2];
    }
    let _ = csr::check(&pem(&changed), &WEB);
});

fn pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
}
