use super::{Mode, ModeCell};
use std::time::{Duration, Instant};

#[test]
fn a_mode_concerns_its_share_of_its_paths_until_its_end() {
    let now = Instant::now();
    let cell = ModeCell::default();
    assert!(cell.concerning("/a", 0.0, now).is_none());
    cell.set(Mode::read(br#"{"status":503,"percent":50,"path":"/a","for":"10s"}"#, now).expect("a good mode"));
    assert_eq!(cell.concerning("/a/b", 49.0, now).and_then(|m| m.status), Some(503));
    assert!(cell.concerning("/a/b", 51.0, now).is_none());
    assert!(cell.concerning("/b", 0.0, now).is_none());
    assert!(cell.concerning("/a", 0.0, now + Duration::from_secs(11)).is_none());
}

#[test]
fn what_does_not_fit_is_named() {
    for (body, part) in [
        ("{\"status\":99}", "status"),
        ("{\"hang\":1}", "hang"),
        ("{\"for\":\"10d\"}", "unit"),
        ("{\"sleep\":true}", "unknown field"),
        ("[]", "object"),
        ("{", "JSON"),
    ] {
        let error = Mode::read(body.as_bytes(), Instant::now()).expect_err(body);
        assert!(error.contains(part), "{error}");
    }
    assert!(Mode::read(b"", Instant::now()).is_ok());
}
