use super::{duration, text_field};
use std::time::Duration;

#[test]
fn durations_are_read_as_people_write_them() {
    assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
    assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
    assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
    for wrong in ["", "ms", "-1s", "5d", "1e400s", "NaNs"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_text_field_is_found_without_parsing() {
    let body = br#"{"pod": "a-1", "version" : "v2"}"#;
    assert_eq!(text_field(body, "version"), Some("v2"));
    assert_eq!(text_field(body, "pod"), Some("a-1"));
    assert_eq!(text_field(body, "none"), None);
    assert_eq!(text_field(br#"{"version": 3}"#, "version"), None);
    assert_eq!(text_field(b"\xff", "version"), None);
}
