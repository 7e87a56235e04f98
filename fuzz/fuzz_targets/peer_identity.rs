//! A peer's certificate: as it is, and a good one with bytes changed, so that the names are reached.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use leno_core::id::SpiffeId;
use leno_identity::{Authority, Expected, peer_identity, tls};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;

struct Good {
    authority: Authority,
    id: SpiffeId,
    leaf: CertificateDer<'static>,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    let id = SpiffeId::new("cluster.local", "shop", "web");
    let authority = Authority::generate("cluster.local").expect("an authority");
    let svid = authority.issue(&id, Duration::from_secs(864_000)).expect("a certificate");
    Good { authority, id, leaf: svid.chain()[0].clone() }
});

fuzz_target!(|bytes: &[u8]| {
    check(&[CertificateDer::from(bytes)]);
    // The input as a list of changes: two bytes for the place, one for the value.
    let mut changed = GOOD.leaf.to_vec();
    for edit in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % changed.len();
        changed[at] = edit[2];
    }
    let whole = changed == GOOD.leaf.as_ref();
    let accepted = check(&[CertificateDer::from(changed)]);
    assert!(!accepted || whole, "an altered certificate was accepted");
    check(&[GOOD.leaf.clone(), CertificateDer::from(bytes)]);
});

/// Whether the chain is accepted as the good peer's.
fn check(chain: &[CertificateDer<'_>]) -> bool {
    let name = peer_identity(chain);
    let expected = Expected::AnyOf(vec![GOOD.id.clone()]);
    let verdict = tls::verify_server(chain, GOOD.authority.roots(), "cluster.local", expected, SystemTime::now());
    if verdict.is_ok() {
        assert_eq!(name.as_ref(), Ok(&GOOD.id), "accepted without the name");
    }
    verdict.is_ok()
}
